"""The preview of a file: numbered lines of text, or bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from layertui.keys.actions import bindings
from layertui.keys.sentences import with_keys
from layertui.panels.files.actions import PREVIEW_ACTIONS
from layertui.panels.files.preview_model import ADDRESS, FIRST, LIMIT, Preview, Start, describe, row_bytes_for
from layertui.panels.files.syntax import Run, Tones
from layertui.text.format import size_text
from layertui.text.safe import pieces, safe
from layertui.widgets.cells import Line, base_style, cut_path, layered
from layertui.widgets.line_view import LineView
from layertui.widgets.one_line import OneLine

_SIDEWAYS = 8
_LONG = 4000
_LONGEST = 8  # characters of a line that are made safe for each cell of the width
_BEFORE = 3  # blank cells around the number of a line
_AFTER = 1  # blank cells beside the scroll bar


class PreviewHead(OneLine):
    """The line above the preview: the path of the file, and how much of it was read."""

    DEFAULT_CSS = """
    PreviewHead {
        background: $surface;
        & .preview--path { color: $accent; text-style: bold; }
        & .preview--dim { color: $foreground 60%; }
        & .preview--escape { color: $warning; text-style: reverse dim; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"preview--path", "preview--dim", "preview--escape"}

    path = ""
    text = ""

    def show(self, path: str, text: str) -> None:
        """Show another path and text."""
        self.path, self.text = path, text
        self.refresh()

    def fill(self, line: Line, base: Style) -> None:
        """Draw the path and the text."""
        line.put(" ", base)
        room = max(line.room - len(self.text) - 3, 12)
        escape = self.style_of("preview--escape")
        line.put_foreign(cut_path(self.path, room), self.style_of("preview--path"), escape, room)
        line.put("  " + self.text, self.style_of("preview--dim"))


class PreviewView(LineView, can_focus=True):
    """Shows the lines of a `Preview`, or sentences about a file without content, and asks for more near the end."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PREVIEW_ACTIONS)
    DEFAULT_CSS = """
    PreviewView {
        height: 1fr;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        background: $background;
        & .preview--line { color: $foreground 45%; }
        & .preview--dim { color: $foreground 60%; }
        & .preview--bytes { color: $text-accent; }
        & .preview--comment { color: $foreground 60%; }
        & .preview--string { color: $success; }
        & .preview--keyword { color: $accent; }
        & .preview--number { color: $warning; }
        & .preview--name { color: $secondary; }
        & .preview--escape { color: $warning; text-style: reverse dim; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "preview--line",
        "preview--comment",
        "preview--string",
        "preview--keyword",
        "preview--number",
        "preview--name",
        "preview--dim",
        "preview--bytes",
        "preview--escape",
    }

    class MoreWanted(Message):
        """The next piece of the file is needed."""

        def __init__(self, view: PreviewView, offset: int) -> None:
            self.view = view
            self.offset = offset
            super().__init__()

        @property
        def control(self) -> PreviewView:
            """The view."""
            return self.view

    class Changed(Message):
        """More was read, or it is shown in another way."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.preview: Preview | None = None
        self._sentences: list[str] = []
        self._notes: list[str] = []
        """The sentences, escaped and wrapped."""
        self._left = 0
        self._asked = -1
        self._to_end = False

    # Content

    def show(self, start: Start, *, again: bool = False) -> None:
        """Show a file from its beginning, or from the current line if it is the same one `again`."""
        before, line, left = self.preview, self.scroll_offset.y, self._left
        self._sentences = describe(start)
        content = not start.problem and start.file.size > 0 and bool(start.piece)
        self.preview = Preview(start.file.size, start.piece) if content else None
        self._left, self._asked, self._to_end = 0, -1, False
        if again and before is not None and self.preview is not None:
            self.preview.hex, self._left = before.hex, left
            self._measure()
            self._go(line)
            return
        self.scroll_to(y=0, animate=False, immediate=True)
        self._measure()

    def colour(self, tones: Tones) -> None:
        """Colour the first lines."""
        if self.preview is not None:
            self.preview.tones = tones
            self.refresh()

    def clear(self, note: str) -> None:
        """Show only a note."""
        self.preview, self._sentences = None, [note]
        self._measure()

    def add(self, offset: int, piece: bytes, asked: int) -> None:
        """Add a piece, unless it does not start where the content ends."""
        if self.preview is None or offset != len(self.preview.data):
            return
        self.preview.add(piece, asked)
        self._measure()
        if self._to_end:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
            self._to_end = not self.preview.full
        self._look_ahead()

    @property
    def status(self) -> str:
        """The kind of the content, and how much of it was read."""
        preview = self.preview
        if preview is None:
            return ""
        kind = "bytes" if preview.hex else "text"
        if preview.ended:
            return f"{kind}, {size_text(len(preview.data))}"
        read = f"{size_text(len(preview.data))} of {size_text(preview.size)}"
        if len(preview.data) >= LIMIT:
            return with_keys(f"first {read}; {{preview.extract}} extracts all")
        return f"{kind}, {read} read"

    def _measure(self) -> None:
        cells = self.scrollable_content_region.width
        if self.preview is not None:
            self.preview.row_bytes = row_bytes_for(cells - ADDRESS - _BEFORE - _AFTER)
        width = max(cells - 2, 10)
        self._notes = [line for text in self._sentences for line in textwrap.wrap(safe(text[:_LONG]), width)]
        head = len(self._notes) + (1 if self._notes and self.preview is not None else 0)
        self.set_line_count(head + (len(self.preview) if self.preview is not None else 0))
        self.refresh()
        self.post_message(self.Changed())

    def _look_ahead(self) -> None:
        """Ask for more when the end of what was read is near."""
        preview = self.preview
        if preview is None or preview.full or self._asked == len(preview.data):
            return
        height = self.scrollable_content_region.height
        if self._to_end or self.scroll_offset.y + 3 * height >= self.virtual_size.height:
            self._asked = len(preview.data)
            self.post_message(self.MoreWanted(self, self._asked))

    def on_resize(self) -> None:
        """Fit the lines to the new width, keeping the first visible byte where it is."""
        preview, line = self.preview, self.scroll_offset.y
        before = preview.row_bytes if preview is not None else 0
        self._measure()
        if preview is not None and preview.hex and preview.row_bytes != before:
            self.scroll_to(y=line * before // preview.row_bytes, animate=False, immediate=True)
        self._look_ahead()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        base = base_style(self)
        width = self.scrollable_content_region.width
        line = Line(width)
        number = y + self.scroll_offset.y
        if number < len(self._notes):
            line.put(f" {self._notes[number]}", base + layered(self, "preview--dim"))
        elif self.preview is not None:
            number -= len(self._notes) + (1 if self._notes else 0)
            if 0 <= number < len(self.preview):
                self._put(line, self.preview, number, base)
        line.fill_to(width, base)
        return Strip(line.segments, line.used)

    def _put(self, line: Line, preview: Preview, number: int, base: Style) -> None:
        numbers = base + layered(self, "preview--line")
        line.put(f" {preview.number(number):>{preview.number_width}}  ", numbers)
        if preview.hex:
            digits, characters = preview.bytes(number)
            text = f"{digits}  {characters}"[self._left :]
            cut = max(0, len(digits) - self._left)
            line.put(text[:cut], base)
            line.put(text[cut:], base + layered(self, "preview--bytes"))
            return
        text = preview.text(number)
        if self._left < len(text):
            parts = self._coloured(text, preview.runs(number), base, self._left, self._left + line.room * _LONGEST)
            line.put_parts(parts, base, line.room, whole=len(text) <= self._left + line.room * _LONGEST)
        elif text:
            line.put("‹", numbers)

    def _coloured(self, text: str, runs: Sequence[Run], base: Style, first: int, end: int) -> list[tuple[str, Style]]:
        """Return the characters from `first` to `end`, escaped and in the colours of `runs`.

        The text is escaped as a whole before it is coloured, so the escapes do not depend on the colours.
        """
        styles: list[str] = []
        for begin, stop, tone in runs:
            styles += [""] * (begin - len(styles)) + [tone] * (stop - begin)
        parts: list[tuple[str, Style]] = []
        at = first
        for piece, escaped in pieces(text[first:end]):
            if escaped:
                parts.append((piece, base + layered(self, "preview--escape")))
                at += 1
                continue
            for tone, group in groupby(zip(piece, chain(styles[at:], repeat("")), strict=False), key=itemgetter(1)):
                style = base + layered(self, f"preview--{tone}") if tone else base
                parts.append(("".join(character for character, _ in group), style))
            at += len(piece)
        return parts

    # Actions

    def action_move(self, lines: int) -> None:
        """Scroll by lines."""
        self._go(self.scroll_offset.y + lines)

    def action_page(self, pages: int) -> None:
        """Scroll by screenfuls."""
        self._go(self.scroll_offset.y + pages * max(1, self.scrollable_content_region.height - 1))

    def action_edge(self, where: str) -> None:
        """Go to the beginning, or read the file to the end and go there."""
        self._to_end = where == "last" and self.preview is not None and not self.preview.full
        self._go(0 if where == "first" else self.max_scroll_y, keep=True)

    def _go(self, line: int, *, keep: bool = False) -> None:
        self._to_end = self._to_end and keep
        self.scroll_to(y=max(0, min(line, self.max_scroll_y)), animate=False, immediate=True)
        self._look_ahead()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Read on, whether a key or the mouse scrolls."""
        super().watch_scroll_y(old, new)
        self._look_ahead()

    def action_sideways(self, steps: int) -> None:
        """Scroll right or left, for long lines."""
        self._left = max(0, min(self._left + steps * _SIDEWAYS, 4 * FIRST))
        self.refresh()

    def action_toggle_hex(self) -> None:
        """Switch between bytes and text."""
        if self.preview is not None:
            self.preview.hex = not self.preview.hex
            self._left = 0
            self.scroll_to(y=0, animate=False, immediate=True)
            self._measure()


def title_of(start: Start) -> str:
    """Return the path of a file, and for a link also the path that it leads to."""
    return start.entry.path if start.end is None else f"{start.entry.path} → {safe(start.end.path)}"
