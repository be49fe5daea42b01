"""The rows of a view of a store: each made when somebody looks at it, out of the view's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TypeVar, overload

import msgspec

from layerstore.model import Layer, MountPlace, MountState
from layerstore.records.table import UNKNOWN_SIZE

if TYPE_CHECKING:
    from layertui.model.view import StoreView

SHORT = 12
"""How much of an ID is shown where there is no room for all of it."""


class LayerRow:
    """A layer with what the other layers, images and containers say about it: a look at one line of a view."""

    __slots__ = ("_layer", "number", "view")

    def __init__(self, view: StoreView, number: int) -> None:
        self.view = view
        self.number = number
        """Which row of the view it is."""
        self._layer: Layer | None = None

    @property
    def layer(self) -> Layer:
        """The layer's record, with where it is mounted."""
        if self._layer is None:
            layer, mount = self.view.table[self._position], self.mount
            if mount is not None and mount.count:
                layer = msgspec.structs.replace(layer, mount_point=mount.path, mount_count=mount.count)
            self._layer = layer
        return self._layer

    @property
    def id(self) -> str:
        """The full ID."""
        return self.view.table.ids[self._position]

    @property
    def short_id(self) -> str:
        """The first characters of the ID; not made safe."""
        return self.id[:SHORT]

    @property
    def names(self) -> tuple[str, ...]:
        """The layer's names, as they are on disk."""
        return self.view.table.names.get(self._position, ())

    @property
    def title(self) -> str:
        """The first name, or the short ID; not made safe."""
        names = self.names
        return names[0] if names else self.short_id

    @property
    def parent(self) -> str:
        """The ID of the parent, "" without one."""
        return self.view.table.parent_of(self._position)

    @property
    def children(self) -> tuple[str, ...]:
        """The IDs of the layers right above this one."""
        return tuple(self.view.rows[child].id for child in self.view.shape.children(self.number))

    @property
    def images(self) -> tuple[str, ...]:
        """The images that need this layer."""
        return self.view.users.images(self.id)

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers that need this layer."""
        return self.view.users.containers(self.id)

    @property
    def tops(self) -> tuple[str, ...]:
        """The images whose last layer this is."""
        return self.view.tops.get(self.id, ())

    @property
    def size(self) -> int | None:
        """What the layer adds, in bytes; None where it is neither recorded nor measured."""
        size = self.view.sizes[self.number]
        return None if size == UNKNOWN_SIZE else size

    @property
    def recorded_size(self) -> int | None:
        """What the layer adds, in bytes, as its record says; None where that has no size."""
        size = self.view.table.sizes[self._position]
        return None if size == UNKNOWN_SIZE else size

    @property
    def total(self) -> int:
        """The size with everything below it, as far as it is known."""
        return self.view.totals[self.number]

    @property
    def total_is_exact(self) -> bool:
        """False where a size is missing from the total."""
        return not self.view.gaps[self.number]

    @property
    def fault(self) -> str:
        """What is wrong with its place in the tree."""
        return self.view.faults.get(self.number, "")

    @property
    def mount(self) -> MountState | None:
        """Its mount; None where neither the records nor the kernel know of one."""
        return self.view.mounts_by_id.get(self.id)

    @property
    def mount_count(self) -> int:
        """How many times the layer is mounted."""
        mount = self.mount
        return 0 if mount is None else mount.count

    @property
    def mounted(self) -> bool:
        """Whether it is really mounted, here or in another mount namespace."""
        mount = self.mount
        return mount is not None and not mount.stale

    @property
    def stale(self) -> bool:
        """Whether its mount is on record only."""
        mount = self.mount
        return mount is not None and mount.stale

    @property
    def mounted_elsewhere(self) -> bool:
        """Whether it is mounted in another mount namespace and not in this one."""
        mount = self.mount
        return mount is not None and mount.place is MountPlace.ELSEWHERE

    @property
    def read_only(self) -> bool:
        """Whether its store cannot be written."""
        return self.layer.read_only

    @property
    def unused(self) -> bool:
        """True when no image and no container is built on this layer."""
        return not self.images and not self.containers

    @property
    def _position(self) -> int:
        return self.view.order[self.number]


_Seen = TypeVar("_Seen")


class _Numbered(Sequence[_Seen]):
    """Something about some rows of a view, by their numbers, made when it is asked for."""

    def __init__(self, view: StoreView, numbers: Sequence[int]) -> None:
        self._view = view
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> _Seen: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> _Seen | Self:
        if isinstance(place, slice):
            return type(self)(self._view, self.numbers[place])
        return self._see(self.numbers[place])

    def _see(self, number: int) -> _Seen:
        raise NotImplementedError


class Rows(_Numbered[LayerRow]):
    """Some rows of a view."""

    @property
    def ids(self) -> RowIDs:
        """The rows' IDs, looked up when they are asked for."""
        return RowIDs(self._view, self.numbers)

    def _see(self, number: int) -> LayerRow:
        return LayerRow(self._view, number)


class RowIDs(_Numbered[str]):
    """The IDs of some rows of a view."""

    def _see(self, number: int) -> str:
        return self._view.table.ids[self._view.order[number]]
