"""What the screen knows of a store: a frozen picture, made in a worker out of plain reads, free of any UI.

The rows stand in tree order, parents before their children, whatever the store says: a layer whose parent has no
record becomes a root and is marked, a circle of parents is cut open and marked, a second record with the same ID is
marked. Building takes one pass a step and no recursion, so that depth and number do not matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec

from layerstore.model import Layer
from layertui.treeshape import ROOT, TreeShape, build_shape

SHORT = 12
"""How much of an ID is shown where there is no room for all of it."""


class Fault:
    """What may be wrong with a layer's place in the tree, in words short enough for a badge."""

    MISSING_PARENT = "no parent"
    CIRCLE = "circle"
    DUPLICATE = "duplicate ID"


class LayerRow(msgspec.Struct, frozen=True, gc=False):
    """A layer with what the other layers, images and containers say about it.

    `size` is what the layer adds, None where it is neither recorded nor measured; `total` is that with everything
    below it, and `total_is_exact` is False where a size is missing from the sum. `tops` are those of the images whose
    last layer this is.
    """

    layer: Layer
    children: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    size: int | None = None
    total: int = 0
    total_is_exact: bool = True
    fault: str = ""
    tops: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The full ID."""
        return self.layer.id

    @property
    def short_id(self) -> str:
        """The first characters of the ID; not made safe."""
        return self.layer.id[:SHORT]

    @property
    def names(self) -> tuple[str, ...]:
        """The layer's names, as they are on disk."""
        return self.layer.names

    @property
    def title(self) -> str:
        """The first name, or the short ID; not made safe."""
        return self.layer.names[0] if self.layer.names else self.short_id

    @property
    def parent(self) -> str:
        """The ID of the parent, "" without one."""
        return self.layer.parent

    @property
    def mount_count(self) -> int:
        """How many times the layer is mounted."""
        return self.layer.mount_count

    @property
    def read_only(self) -> bool:
        """Whether its store cannot be written."""
        return self.layer.read_only

    @property
    def unused(self) -> bool:
        """True when no image and no container is built on this layer."""
        return not self.images and not self.containers


class Users(Protocol):
    """Who uses a layer: the part of layerstore's References that is needed here."""

    @property
    def image_tops(self) -> Iterable[tuple[str, Sequence[str]]]:
        """The images' names, each with its last layers."""
        ...

    def images(self, layer_id: str, /) -> tuple[str, ...]:
        """Return the images whose chain has this layer."""
        ...

    def containers(self, layer_id: str, /) -> tuple[str, ...]:
        """Return the containers that run on this layer."""
        ...


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What does not change while a store is open."""

    graph_root: Path
    run_root: Path
    driver: str
    read_only: bool = False


@dataclass(frozen=True, eq=False)
class StoreView(Mapping[str, LayerRow]):
    """All layers of a store at one moment; a mapping from IDs to rows, in tree order.

    `positions` has the number of each ID's row.
    """

    info: StoreInfo
    rows: Sequence[LayerRow]
    shape: TreeShape
    stamp: object = None
    problems: tuple[tuple[str, str], ...] = ()
    positions: Mapping[str, int] = field(default_factory=dict, repr=False)

    def __getitem__(self, layer_id: str) -> LayerRow:
        return self.rows[self.positions[layer_id]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.positions)

    def __len__(self) -> int:
        return len(self.positions)

    def ancestors(self, layer_id: str) -> list[LayerRow]:
        """Return the layers below this one, the nearest first."""
        found = []
        position = self.shape.parents[self.positions[layer_id]]
        while position != ROOT:
            found.append(self.rows[position])
            position = self.shape.parents[position]
        return found

    def subtree(self, layer_id: str) -> Sequence[LayerRow]:
        """Return this layer and all that are based on it, parents first."""
        position = self.positions[layer_id]
        return self.rows[position : self.shape.ends[position]]

    @cached_property
    def names(self) -> dict[str, str]:
        """Return the names in use and the ID of the layer that holds each."""
        return {name: row.id for row in self.rows for name in row.names}

    @cached_property
    def mounted(self) -> int:
        """Return how many layers are mounted."""
        return sum(1 for row in self.rows if row.layer.mount_count)

    @cached_property
    def disk_use(self) -> int:
        """Return the sum of all sizes that are known."""
        return sum(row.size or 0 for row in self.rows)

    @cached_property
    def haystacks(self) -> list[str]:
        """Return, for each row, the words that a filter looks through."""
        return ["\n".join((row.id, *row.names, *row.images, *row.containers)).casefold() for row in self.rows]


def build_view(
    info: StoreInfo,
    layers: Sequence[Layer],
    users: Users,
    *,
    measured: Mapping[str, int] | None = None,
    problems: Sequence[tuple[str, str]] = (),
    stamp: object = None,
) -> StoreView:
    """Put `layers` in tree order and work out everything that a row shows.

    `measured` holds sizes of layers whose record has none.
    """
    parents, faults = _parents(layers)
    order, placed = _preorder(parents, faults)
    rows = _rows(
        [layers[number] for number in order], placed, [faults[number] for number in order], users, measured or {}
    )
    positions = {row.id: number for number, row in enumerate(rows) if row.fault != Fault.DUPLICATE}
    return StoreView(
        info=info,
        rows=rows,
        shape=build_shape(placed, compact=True),
        stamp=stamp,
        problems=tuple(problems),
        positions=positions,
    )


def _parents(layers: Sequence[Layer]) -> tuple[array[int], list[str]]:
    """Return the position of each layer's parent, and what is wrong with it."""
    positions: dict[str, int] = {}
    for number, layer in enumerate(layers):
        positions.setdefault(layer.id, number)
    parents = array("l")
    faults = []
    for number, layer in enumerate(layers):
        parent = positions.get(layer.parent, ROOT) if layer.parent else ROOT
        fault = ""
        if layer.parent and parent == ROOT:
            fault = Fault.MISSING_PARENT
        elif positions[layer.id] != number:
            fault = Fault.DUPLICATE
        parents.append(parent)
        faults.append(fault)
    return parents, faults


