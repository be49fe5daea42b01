"""Text cut to cells, as segments: hostile characters as visible escapes, long text with an ellipsis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.widget import Widget

from layertui.text.safe import pieces, safe

ELLIPSIS = "…"
_WORD_END = re.compile("[ /]")
_LONGEST = 8  # characters looked at for each cell: more of them cannot fit, but for piles of accents


class Line:
    """A line of a fixed width that is filled from the left."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.used = 0
        self.segments: list[Segment] = []

    @property
    def room(self) -> int:
        """The cells that are left."""
        return self.width - self.used

    def put(self, text: str, style: Style) -> None:
        """Append text that is known to be fit for the screen, cut to what is left."""
        cells = cell_len(text)
        if cells > self.room:
            text, cells = cut(text, self.room), self.room
        if cells > 0:
            self.segments.append(Segment(text, style))
            self.used += cells

    def put_foreign(self, text: str, style: Style, escape: Style, most: int | None = None) -> None:
        """Append text from disk in at most `most` cells, escapes in a style of their own."""
        room = self.room if most is None else min(self.room, most)
        shown = text[: max(1, room * _LONGEST)]
        parts = [(part, escape if escaped else style) for part, escaped in pieces(shown)]
        self.put_parts(parts, style, room, whole=len(shown) == len(text))

    def put_parts(self, parts: Sequence[tuple[str, Style]], style: Style, room: int, *, whole: bool) -> None:
        """Append parts that are fit for the screen, with an ellipsis unless they are the `whole` and have room."""
        limit = self.used + room
        fits = whole and sum([cell_len(part) for part, _ in parts]) <= room
        end = limit if fits else limit - 1
        for part, part_style in parts:
            cells = min(cell_len(part), end - self.used)
            if cells <= 0:
                break
            self.segments.append(Segment(set_cell_size(part, cells), part_style))
            self.used += cells
        if not fits and limit > 0:
            self.put(ELLIPSIS, style)

    def fill_to(self, column: int, style: Style) -> None:
        """Append blanks up to `column`."""
        if column > self.used:
            self.put(" " * (column - self.used), style)

    def put_right(self, text: str, width: int, style: Style) -> None:
        """Append text that is known to be fit, at the right of a column."""
        self.put(cut(text, width).rjust(width), style)


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, with an ellipsis where something is missing."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS if width > 1 else ELLIPSIS


def cut_path(path: str, width: int) -> str:
    """Return a path from disk without what has no room in `width` cells: its beginning and its last name stay.

    The last name takes at most two thirds of the room, and loses its own middle where it needs more: names of versions
    differ at their beginning. The result is not made safe; shown safely, it fits.
    """
    whole = cell_len(safe(path)) if len(path) <= width else width + 1
    if whole <= width or width < 2:
        return path
    name = path[max(path.rstrip("/").rfind("/"), 0) :]
    room = min(width - 1, max(width * 2 // 3, 1))
    if _fitting(name, room)[0] < len(name):
        count, used = _fitting(name, (room - 1) * 2 // 3)
        last, _ = _fitting(reversed(name), room - 1 - used)
        name = name[:count] + ELLIPSIS + (name[-last:] if last else "")
    count, _ = _fitting(path, width - 1 - cell_len(safe(name)))
    return path[:count] + ELLIPSIS + name


def cut_name(name: str, width: int) -> str:
    """Return a name from disk without what has no room in `width` cells: of `registry/team/name:tag` the end stays.

    Where not even the last part has room it loses its middle: versions differ at their end, and families at their
    beginning. The result is not made safe; shown safely, it fits.
    """
    if len(name) <= width and cell_len(safe(name)) <= width:
        return name
    if width < 2:
        return ELLIPSIS if width else ""
    start = name.rstrip("/").rfind("/", 0, -1)
    while start > 0:
        tail = name[start:]
        if len(tail) >= width or cell_len(safe(tail)) > width - 1:
            break
        further = name.rfind("/", 0, start)
        if further < 0 or cell_len(safe(name[further:])) > width - 1:
            return ELLIPSIS + tail
        start = further
    last = name[start + 1 :]
    if start > 0 and len(last) <= width and cell_len(safe(last)) <= width:
        return last
    count, used = _fitting(last[: width * _LONGEST], (width - 1) * 2 // 3)
    end, _ = _fitting(reversed(last[-width * _LONGEST :]), width - 1 - used)
    return last[:count] + ELLIPSIS + (last[-end:] if end else "")


def broken(text: str, width: int) -> list[str]:
    """Break a text that is fit for the screen into lines of at most `width` cells, at blanks, or behind slashes.

    A word that is too long for a line, as a digest may be, comes in lines of one length, without a rest of few
    characters.
    """
    width = max(width, 2)
    lines = []
    while cell_len(text) > width:
        head = _head(text, width)
        if text[len(head)] == " ":
            end = len(head)
        else:
            end = head.rfind(" ", len(head) // 2) + 1 or head.rfind("/", len(head) // 2) + 1
        if not end:
            rest = cell_len(_WORD_END.split(text[len(head) :], maxsplit=1)[0])
            start = max(head.rfind(" "), head.rfind("/")) + 1
            whole = start and cell_len(head[start:]) + rest <= width
            end = start if whole else len(_head(text, -(-(width + rest) // -(-(width + rest) // width))))
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip(" ")
    return [*lines, text]


def _head(text: str, width: int) -> str:
    """Return the beginning of a text that has room in `width` cells."""
    head = set_cell_size(text, width)
    return head if text.startswith(head) else head[:-1]  # a blank stands for half of a wide character


def _fitting(characters: Iterable[str], width: int) -> tuple[int, int]:
    """Return how many of the first characters fit, and the cells that they take."""
    count = used = 0
    for character in characters:
        cells = cell_len(safe(character))
        if used + cells > width:
            break
        count, used = count + 1, used + cells
    return count, used


def join_some(names: Iterable[str], room: int, separator: str = ", ") -> str:
    """Join names that are fit for the screen while they fit in `room` cells; the others are counted: "a, b +3"."""
    all_names = list(names)
    text = ""
    for number, name in enumerate(all_names):
        longer = f"{text}{separator}{name}" if number else name
        rest = len(all_names) - number - 1
        tail = f" +{rest}" if rest else ""
        if cell_len(longer) + len(tail) > room:
            missing = f" +{len(all_names) - number}" if number else tail
            return f"{text or cut_name(name, room - len(missing))}{missing}"
        text = longer
    return text


def layered(widget: Widget, *names: str) -> Style:
    """Return what a component style itself says, with transparent colours mixed as they would be on the widget."""
    own = widget.get_component_rich_style(*names, partial=True)
    mixed = widget.get_component_rich_style(*names)
    return own + Style.from_color(mixed.color if own.color else None, mixed.bgcolor if own.bgcolor else None)


def one_band(segments: Iterable[Segment], base: Style) -> list[Segment]:
    """Return a reversed line in the colours of its background alone; any other as it is.

    Reversed, the colour of each word is behind it, and without colours that is a band of many greys.
    """
    if not base.reverse:
        return list(segments)
    plain = Style(color=base.color, bgcolor=base.bgcolor, reverse=True, dim=False)
    return list(Segment.apply_style(segments, post_style=plain))


def base_style(widget: Widget) -> Style:
    """Return the widget's own style. The same as `rich_style`, which Textual works out anew for every line."""
    return widget.visual_style.rich_style
