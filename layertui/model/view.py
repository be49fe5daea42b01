"""What the screen knows of a store: a frozen picture, made in a worker out of plain reads, free of any UI.

The rows stand in tree order, parents before their children, whatever the store says: a layer whose parent has no
record becomes a root and is marked, a circle of parents is cut open and marked, a layer that two records describe is
marked. A row is made when somebody looks at it, out of columns: of a hundred thousand layers a screen shows forty.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from layerstore.model import MountState
from layerstore.records.table import UNKNOWN_SIZE, LayerTable
from layertui.model.rows import LayerRow, Rows
from layertui.widgets.tree.order import preorder
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape


class Fault:
    """What may be wrong with a layer's place in the tree, in words short enough for a badge."""

    MISSING_PARENT = "no parent"
    CIRCLE = "circle"
    DUPLICATE = "duplicate ID"


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
    image_stores: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class StoreView(Mapping[str, LayerRow]):
    """All layers of a store at one moment; a mapping from IDs to rows, in tree order.

    Columns have one value a row: `order` its position in `table`, `sizes` and `totals` bytes (`UNKNOWN_SIZE` where
    nothing is known), `gaps` 1 where the total misses something. `places` has the row of each position.
    """

    info: StoreInfo
    table: LayerTable
    users: Users
    shape: TreeShape
    order: array[int]
    places: array[int]
    sizes: array[int]
    totals: array[int]
    gaps: bytearray
    faults: Mapping[int, str]
    stamp: object = None
    problems: tuple[tuple[str, str], ...] = ()
    mounts: tuple[MountState, ...] = ()
    tops: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    # A mapping is compared key by key: of two views of a large store, on the event loop, that takes half a second.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, layer_id: str) -> LayerRow:
        return LayerRow(self, self.number(layer_id))

    def __contains__(self, layer_id: object) -> bool:
        return layer_id in self.table.positions

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.ids)

    def __len__(self) -> int:
        return len(self.order)

    def number(self, layer_id: str) -> int:
        """Return which row a layer is; raises `KeyError`."""
        return self.places[self.table.positions[layer_id]]

    @property
    def rows(self) -> Rows:
        """All rows."""  # made anew: kept, they and the view would hold each other in memory
        return Rows(self, range(len(self.order)))

    def ancestors(self, layer_id: str) -> Rows:
        """Return the layers below this one, the nearest first."""
        found = array("i")
        number = self.shape.parents[self.number(layer_id)]
        while number != ROOT:
            found.append(number)
            number = self.shape.parents[number]
        return Rows(self, found)

    def subtree(self, layer_id: str) -> Rows:
        """Return this layer and all that are based on it, parents first."""
        number = self.number(layer_id)
        return self.rows[number : self.shape.ends[number]]

    @property
    def names(self) -> dict[str, str]:
        """The names in use and the ID of the layer that holds each."""
        return {name: self.table.ids[position] for name, position in self.table.holders.items()}

    @cached_property
    def mounts_by_id(self) -> dict[str, MountState]:
        """The mounts of layers, by their IDs."""
        return {mount.id: mount for mount in self.mounts}

    @cached_property
    def below_mounts(self) -> frozenset[int]:
        """The rows that a layer is based on which is really mounted, and the row of that one."""
        found: set[int] = set()
        for mount in self.mounts:
            number = self.number(mount.id) if not mount.stale and mount.id in self else ROOT
            while number != ROOT and number not in found:
                found.add(number)
                number = self.shape.parents[number]
        return frozenset(found)

    @property
    def mounted(self) -> int:
        """How many layers are really mounted."""
        return sum(not mount.stale for mount in self.mounts)

    @property
    def stale_mounts(self) -> tuple[MountState, ...]:
        """The mounts that are on record only; the layer's own record may be gone."""
        return tuple(mount for mount in self.mounts if mount.stale)

    def with_sizes(self, measured: Mapping[str, int]) -> StoreView:
        """Return this view with measured sizes of layers whose record has none, and the totals that follow."""
        recorded, positions = self.table.sizes, self.table.positions
        places = {positions[layer_id]: size for layer_id, size in measured.items() if layer_id in positions}
        found = [(self.places[at], size) for at, size in places.items() if recorded[at] == UNKNOWN_SIZE]
        found = [(number, size) for number, size in found if self.sizes[number] != size]
        if not found:
            return self
        sizes, totals, gaps = self.sizes[:], self.totals[:], self.gaps[:]
        parents, ends = self.shape.parents, self.shape.ends
        for number, size in found:
            more = size - max(sizes[number], 0)
            sizes[number] = size
            totals[number : ends[number]] = array("q", [total + more for total in totals[number : ends[number]]])
            for row in range(number, ends[number]):
                gaps[row] = sizes[row] == UNKNOWN_SIZE or (parents[row] != ROOT and gaps[parents[row]])
        view = copy(self)  # with all that was worked out
        view.__dict__.update(sizes=sizes, totals=totals, gaps=gaps)
        view.__dict__.pop("disk_use", None)
        return view

    def get_ready(self) -> None:
        """Work out what the first filter needs, so that it does not wait for it; for a worker."""
        _ = self.folded_ids, self.said, self.disk_use

    @cached_property
    def folded_ids(self) -> list[str]:
        """The IDs without upper case, in the order of the rows."""
        ids = [self.table.ids[position] for position in self.order]
        return [folded if folded != layer_id else layer_id for layer_id in ids for folded in (layer_id.casefold(),)]

    @cached_property
    def said(self) -> dict[int, str]:
        """What a filter finds a row by beside its ID: names, images and containers, folded, of those that have any."""
        names, ids, users = self.table.names, self.table.ids, self.users
        texts: dict[tuple[str, ...], str] = {}
        said = {}
        for number, position in enumerate(self.order):
            layer_id = ids[position]
            words = (*names.get(position, ()), *users.images(layer_id), *users.containers(layer_id))
            if words:
                if words not in texts:
                    texts[words] = "\n".join(words).casefold()
                said[number] = texts[words]
        return said

    @cached_property
    def disk_use(self) -> int:
        """Return the sum of all sizes that are known, without those of image stores."""
        if not self.info.image_stores:
            return sum(self.sizes) - UNKNOWN_SIZE * self.sizes.count(UNKNOWN_SIZE)
        return sum(
            size
            for number, size in enumerate(self.sizes)
            if size != UNKNOWN_SIZE and not self.table.image_store(self.order[number])
        )