def _preorder(parents: array[int], faults: list[str]) -> tuple[list[int], array[int]]:
    """Return the layers' positions in preorder, and for each place in that order the place of its parent.

    Whatever no root leads to stands in a circle: the first such layer becomes a root, and is marked in `faults`.
    """
    children: dict[int, list[int]] = {}
    for number, parent in enumerate(parents):
        children.setdefault(parent, []).append(number)
    order: list[int] = []
    placed = array("l")
    places = array("l", [ROOT]) * len(parents)
    starts = children.get(ROOT, [])
    suspect = 0
    while True:
        for start in starts:
            stack = [start]
            while stack:
                number = stack.pop()
                places[number] = len(order)
                placed.append(ROOT if number == start else places[parents[number]])
                order.append(number)
                below = children.get(number, ())
                stack.extend(child for child in reversed(below) if places[child] == ROOT)
        while suspect < len(parents) and places[suspect] != ROOT:
            suspect += 1
        if suspect == len(parents):
            return order, placed
        start = _circle_member(parents, suspect)
        faults[start] = Fault.CIRCLE
        starts = [start]


def _circle_member(parents: array[int], number: int) -> int:
    """Follow parents from a layer that no root leads to until one comes twice: that one is in the circle."""
    seen = set()
    while number not in seen:
        seen.add(number)
        number = parents[number]
    return min(_circle(parents, number))


def _circle(parents: array[int], start: int) -> list[int]:
    members = [start]
    number = parents[start]
    while number != start:
        members.append(number)
        number = parents[number]
    return members


def _rows(
    layers: Sequence[Layer], parents: array[int], faults: Sequence[str], users: Users, measured: Mapping[str, int]
) -> list[LayerRow]:
    children = _children(layers, parents)
    tops: dict[str, tuple[str, ...]] = {}
    for name, ends in users.image_tops:
        for end in ends:
            tops[end] = (*tops.get(end, ()), name)
    rows: list[LayerRow] = []
    for number, layer in enumerate(layers):
        size = recorded_size(layer)
        if size is None:
            size = measured.get(layer.id)
        below = rows[parents[number]] if parents[number] != ROOT else None
        rows.append(
            LayerRow(
                layer,
                tuple(children.get(number, ())),
                users.images(layer.id),
                users.containers(layer.id),
                size,
                (below.total if below else 0) + (size or 0),
                size is not None and (below is None or below.total_is_exact),
                faults[number],
                tops.get(layer.id, ()),
            )
        )
    return rows


def _children(layers: Sequence[Layer], parents: array[int]) -> dict[int, list[str]]:
    children: dict[int, list[str]] = {}
    for layer, parent in zip(layers, parents, strict=True):
        if parent != ROOT:
            children.setdefault(parent, []).append(layer.id)
    return children


def recorded_size(layer: Layer) -> int | None:
    """Return the size that the record states; None where it states none."""
    return layer.diff_size if layer.diff_size > 0 or (layer.diff_size == 0 and layer.diff_digest) else None
