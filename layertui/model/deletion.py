"""What deleting layers would do, worked out before anything is touched.

No screen and no store in here: a plan is made from rows that somebody has read already, so that it can be shown,
questioned and thrown away. The store checks everything once more when it deletes; a plan is a preview, not a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class PlanRow(Protocol):
    """What a plan must know about a layer."""

    @property
    def id(self) -> str:
        """The full ID."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The layer's names, as they are on disk."""
        ...

    @property
    def parent(self) -> str:
        """The ID of the parent, "" without one; a parent without a row is allowed."""
        ...

    @property
    def children(self) -> Sequence[str]:
        """The IDs of the layers right above this one."""
        ...

    @property
    def size(self) -> int | None:
        """The bytes that the layer's own files take, None where nobody has looked yet."""
        ...

    @property
    def images(self) -> Sequence[str]:
        """The images that are made of this layer."""
        ...

    @property
    def tops(self) -> Sequence[str]:
        """Those of the images whose last layer it is."""
        ...

    @property
    def containers(self) -> Sequence[str]:
        """The containers that run on this layer."""
        ...

    @property
    def mounted(self) -> bool:
        """Whether it is mounted."""
        ...

    @property
    def mount_count(self) -> int:
        """How many times that was asked for; 0 where nobody has counted."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether its store cannot be written."""
        ...


class Reason(Enum):
    """Why a layer must not simply go."""

    CHILDREN = "children"
    READ_ONLY = "read-only"
    IMAGES = "images"
    CONTAINERS = "containers"
    MOUNTS = "mounts"

    @property
    def final(self) -> bool:
        """True where no force helps."""
        return self in (Reason.CHILDREN, Reason.READ_ONLY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason, with everybody who stands behind it: IDs of children, or names of images and containers."""

    reason: Reason
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer that is to go. `image` is the first image that ends with it, or else needs it; "" without one."""

    id: str
    names: tuple[str, ...]
    image: str
    size: int | None
    mount_count: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """Layers in the order in which they go, children before their parents.

    `missing` are the IDs that were asked for and that no row has: somebody else was quicker.
    """

    layers: tuple[PlannedLayer, ...]
    missing: tuple[str, ...] = ()
    rows: Mapping[str, PlanRow] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """The IDs in the order in which they go."""
        return tuple(layer.id for layer in self.layers)

    @property
    def frees(self) -> int | None:
        """The bytes that come free, None when the size of a layer is not known."""
        return None if self.unknown_sizes else self.known_size

    @property
    def known_size(self) -> int:
        """The bytes of the layers whose size is known."""
        return sum(layer.size or 0 for layer in self.layers)

    @property
    def unknown_sizes(self) -> int:
        """How many layers have no known size."""
        return sum(layer.size is None for layer in self.layers)

    def refused(self, reason: Reason) -> Iterator[tuple[PlannedLayer, Refusal]]:
        """Yield the layers that are refused for this reason."""
        for layer in self.layers:
            for refusal in layer.refusals:
                if refusal.reason is reason:
                    yield layer, refusal

    @property
    def blocked(self) -> bool:
        """True when at least one layer cannot go, whatever the user says."""
        return any(refusal.reason.final for layer in self.layers for refusal in layer.refusals)

    @property
    def needs_force(self) -> bool:
        """True when deleting breaks an image, a container or a mount."""
        return any(not refusal.reason.final for layer in self.layers for refusal in layer.refusals)

    def holders(self, reason: Reason) -> tuple[str, ...]:
        """Return everybody who stands behind a reason, each once, in the order of the layers."""
        return tuple(dict.fromkeys(name for _, refusal in self.refused(reason) for name in refusal.holders))

    def descendants(self) -> tuple[str, ...]:
        """Return the IDs above the planned layers that are not planned themselves."""
        planned = set(self.ids)
        return tuple(found for found in _children_first(self.rows, self.ids) if found not in planned)

    def with_descendants(self) -> DeletePlan:
        """Return the plan that takes everything above these layers as well."""
        return build_delete_plan(self.rows, (*self.ids, *self.descendants()))


def build_delete_plan(rows: Mapping[str, PlanRow], ids: Iterable[str]) -> DeletePlan:
    """Plan to delete `ids` out of `rows`; an ID given twice counts once."""
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
    """Return `ids` and all layers above them, each after the layers above it.

    Damaged stores have circles of parents: a layer is entered once, whatever points to it.
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
