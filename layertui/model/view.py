"""An immutable view of all layers of a store, made in a worker.

Rows are in tree order, parents before their children. Damage is marked: a layer whose parent has no record becomes a
root, a cycle of parents is cut, and a layer may have two records. The data is in columns, and a row object is created
on access, because a screen shows about forty of a hundred thousand layers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from layerstore.model import MountState
from layerstore.records.table import UNKNOWN_SIZE, LayerTable
from layertui.model.rows import Columns, LayerRow, Rows, Users
from layertui.widgets.tree.order import preorder
from layertui.widgets.tree.shape import ROOT, build_shape


class Fault:
    """Faults of a layer's position in the tree, as texts for a badge."""

    MISSING_PARENT = "no parent"
    CYCLE = "cycle"
    DUPLICATE = "duplicate ID"


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The properties of a store that do not change while it is open."""

    graph_root: Path
    run_root: Path
    driver: str
    read_only: bool = False
    image_stores: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class StoreView(Columns, Mapping[str, LayerRow]):
    """All layers of a store at one moment, as a mapping from IDs to rows in tree order.

    `places` is the row of each position in `table`. `problems` holds pairs of a layer ID, "" for none, and a text.
    `stamp` changes whenever a program writes to the store.
    """

    info: StoreInfo
    places: array[int]
    problems: tuple[tuple[str, str], ...] = ()
    stamp: object = None

    # Mappings are compared item by item, which would block the event loop for half a second in a large store.
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
        """Return the number of a layer's row.

        Raises:
            KeyError: The view has no such layer.
        """
        return self.places[self.table.positions[layer_id]]

    def ancestors(self, layer_id: str) -> Rows:
        """Return the ancestors of a layer, the parent first."""
        found = array("i")
        number = self.shape.parents[self.number(layer_id)]
        while number != ROOT:
            found.append(number)
            number = self.shape.parents[number]
        return Rows(self, found)

    def subtree(self, layer_id: str) -> Rows:
        """Return a layer and its descendants, parents before their children."""
        number = self.number(layer_id)
        return self.rows[number : self.shape.ends[number]]

    @property
    def names(self) -> dict[str, str]:
        """The names in use, mapped to the IDs of their layers."""
        return {name: self.table.ids[position] for name, position in self.table.holders.items()}

    @cached_property
    def below_mounts(self) -> frozenset[int]:
        """The rows of the mounted layers and of all their ancestors, without stale mounts."""
        found: set[int] = set()
        for mount in self.mounts:
            number = self.number(mount.id) if not mount.stale and mount.id in self else ROOT
            while number != ROOT and number not in found:
                found.add(number)
                number = self.shape.parents[number]
        return frozenset(found)

    @property
    def mounted(self) -> int:
        """The number of mounted layers, without stale mounts."""
        return sum(not mount.stale for mount in self.mounts)

    @property
    def stale_mounts(self) -> tuple[MountState, ...]:
        """The mounts that exist only in the records. The record of the layer itself may be gone."""
        return tuple(mount for mount in self.mounts if mount.stale)

    def with_sizes(self, measured: Mapping[str, int]) -> StoreView:
        """Return a view with measured sizes for layers without a recorded size, and with updated totals."""
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
        view = copy(self)  # keeps the cached properties
        view.__dict__.update(sizes=sizes, totals=totals, gaps=gaps)
        view.__dict__.pop("disk_use", None)
        return view

    def get_ready(self) -> None:
        """Compute the cached properties that the first filter needs. Call this in a worker."""
        _ = self.folded_ids, self.searchable, self.disk_use

    @cached_property
    def folded_ids(self) -> list[str]:
        """The case-folded IDs in the order of the rows."""
        ids = [self.table.ids[position] for position in self.order]
        return [folded if folded != layer_id else layer_id for layer_id in ids for folded in (layer_id.casefold(),)]

    @cached_property
    def searchable(self) -> dict[int, str]:
        """The case-folded names, images and containers of each row that has any, for filtering."""
        names, ids, users = self.table.names, self.table.ids, self.users
        texts: dict[tuple[str, ...], str] = {}
        searchable = {}
        for number, position in enumerate(self.order):
            layer_id = ids[position]
            words = (*names.get(position, ()), *users.images(layer_id), *users.containers(layer_id))
            if words:
                if words not in texts:
                    texts[words] = "\n".join(words).casefold()
                searchable[number] = texts[words]
        return searchable

    @cached_property
    def disk_use(self) -> int:
        """The sum of all known sizes in bytes, without layers in image stores."""
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
    """Return a view of the layers in `table`.

    `measured` holds the sizes of layers without a recorded size. `mounts` are the mounts known to the kernel or the
    records. `problems` and `stamp` are described in `StoreView`.
    """
    order, parents, cut = preorder(table.parents)
    places = array("i", bytes(order.itemsize * len(order)))
    for number, position in enumerate(order):
        places[position] = number
    faults = {places[position]: Fault.MISSING_PARENT for position in table.lost_parents}
    faults |= {places[table.positions[layer_id]]: Fault.DUPLICATE for layer_id in table.duplicates}
    faults |= {places[position]: Fault.CYCLE for position in cut}
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
    totals = [0] * (len(order) + 1)  # the last item is the parent of the roots, at index -1
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
