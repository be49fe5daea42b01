"""The rows of a view, created on access from its columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, Self, TypeVar, overload

import msgspec

from layerstore.model import Layer, MountPlace, MountState
from layerstore.records.table import UNKNOWN_SIZE, LayerTable
from layertui.widgets.tree.shape import TreeShape

SHORT = 12
"""The length of a short ID."""


class Users(Protocol):
    """The users of layers: the part of `layerstore.References` that a view needs."""

    @property
    def image_tops(self) -> Iterable[tuple[str, Sequence[str]]]:
        """The names of the images, each with its top layers."""
        ...

    def images(self, layer_id: str, /) -> tuple[str, ...]:
        """Return the images whose chain contains this layer."""
        ...

    def containers(self, layer_id: str, /) -> tuple[str, ...]:
        """Return the containers that use this layer."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns:
    """The data of a view, with one value per row.

    `order` is the position of a row in `table`, `sizes` its size in bytes (`UNKNOWN_SIZE` if unknown), `totals` the
    known size of it and its ancestors, and `gaps` 1 if a size is missing from the total. `faults` is by row, `tops` by
    layer ID.
    """

    table: LayerTable
    users: Users
    shape: TreeShape
    order: array[int]
    sizes: array[int]
    totals: array[int]
    gaps: bytearray
    faults: Mapping[int, str]
    mounts: tuple[MountState, ...] = ()
    tops: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> Rows:
        """All rows."""  # not cached, because the reference cycle would keep the view in memory
        return Rows(self, range(len(self.order)))

    @cached_property
    def mounts_by_id(self) -> dict[str, MountState]:
        """The mounts by layer ID."""
        return {mount.id: mount for mount in self.mounts}


class LayerRow:
    """One row of a view: a layer with its relations, users, sizes and mount."""

    __slots__ = ("_columns", "_layer", "number")

    def __init__(self, columns: Columns, number: int) -> None:
        self._columns = columns
        self.number = number
        """The number of the row in the view."""
        self._layer: Layer | None = None

    @property
    def layer(self) -> Layer:
        """The record of the layer, with its mount point and mount count."""
        if self._layer is None:
            layer, mount = self._columns.table[self._position], self.mount
            if mount is not None and mount.count:
                layer = msgspec.structs.replace(layer, mount_point=mount.path, mount_count=mount.count)
            self._layer = layer
        return self._layer

    @property
    def id(self) -> str:
        """The full ID."""
        return self._columns.table.ids[self._position]

    @property
    def short_id(self) -> str:
        """The short ID, not escaped."""
        return self.id[:SHORT]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, not escaped."""
        return self._columns.table.names.get(self._position, ())

    @property
    def title(self) -> str:
        """The first name or else the short ID, not escaped."""
        names = self.names
        return names[0] if names else self.short_id

    @property
    def parent(self) -> str:
        """The ID of the parent, "" for a base layer."""
        return self._columns.table.parent_of(self._position)

    @property
    def children(self) -> tuple[str, ...]:
        """The IDs of the child layers."""
        return tuple(self._columns.rows[child].id for child in self._columns.shape.children(self.number))

    @property
    def images(self) -> tuple[str, ...]:
        """The images that contain this layer."""
        return self._columns.users.images(self.id)

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers that use this layer."""
        return self._columns.users.containers(self.id)

    @property
    def tops(self) -> tuple[str, ...]:
        """The images whose top layer this is."""
        return self._columns.tops.get(self.id, ())

    @property
    def size(self) -> int | None:
        """The size of the layer's own files in bytes, None if it is neither recorded nor measured."""
        size = self._columns.sizes[self.number]
        return None if size == UNKNOWN_SIZE else size

    @property
    def recorded_size(self) -> int | None:
        """The recorded size of the layer's own files in bytes, None if the record has none."""
        size = self._columns.table.sizes[self._position]
        return None if size == UNKNOWN_SIZE else size

    @property
    def total(self) -> int:
        """The known size in bytes of the layer and its ancestors."""
        return self._columns.totals[self.number]

    @property
    def total_is_exact(self) -> bool:
        """Whether all sizes in the total are known."""
        return not self._columns.gaps[self.number]

    @property
    def fault(self) -> str:
        """The fault of its position in the tree, "" if there is none."""
        return self._columns.faults.get(self.number, "")

    @property
    def mount(self) -> MountState | None:
        """Its mount, None if neither the records nor the kernel know of one."""
        return self._columns.mounts_by_id.get(self.id)

    @property
    def mount_count(self) -> int:
        """The recorded mount count."""
        mount = self.mount
        return 0 if mount is None else mount.count

    @property
    def mounted(self) -> bool:
        """Whether it is mounted, in this or another mount namespace."""
        mount = self.mount
        return mount is not None and not mount.stale

    @property
    def stale(self) -> bool:
        """Whether its mount exists only in the records."""
        mount = self.mount
        return mount is not None and mount.stale

    @property
    def mounted_elsewhere(self) -> bool:
        """Whether it is mounted only in another mount namespace."""
        mount = self.mount
        return mount is not None and mount.place is MountPlace.ELSEWHERE

    @property
    def read_only(self) -> bool:
        """Whether its store is read-only."""
        return self.layer.read_only

    @property
    def unused(self) -> bool:
        """Whether no image and no container uses this layer."""
        return not self.images and not self.containers

    @property
    def _position(self) -> int:
        return self._columns.order[self.number]


_Seen = TypeVar("_Seen")


class _Numbered(Sequence[_Seen]):
    """A sequence of items for some rows of a view, created on access."""

    def __init__(self, columns: Columns, numbers: Sequence[int]) -> None:
        self._columns = columns
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> _Seen: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> _Seen | Self:
        if isinstance(place, slice):
            return type(self)(self._columns, self.numbers[place])
        return self._see(self.numbers[place])

    def _see(self, number: int) -> _Seen:
        raise NotImplementedError


class Rows(_Numbered[LayerRow]):
    """Some rows of a view."""

    @property
    def ids(self) -> RowIDs:
        """The IDs of the rows, looked up on access."""
        return RowIDs(self._columns, self.numbers)

    def _see(self, number: int) -> LayerRow:
        return LayerRow(self._columns, number)


class RowIDs(_Numbered[str]):
    """The IDs of some rows of a view."""

    def _see(self, number: int) -> str:
        return self._columns.table.ids[self._columns.order[number]]
