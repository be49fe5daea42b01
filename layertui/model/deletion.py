"""Deletion plans: which layers to delete, in which order, and what prevents it.

A plan is a preview made from rows that were read before. It holds no lock, so the store checks everything again when it
deletes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class PlanRow(Protocol):
    """The properties of a layer that a plan needs."""

    @property
    def id(self) -> str:
        """The full ID."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The names, not escaped."""
        ...

    @property
    def parent(self) -> str:
        """The ID of the parent, "" for a base layer. The parent may have no row."""
        ...

    @property
    def children(self) -> Sequence[str]:
        """The IDs of the child layers."""
        ...

    @property
    def size(self) -> int | None:
        """The size of the layer's own files in bytes, None if unknown."""
        ...

    @property
    def images(self) -> Sequence[str]:
        """The images that contain this layer."""
        ...

    @property
    def tops(self) -> Sequence[str]:
        """The images whose top layer this is."""
        ...

    @property
    def containers(self) -> Sequence[str]:
        """The containers that use this layer."""
        ...

    @property
    def mounted(self) -> bool:
        """Whether it is mounted."""
        ...

    @property
    def mount_count(self) -> int:
        """The recorded mount count, which is 0 for a mount without a record."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether its store is read-only."""
        ...


class Reason(Enum):
    """What prevents the deletion of a layer, or makes it need force."""

    CHILDREN = "children"
    READ_ONLY = "read-only"
    IMAGES = "images"
    CONTAINERS = "containers"
    MOUNTS = "mounts"

    @property
    def final(self) -> bool:
        """Whether the deletion is impossible even with force."""
        return self in (Reason.CHILDREN, Reason.READ_ONLY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason with its holders: IDs of child layers, or names of images and containers."""

    reason: Reason
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer to delete. `image` is the first image with it as top layer, else the first that contains it, else ""."""

    id: str
    names: tuple[str, ...]
    image: str
    size: int | None
    mount_count: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """The layers to delete, children before their parents.

    `missing` holds the requested IDs that have no row, because another program has deleted them.
    """

    layers: tuple[PlannedLayer, ...]
    missing: tuple[str, ...] = ()
    rows: Mapping[str, PlanRow] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """The IDs in the order of deletion."""
        return tuple(layer.id for layer in self.layers)

    @property
    def frees(self) -> int | None:
        """The freed bytes, None if the size of any layer is unknown."""
        return None if self.unknown_sizes else self.known_size

    @property
    def known_size(self) -> int:
        """The total size in bytes of the layers with a known size."""
        return sum(layer.size or 0 for layer in self.layers)

    @property
    def unknown_sizes(self) -> int:
        """The number of layers without a known size."""
        return sum(layer.size is None for layer in self.layers)

    def refused(self, reason: Reason) -> Iterator[tuple[PlannedLayer, Refusal]]:
        """Yield the layers refused for this reason, with their refusals."""
        for layer in self.layers:
            for refusal in layer.refusals:
                if refusal.reason is reason:
                    yield layer, refusal

    @property
    def blocked(self) -> bool:
        """Whether any layer cannot be deleted even with force."""
        return any(refusal.reason.final for layer in self.layers for refusal in layer.refusals)

    @property
    def needs_force(self) -> bool:
        """Whether the deletion breaks an image, a container or a mount."""
        return any(not refusal.reason.final for layer in self.layers for refusal in layer.refusals)

    def holders(self, reason: Reason) -> tuple[str, ...]:
        """Return the holders of all refusals with this reason, without duplicates, in the order of the layers."""
        return tuple(dict.fromkeys(name for _, refusal in self.refused(reason) for name in refusal.holders))

    def descendants(self) -> tuple[str, ...]:
        """Return the IDs of all descendants of the planned layers that are not planned themselves."""
        planned = set(self.ids)
        return tuple(found for found in _children_first(self.rows, self.ids) if found not in planned)

    def with_descendants(self) -> DeletePlan:
        """Return a plan that also deletes all descendants."""
        return build_delete_plan(self.rows, (*self.ids, *self.descendants()))


def build_delete_plan(rows: Mapping[str, PlanRow], ids: Iterable[str]) -> DeletePlan:
    """Return a plan to delete the layers `ids`, ignoring duplicates."""
    asked = dict.fromkeys(ids)
    chosen = [layer_id for layer_id in asked if layer_id in rows]
    selection = set(chosen)
    order = [layer_id for layer_id in _children_first(rows, chosen) if layer_id in selection]
    return DeletePlan(
        layers=tuple(_planned(rows[layer_id], selection) for layer_id in order),
        missing=tuple(layer_id for layer_id in asked if layer_id not in rows),
        rows=rows,
    )


def _planned(row: PlanRow, selection: set[str]) -> PlannedLayer:
    left_behind = tuple(child for child in row.children if child not in selection)
    refusals = (
        (left_behind, Refusal(Reason.CHILDREN, left_behind)),
        (row.read_only, Refusal(Reason.READ_ONLY)),
        (row.images, Refusal(Reason.IMAGES, tuple(row.images))),
        (row.containers, Refusal(Reason.CONTAINERS, tuple(row.containers))),
        (row.mounted, Refusal(Reason.MOUNTS)),
    )
    return PlannedLayer(
        id=row.id,
        names=tuple(row.names),
        image=next(iter((*row.tops, *row.images)), ""),
        size=row.size,
        mount_count=row.mount_count,
        refusals=tuple(refusal for holds, refusal in refusals if holds),
    )


def _children_first(rows: Mapping[str, PlanRow], ids: Iterable[str]) -> list[str]:
    """Return `ids` and all their descendants, children before their parents.

    A damaged store may have cycles of parents; each layer is visited once.
    """
    seen: set[str] = set()
    order: list[str] = []
    for start in ids:
        stack = [(start, False)]
        while stack:
            layer_id, entered = stack.pop()
            if entered:
                order.append(layer_id)
            elif layer_id in rows and layer_id not in seen:
                seen.add(layer_id)
                stack.append((layer_id, True))
                stack.extend((child, False) for child in reversed(rows[layer_id].children))
    return order
