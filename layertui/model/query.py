"""Filtered and sorted listings of the rows of a view."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any

from layerstore.errors import Cancelled
from layerstore.model import ShouldStop
from layerstore.records.table import NO_PARENT, UNKNOWN_SIZE, State
from layertui.model.order import Order
from layertui.model.rows import Rows
from layertui.model.view import StoreView
from layertui.text.format import parse_size
from layertui.widgets.tree.columns import both, neither
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape, flat_shape, prune

_Test = Callable[[StoreView], bytes | bytearray]
"""Returns marks for the matching rows of a view."""


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter.

    All words must occur and all tests must match. `error` describes a syntax error.
    """

    words: tuple[str, ...] = ()
    tests: tuple[_Test, ...] = ()
    error: str = ""

    def __bool__(self) -> bool:
        return bool(self.words or self.tests)


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows to show and their shape. `dimmed` marks rows that do not match but are ancestors of a match."""

    view: StoreView
    rows: Rows
    shape: TreeShape
    order: Order = Order.TREE
    text: str = ""
    matches: int = 0
    dimmed: bytes = b""
    error: str = ""

    def place(self, layer_id: str) -> int | None:
        """Return the position of a layer in the list, None if it is not listed."""
        return self.place_of(self.view.number(layer_id)) if layer_id in self.view else None

    def place_of(self, number: int) -> int | None:
        """Return the position of a row of the view in the list, None if it is not listed."""
        numbers = self.rows.numbers
        if self.order is Order.TREE:  # ascending numbers
            place = bisect_left(numbers, number)
            return place if place < len(numbers) and numbers[place] == number else None
        return numbers.index(number) if number in numbers else None


def _state(state: State) -> _Test:
    bit = int(state)  # an IntFlag is twenty times slower
    return lambda view: _chosen(view, [known & bit for known in view.table.states])


def _chosen(view: StoreView, known: Sequence[object]) -> bytearray:
    """Return marks for the rows whose positions have a true value in `known`."""
    return bytearray([bool(known[position]) for position in view.order])


def _some(view: StoreView, numbers: Iterable[int]) -> bytearray:
    """Return marks for these rows."""
    marks = bytearray(len(view.order))
    for number in numbers:
        marks[number] = 1
    return marks


def _used(view: StoreView) -> bytearray:
    ids, users = view.table.ids, view.users
    known = [bool(users.images(layer_id) or users.containers(layer_id)) for layer_id in ids]
    return _chosen(view, known)


def _mounted(view: StoreView, *, stale: bool) -> bytearray:
    wanted = [mount.id for mount in view.mounts_by_id.values() if mount.stale is stale and mount.id in view]
    return _some(view, map(view.number, wanted))


_STATES: dict[str, _Test] = {
    "unused": lambda view: neither(_used(view)),
    "used": _used,
    "mounted": lambda view: _mounted(view, stale=False),
    "stale": lambda view: _mounted(view, stale=True),
    "incomplete": _state(State.INCOMPLETE),
    "readonly": _state(State.READ_ONLY),
    "shared": lambda view: _chosen(view, [view.table.image_store(position) for position in range(len(view.table))]),
    "broken": lambda view: _some(view, view.faults),
    "named": lambda view: _some(view, (view.places[position] for position in view.table.names)),
    "leaf": lambda view: bytearray([end == number + 1 for number, end in enumerate(view.shape.ends)]),
    "root": lambda view: _chosen(view, [parent == NO_PARENT for parent in view.table.parents]),
}
STATES = tuple(_STATES)
"""The words that may follow `is:`."""

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": lambda size, limit: size >= limit,
    "<=": lambda size, limit: size <= limit,
    ">": lambda size, limit: size > limit,
    "<": lambda size, limit: size < limit,
}


def parse_query(text: str) -> Query:
    """Parse a filter of words, `is:STATE` and `size:>100MB` (or <, >=, <=), all of which must match."""
    words, tests = [], []
    for part in text.casefold().split():
        key, colon, value = part.partition(":")
        if colon and key == "is":
            if value not in _STATES:
                return Query(error=f"is: {', '.join(STATES)}")
            tests.append(_STATES[value])
        elif colon and key == "size":
            test = _size_test(value)
            if test is None:
                return Query(error="size: for example size:>100MB or size:<=4k")
            tests.append(test)
        else:
            words.append(part)
    return Query(tuple(words), tuple(tests))


def build_listing(
    view: StoreView, text: str = "", order: Order = Order.TREE, *, should_stop: ShouldStop = lambda: False
) -> Listing:
    """Return the rows of `view` that match the filter `text`, in `order`.

    In tree order, the ancestors of each match are included.

    Raises:
        Cancelled: `should_stop` returned True.
    """
    query = parse_query(text)
    chosen = _matches(view, query, should_stop)
    if order is not Order.TREE:
        keys = _KEYS[order](view)
        numbers = array("i", sorted(compress(range(len(chosen)), chosen), key=keys.__getitem__))
        return Listing(view, Rows(view, numbers), flat_shape(len(numbers)), order, text, len(numbers), b"", query.error)
    if not query:
        return Listing(view, view.rows, view.shape, order, text, len(view.rows), b"", query.error)
    return _pruned(view, chosen, text)


def build_lineage(view: StoreView, layer_id: str) -> Listing:
    """Return the ancestors of a layer from the base up, the layer, and its descendants.

    Raises:
        KeyError: The view has no such layer.
    """
    numbers = array("i", view.ancestors(layer_id).numbers)
    numbers.reverse()
    start = view.number(layer_id)
    end = view.shape.ends[start]
    parents = array("i", range(-1, len(numbers)))
    shift = start - len(numbers)
    parents.extend(view.shape.parents[number] - shift for number in range(start + 1, end))
    numbers.extend(range(start, end))
    return Listing(view, Rows(view, numbers), build_shape(parents, compact=True), matches=len(numbers))


def _size_test(text: str) -> _Test | None:
    sign = next((sign for sign in _COMPARE if text.startswith(sign)), "")
    limit = parse_size(text.removeprefix(sign))
    if limit is None:
        return None
    compare = _COMPARE[sign or ">="]
    return lambda view: bytearray([size != UNKNOWN_SIZE and compare(size, limit) for size in view.sizes])


def _by_name(view: StoreView) -> list[tuple[bool, str]]:
    names, ids = view.table.names, view.table.ids
    keys = []
    for position in view.order:
        own = names.get(position)
        keys.append((False, own[0].casefold()) if own else (True, ids[position]))
    return keys


_KEYS: dict[Order, Callable[[StoreView], Sequence[Any]]] = {
    Order.SIZE: lambda view: [-size for size in view.sizes],
    Order.TOTAL: lambda view: [-total for total in view.totals],
    Order.AGE: lambda view: [-view.table.created[position] for position in view.order],
    Order.NAME: _by_name,
}
"""The sort key of each row, by order."""


def _matches(view: StoreView, query: Query, should_stop: ShouldStop) -> bytes:
    """Return marks for the matching rows."""
    marks = b"\1" * len(view.order)
    tests: list[_Test] = [*query.tests, *(partial(_with_word, word=word) for word in query.words)]
    for test in tests:
        if should_stop():
            raise Cancelled("the filter")
        marks = both(marks, test(view))
    return marks


def _with_word(view: StoreView, *, word: str) -> bytearray:
    """Return marks for the rows with a word in their ID or names, or in the name of an image or container."""
    marks = bytearray([word in layer_id for layer_id in view.folded_ids])
    for number, text in view.searchable.items():
        if word in text:
            marks[number] = 1
    return marks


def _pruned(view: StoreView, chosen: bytes, text: str) -> Listing:
    """Return a listing of the chosen rows and their ancestors."""
    kept = bytearray(chosen)
    old_parents, every = view.shape.parents, range(len(kept))
    for parent in compress(old_parents, chosen):
        above = parent
        while above != ROOT and not kept[above]:
            kept[above] = 1
            above = old_parents[above]
    dimmed = neither(bytes(compress(chosen, kept)))
    if len(dimmed) == len(kept):
        return Listing(view, view.rows, view.shape, Order.TREE, text, chosen.count(1), dimmed)
    numbers = array("i", [*compress(every, kept)])
    return Listing(view, Rows(view, numbers), prune(view.shape, numbers), Order.TREE, text, chosen.count(1), dimmed)
