"""What the layer tree lists: rows of a view, filtered and in an order. Made in a worker; free of any UI."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from layerstore.errors import Cancelled
from layerstore.model import ShouldStop
from layertui.format import parse_size
from layertui.model import LayerRow, StoreView
from layertui.treeshape import ROOT, TreeShape, build_shape, flat_shape

_Test = Callable[[LayerRow], bool]
_EVERY = 4096  # rows between two looks at should_stop
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)


class Order(Enum):
    """The orders of the list; all but TREE are flat, the largest, newest or first name on top."""

    TREE = "tree"
    SIZE = "size"
    TOTAL = "total"
    AGE = "age"
    NAME = "name"

    @property
    def next(self) -> Order:
        """The order that comes after this one in the cycle."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(frozen=True, slots=True)
class Query:
    """A filter, read: all words must be found and all tests must hold; `error` says what could not be read."""

    words: tuple[str, ...] = ()
    tests: tuple[_Test, ...] = ()
    error: str = ""

    def __bool__(self) -> bool:
        return bool(self.words or self.tests)


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows to show and their shape; `dimmed` is 1 where a row is there only for those below it."""

    view: StoreView
    rows: Sequence[LayerRow]
    shape: TreeShape
    order: Order = Order.TREE
    text: str = ""
    matches: int = 0
    dimmed: bytes = b""
    error: str = ""


_STATES: dict[str, _Test] = {
    "unused": lambda row: row.unused,
    "used": lambda row: not row.unused,
    "mounted": lambda row: row.layer.mount_count > 0,
    "incomplete": lambda row: row.layer.incomplete,
    "readonly": lambda row: row.layer.read_only,
    "broken": lambda row: bool(row.fault),
    "named": lambda row: bool(row.layer.names),
    "leaf": lambda row: not row.children,
    "root": lambda row: not row.layer.parent,
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
    """Read a filter: words, `is:state` and `size:>100MB` (or <, >=, <=), all of which must hold."""
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
                return Query(error="size: as in size:>100MB or size:<=4k")
            tests.append(test)
        else:
            words.append(part)
    return Query(tuple(words), tuple(tests))


def build_listing(
    view: StoreView, text: str = "", order: Order = Order.TREE, *, should_stop: ShouldStop = lambda: False
) -> Listing:
    """List the rows of `view` that `text` asks for, in `order`; in tree order with the rows that they hang from.

    Raises:
        Cancelled: when `should_stop` says so.
    """
    query = parse_query(text)
    chosen = _matches(view, query, should_stop) if query else range(len(view.rows))
    if order is not Order.TREE:
        rows = sorted((view.rows[number] for number in chosen), key=_KEYS[order])
        return Listing(view, rows, flat_shape(len(rows)), order, text, len(rows), b"", query.error)
    if not query:
        return Listing(view, view.rows, view.shape, order, text, len(view.rows), b"", query.error)
    return _pruned(view, chosen, text)


def build_lineage(view: StoreView, layer_id: str) -> Listing:
    """List what a layer is built on, from the ground up, the layer, and all that is built on it.

    Raises:
        KeyError: the view has no such layer.
    """
    below = view.ancestors(layer_id)[::-1]
    position = view.positions[layer_id]
    end = view.shape.ends[position]
    parents = array("l", range(-1, len(below)))
    shift = position - len(below)
    parents.extend(view.shape.parents[number] - shift for number in range(position + 1, end))
    rows = [*below, *view.rows[position:end]]
    return Listing(view, rows, build_shape(parents, compact=True), matches=len(rows))


def _size_test(text: str) -> _Test | None:
    sign = next((sign for sign in _COMPARE if text.startswith(sign)), "")
    limit = parse_size(text.removeprefix(sign))
    if limit is None:
        return None
    compare = _COMPARE[sign or ">="]
    return lambda row: row.size is not None and compare(row.size, limit)


def _age_key(row: LayerRow) -> float:
    created = row.layer.created or _LONG_AGO
    return -(created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


_KEYS: dict[Order, Callable[[LayerRow], tuple[int | float | str, ...]]] = {
    Order.SIZE: lambda row: (-(row.size if row.size is not None else -1),),
    Order.TOTAL: lambda row: (-row.total,),
    Order.AGE: lambda row: (_age_key(row),),
    Order.NAME: lambda row: (not row.names, row.title.casefold()),
}


def _matches(view: StoreView, query: Query, should_stop: ShouldStop) -> list[int]:
    found = []
    haystacks = view.haystacks if query.words else ()
    for number, row in enumerate(view.rows):
        if number % _EVERY == 0 and should_stop():
            raise Cancelled("the filter")
        if query.words:
            haystack = haystacks[number]
            if not all(word in haystack for word in query.words):
                continue
        if all(test(row) for test in query.tests):
            found.append(number)
    return found


def _pruned(view: StoreView, chosen: Sequence[int], text: str) -> Listing:
    """Keep the chosen rows and those that they hang from."""
    old_parents = view.shape.parents
    kept = bytearray(len(view.rows))
    for number in chosen:
        kept[number] = 2
    for number in chosen:
        above = old_parents[number]
        while above != ROOT and not kept[above]:
            kept[above] = 1
            above = old_parents[above]
    places: dict[int, int] = {}
    parents = array("l")
    rows: list[LayerRow] = []
    dimmed = bytearray()
    for number, mark in enumerate(kept):
        if mark:
            places[number] = len(rows)
            parents.append(places.get(old_parents[number], ROOT))
            rows.append(view.rows[number])
            dimmed.append(mark == 1)
    shape = build_shape(parents, compact=True)
    return Listing(view, rows, shape, Order.TREE, text, len(chosen), bytes(dimmed))