def build_view(
    info: StoreInfo,
    table: LayerTable,
    users: Users,
    *,
    measured: Mapping[str, int] | None = None,
    mounts: Sequence[MountState] = (),
    problems: Sequence[tuple[str, str]] = (),
    stamp: object = None,
) -> StoreView:
    """Put layers in tree order and work out everything that a row shows.

    `measured` holds sizes of layers whose record has none, `mounts` what the kernel says.
    """
    order, parents, cut = preorder(table.parents)
    places = array("i", bytes(order.itemsize * len(order)))
    for number, position in enumerate(order):
        places[position] = number
    faults = {places[position]: Fault.MISSING_PARENT for position in table.lost_parents}
    faults |= {places[table.positions[layer_id]]: Fault.DUPLICATE for layer_id in table.duplicates}
    faults |= {places[position]: Fault.CIRCLE for position in cut}
    sizes, totals, gaps = _sizes(table, order, parents)
    view = StoreView(
        info=info,
        table=table,
        users=users,
        shape=build_shape(parents, compact=True),
        order=order,
        places=places,
        sizes=sizes,
        totals=totals,
        gaps=gaps,
        faults=faults,
        stamp=stamp,
        problems=tuple(problems),
        mounts=tuple(mounts),
        tops=_tops(users),
    )
    return view.with_sizes(measured or {})


def _sizes(table: LayerTable, order: array[int], parents: array[int]) -> tuple[array[int], array[int], bytearray]:
    sizes = array("q", map(table.sizes.__getitem__, order))
    totals = [0] * (len(order) + 1)  # the last stands for what a root hangs from
    gaps = bytearray(len(totals))
    counted: Iterable[int] = sizes
    if UNKNOWN_SIZE in sizes:
        counted = [0 if size == UNKNOWN_SIZE else size for size in sizes]
        for number, (size, parent) in enumerate(zip(sizes, parents, strict=True)):
            gaps[number] = size == UNKNOWN_SIZE or gaps[parent]
    for number, (size, parent) in enumerate(zip(counted, parents, strict=True)):
        totals[number] = size + totals[parent]
    del totals[-1], gaps[-1]
    return sizes, array("q", totals), gaps


def _tops(users: Users) -> dict[str, tuple[str, ...]]:
    tops: dict[str, tuple[str, ...]] = {}
    for name, ends in users.image_tops:
        for end in ends:
            tops[end] = (*tops.get(end, ()), name)
    return tops
