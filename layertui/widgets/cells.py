"""Drawing of lines: escaped text, truncated to a number of cells, as styled segments."""

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
_MAX_CHARACTERS = 8  # per cell; only stacks of combining accents have more


class Line:
    """A line of a fixed width, filled from the left."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.used = 0
        self.segments: list[Segment] = []

    @property
    def room(self) -> int:
        """The number of free cells."""
        return self.width - self.used

    def put(self, text: str, style: Style) -> None:
        """Append printable text, truncated to the free cells."""
        cells = cell_len(text)
        if cells > self.room:
            text, cells = cut(text, self.room), self.room
        if cells > 0:
            self.segments.append(Segment(text, style))
            self.used += cells

    def put_foreign(self, text: str, style: Style, escape: Style, most: int | None = None) -> None:
        """Append text from disk in at most `most` cells, with escapes in the style `escape`."""
        room = self.room if most is None else min(self.room, most)
        shown = text[: max(1, room * _MAX_CHARACTERS)]
        parts = [(part, escape if escaped else style) for part, escaped in pieces(shown)]
        self.put_parts(parts, style, room, whole=len(shown) == len(text))

    def put_parts(self, parts: Sequence[tuple[str, Style]], style: Style, room: int, *, whole: bool) -> None:
        """Append printable parts in at most `room` cells.

        They end in an ellipsis if they do not fit or are not the `whole` text.
        """
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
        """Append spaces up to `column`."""
        if column > self.used:
            self.put(" " * (column - self.used), style)

    def put_right(self, text: str, width: int, style: Style) -> None:
        """Append printable text, right-aligned in a column of `width` cells."""
        self.put(cut(text, width).rjust(width), style)


def cut(text: str, width: int) -> str:
    """Return `text` truncated to `width` cells, with an ellipsis at the end if anything is missing."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS if width > 1 else ELLIPSIS


def cut_path(path: str, width: int) -> str:
    """Return a path from disk shortened in the middle, to fit into `width` cells once it is escaped.

    The start of the path and its last name are kept. A last name that takes more than two thirds of the width is
    shortened in the middle too, which keeps its start, where versions of a file differ.
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
    """Return a name from disk shortened to fit into `width` cells once it is escaped.

    Leading parts of a name such as `registry/team/name:tag` are removed first. If the last part alone is too long, it
    is shortened in the middle, which keeps the family at its start and the version at its end.
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
    count, used = _fitting(last[: width * _MAX_CHARACTERS], (width - 1) * 2 // 3)
    end, _ = _fitting(reversed(last[-width * _MAX_CHARACTERS :]), width - 1 - used)
    return last[:count] + ELLIPSIS + (last[-end:] if end else "")


def broken(text: str, width: int) -> list[str]:
    """Wrap printable text into lines of at most `width` cells, at spaces or after slashes.

    A word that is too long for one line, such as a digest, is split into parts of equal length.
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
    """Return the start of a text that fits into `width` cells."""
    head = set_cell_size(text, width)
    return head if text.startswith(head) else head[:-1]  # half of a wide character becomes a space


def _fitting(characters: Iterable[str], width: int) -> tuple[int, int]:
    """Return how many characters fit into `width` cells once they are escaped, and how many cells they take."""
    count = used = 0
    for character in characters:
        cells = cell_len(safe(character))
        if used + cells > width:
            break
        count, used = count + 1, used + cells
    return count, used


def join_some(names: Iterable[str], room: int, separator: str = ", ") -> str:
    """Join as many printable names as fit into `room` cells and count the others, as in "a, b +3"."""
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
    """Return a component style without the style of the widget, for combining it with another one.

    Transparent colours are blended with those of the widget.
    """
    own = widget.get_component_rich_style(*names, partial=True)
    mixed = widget.get_component_rich_style(*names)
    return own + Style.from_color(mixed.color if own.color else None, mixed.bgcolor if own.bgcolor else None)


def one_band(segments: Iterable[Segment], base: Style) -> list[Segment]:
    """Return the segments in one colour if the base style is reversed, else unchanged.

    In a reversed line, the text colours would become the backgrounds and without colour a band of several greys.
    """
    if not base.reverse:
        return list(segments)
    plain = Style(color=base.color, bgcolor=base.bgcolor, reverse=True, dim=False)
    return list(Segment.apply_style(segments, post_style=plain))


def base_style(widget: Widget) -> Style:
    """Return the style of the widget. Unlike `rich_style`, it is cached by Textual."""
    return widget.visual_style.rich_style
