"""Rows of layers, with guides, names, badges, users, sizes and ages in columns that fit the width."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive

from layertui.model.order import Order
from layertui.model.query import Listing
from layertui.model.rows import SHORT, LayerRow
from layertui.panels.layers.badges import Badge, badges_of
from layertui.text.format import UNKNOWN, age_text, size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, cut_name, join_some
from layertui.widgets.tree.tree import VirtualTree

GUTTER = 2
"""Cells to the left of the label, for the cursor and the mark."""

_SIZE = 9
_AGE = 5
_LARGE = 100_000_000
_ROOMY = 44  # the least width of a label for badges without abbreviations
_EDGE = 1  # blank cells beside the scroll bar
_GUIDES = 4  # least width of the guides
_LEAST = 8  # least width of a name, before badges are cut
_QUIET = frozenset({"tree--dim", "tree--guides", "tree--users", "tree--size"})
_PREFIXES = ("docker.io/library/", "docker.io/", "localhost/")


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths of the columns in cells, 0 for a column that is not shown."""

    label: int
    users: int
    size: int
    total: int
    age: int


@lru_cache(maxsize=64)
def columns_for(width: int, *, ages: bool = True) -> Columns:
    """Divide `width` cells between the label, the size, the age, the total and the users, the most important first.

    Without `ages`, the users get a column at a smaller width.
    """
    width = max(width - _EDGE, 0)
    size = _SIZE if width >= 30 else 0
    age = _AGE if ages and width >= 44 else 0
    total = _SIZE + 1 if width >= 54 else 0
    rest = width - size - age - total
    users = min(48, rest * 2 // 5) if rest >= (40 if ages else 26) else 0
    return Columns(rest - users, users, size, total, age)


def short_image(name: str) -> str:
    """Return an image's escaped name without the default registry, or its short ID if it has no name."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return safe(name[len(prefix) :])
    return safe(name if not _is_id(name) else name[:12])


def _is_id(name: str) -> bool:
    """Return whether a name is an ID, which stands for an image without names, such as a build step."""
    return len(name) in (12, 64) and all(character in "0123456789abcdef" for character in name)


def users_of(row: LayerRow) -> list[str]:
    """Return the users of a layer, escaped: images, then containers in brackets.

    Images with names are first, and among those the images whose top layer this is.
    """
    images = sorted((*row.tops, *(image for image in row.images if image not in row.tops)), key=_is_id)
    return [short_image(name) for name in images] + [f"[{safe(name)}]" for name in row.containers]


class LayerRows(VirtualTree):
    """Shows the layers of a `Listing`."""

    DEFAULT_CSS = """
    LayerRows {
        & .tree--mark { color: $accent; text-style: bold; }
        & .tree--name { color: $accent; text-style: bold; }
        & .tree--id { color: $foreground; }
        & .tree--users { color: $foreground 60%; }
        & .tree--users-top { color: $secondary; text-style: bold; }
        & .tree--size { color: $foreground 85%; }
        & .tree--size-large { color: $text-warning; }
        & .tree--good { color: $text-success; }
        & .tree--warning { color: $text-warning; }
        & .tree--error { color: $text-error; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tree--mark",
        "tree--name",
        "tree--id",
        "tree--users",
        "tree--users-top",
        "tree--size",
        "tree--size-large",
        "tree--good",
        "tree--warning",
        "tree--error",
    }

    AGES: ClassVar[bool] = True
    """Whether to show ages."""

    now: reactive[datetime] = reactive(lambda: datetime.now(UTC))
    """The time that ages are counted from."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes=classes)
        self.listing: Listing | None = None

    # For subclasses to extend

    def is_marked(self, row: LayerRow) -> bool:
        """Return whether the row is marked with a dot."""
        del row
        return False

    def badges(self, row: LayerRow, *, short: bool) -> list[Badge]:
        """Return the badges to the right of the name."""
        return badges_of(row, short=short)

    # Content

    def show(self, listing: Listing) -> None:
        """Replace the rows."""
        before, self.listing = self.listing, listing
        if before is not None and before.view is listing.view:
            numbers = before.rows.numbers
            self.show_nodes(listing.shape, listing.rows.ids, now_at=lambda node: listing.place_of(numbers[node]))
        else:
            self.show_nodes(listing.shape, listing.rows.ids)

    def place(self, key: str) -> int | None:
        """Return the node of a layer."""
        return self.listing.place(key) if self.listing is not None else None

    @property
    def cursor_row(self) -> LayerRow | None:
        """The layer under the cursor."""
        return self.row_at(self.cursor_node)

    def row_at(self, node: int) -> LayerRow | None:
        """Return the layer of a node."""
        return self.listing.rows[node] if self.listing is not None and node >= 0 else None

    def watch_now(self) -> None:
        """Redraw the ages."""
        self.forget_lines()

    # Drawing

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a layer."""
        listing, row = self.listing, self.row_at(node)
        assert listing is not None
        assert row is not None
        dimmed = bool(listing.dimmed and listing.dimmed[node])
        paint = _Paint(self, node, base, dimmed=dimmed)
        columns = columns_for(width, ages=self.AGES)
        line = Line(columns.label - 1)
        line.put("▌" if node == self.cursor_node else " ", paint("tree--mark"))
        line.put("●" if self.is_marked(row) else " ", paint("tree--mark"))
        self._put_title(line, node, row, paint, guides=listing.order is Order.TREE)
        line.width = width
        line.fill_to(columns.label, base)
        self._put_columns(line, row, columns, paint)
        return line.segments

    def _put_title(self, line: Line, node: int, row: LayerRow, paint: _Paint, *, guides: bool) -> None:
        """Draw the guides, the name and the badges. If there is no room, cut the name, then the guides."""
        escape = paint("tree--escape")
        badges = self.badges(row, short=line.width < _ROOMY)
        hidden = self.shape.ends[node] - node - 1 if node in self.folding.folded else 0
        kept = sum([len(badge.text) + 1 for badge in badges]) + (len(f" +{hidden}") if hidden else 0)
        if guides:
            most = min(line.width // 2, line.room - kept - min(len(row.title), _LEAST))
            line.put(self.guides(node, max(_GUIDES, most)), paint("tree--guides"))
        room = max(line.room - kept, min(_LEAST, line.room))
        if row.names:
            before = line.used
            line.put_foreign(cut_name(row.title, room), paint("tree--name"), escape, room)
            if room - (line.used - before) > SHORT:
                line.put(" ", paint("tree--dim"))
                line.put_foreign(row.short_id, paint("tree--dim"), escape)
        else:
            line.put_foreign(row.short_id, paint("tree--id"), escape, room)
        if hidden:
            line.put(f" +{hidden}", paint("tree--dim"))
        for badge in badges:
            line.put(" ", paint("tree--dim"))
            line.put(badge.text, paint(badge.style))

    def _put_columns(self, line: Line, row: LayerRow, columns: Columns, paint: _Paint) -> None:
        if columns.users:
            start = line.used
            if row.unused:
                line.put("unused", paint("tree--dim"))
            else:
                ends = bool(row.containers) or not all(map(_is_id, row.tops))
                style = "tree--users-top" if ends else "tree--users"
                line.put(join_some(users_of(row), columns.users - 1), paint(style))
            line.fill_to(start + columns.users, paint("tree--dim"))
        size = row.size
        if columns.size:
            large = size is not None and size >= _LARGE
            line.put_right(size_text(size), columns.size, paint("tree--size-large" if large else "tree--size"))
        if columns.total:
            line.put_right(total_text(row), columns.total, paint("tree--dim"))
        if columns.age:
            line.put_right(age_text(row.layer.created, self.now), columns.age, paint("tree--dim"))


class _Paint:
    """The styles of one row: its background with the colours of its parts, or one colour for a dimmed row."""

    def __init__(self, rows: LayerRows, node: int, base: Style, *, dimmed: bool) -> None:
        self._rows = rows
        self._node = node
        self._base = base
        self._dimmed = dimmed

    def __call__(self, name: str) -> Style:
        if self._dimmed and name != "tree--mark":
            name = "tree--dim"
        if name in _QUIET:
            return self._base + self._rows.quiet_style_of(name, self._node)
        return self._base + self._rows.style_of(name)


def total_text(row: LayerRow) -> str:
    """Return the total size of a layer and its ancestors, with a "+" if one of the sizes is unknown."""
    if row.total_is_exact:
        return size_text(row.total)
    return f"{size_text(row.total)}+" if row.total else UNKNOWN
