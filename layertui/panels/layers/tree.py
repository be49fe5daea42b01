"""The tree of layers with its marks, and the column titles above it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive

from layertui.keys.actions import bindings
from layertui.model.order import Order
from layertui.model.query import Listing
from layertui.model.rows import LayerRow
from layertui.panels.layers.actions.marks import LIST_ACTIONS
from layertui.panels.layers.badges import BASE, Badge
from layertui.panels.layers.rows import GUTTER, LayerRows, columns_for
from layertui.widgets.cells import Line
from layertui.widgets.one_line import OneLine


class LayerTree(LayerRows):
    """Shows the layers of the store, and lets the user mark them."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(LIST_ACTIONS)

    base: reactive[str] = reactive("")
    """The ID of the layer that changes are shown against."""

    class MarksChanged(Message):
        """The set of marked layers changed."""

        def __init__(self, tree: LayerTree) -> None:
            self.tree = tree
            super().__init__()

        @property
        def control(self) -> LayerTree:
            """The tree."""
            return self.tree

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.marks: frozenset[str] = frozenset()

    def is_marked(self, row: LayerRow) -> bool:
        """Return whether the layer is marked."""
        return row.id in self.marks

    def badges(self, row: LayerRow, *, short: bool) -> list[Badge]:
        """Add the badge of the layer that changes are shown against."""
        badges = super().badges(row, short=short)
        return [*badges, BASE] if row.id == self.base else badges

    def show(self, listing: Listing) -> None:
        """Replace the rows, and unmark layers that no longer exist. A new filter moves the cursor to a match."""
        filtered = listing.text != (self.listing.text if self.listing is not None else "")
        super().show(listing)
        node = self.cursor_node
        if filtered and node >= 0 and listing.dimmed and listing.dimmed[node]:
            self.go_to(listing.dimmed.index(0))
        self.set_marks(mark for mark in self.marks if mark in listing.view)

    @property
    def folded_keys(self) -> tuple[str, ...]:
        """The IDs of the layers that are folded, in the order of the list."""
        return tuple(self._keys[node] for node in sorted(self.folding.folded))

    def restore(self, folded: Iterable[str], cursor: str) -> None:
        """Fold exactly these layers and move the cursor to this one. IDs that do not exist are skipped.

        If a fold hides that layer, the cursor moves to the fold.
        """
        places = [self.place(key) for key in folded]
        self._fold_exactly([place for place in places if place is not None])
        node = self.place(cursor)
        if node is not None:
            self.cursor_line = self.folding.line_of(node)

    def set_marks(self, marks: Iterable[str]) -> None:
        """Mark exactly these layers."""
        marked = frozenset(marks)
        if marked != self.marks:
            self.marks = marked
            self.forget_lines()
            self.post_message(self.MarksChanged(self))

    def watch_base(self) -> None:
        """Move the badge."""
        self.forget_lines()

    def action_mark(self) -> None:
        """Mark or unmark the layer, and move the cursor one line down."""
        key = self.cursor_key
        if key is not None:
            self.set_marks(self.marks ^ {key})
            self.cursor_line += 1


class LayerTreeHeader(OneLine):
    """The column titles, with an arrow on the sorted one. A click on a title sorts by that column."""

    DEFAULT_CSS = """
    LayerTreeHeader {
        color: $foreground 60%;
        text-style: bold;
        & .header--sorted { color: $accent; text-style: bold underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"header--sorted"}

    order: reactive[Order] = reactive(Order.TREE)
    columns_width: reactive[int] = reactive(0)

    class OrderWanted(Message):
        """The user asks to sort by a column, or by the tree again."""

        def __init__(self, header: LayerTreeHeader, order: Order) -> None:
            self.header = header
            self.order = order
            super().__init__()

        @property
        def control(self) -> LayerTreeHeader:
            """The header."""
            return self.header

    def on_click(self, event: events.Click) -> None:
        """Sort by the column, or by the tree again if it is sorted by already."""
        columns = columns_for(self.columns_width or self.size.width)
        rooms = (
            (Order.NAME, columns.label),
            (None, columns.users),
            (Order.SIZE, columns.size),
            (Order.TOTAL, columns.total),
            (Order.AGE, columns.age),
        )
        ends = accumulate(room for _, room in rooms)
        order = next((order for (order, _), end in zip(rooms, ends, strict=True) if event.x < end), None)
        if order is not None:
            self.post_message(self.OrderWanted(self, Order.TREE if order is self.order else order))

    def fill(self, line: Line, base: Style) -> None:
        """Draw the titles, the sorted one with an arrow."""
        columns = columns_for(self.columns_width or line.width)
        chosen = self.style_of("header--sorted")
        line.put(" " * GUTTER, base)
        by_name = self.order is Order.NAME
        line.put("NAME ▲" if by_name else "LAYER", chosen if by_name else base)
        line.fill_to(columns.label, base)
        if columns.users:
            line.put("USED BY".ljust(columns.users), base)
        for order, name, room in (
            (Order.SIZE, "SIZE", columns.size),
            (Order.TOTAL, "TOTAL", columns.total),
            (Order.AGE, "AGE", columns.age),
        ):
            title, style = (f"{name}▼", chosen) if self.order is order else (name, base)
            line.put(" " * (room - len(title)), base)
            line.put(title if room else "", style)
