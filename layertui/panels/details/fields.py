"""A list of labelled values in groups, with a cursor to copy them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from layertui.keys.actions import bindings
from layertui.keys.sentences import with_keys
from layertui.model.summary import Field, Group
from layertui.panels.details.actions import FIELDS_ACTIONS
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, broken, cut, layered, one_band
from layertui.widgets.line_view import LineView

_LABEL = 10
_BELOW = 2  # indentation of a path that is written below its label
_MOST_LINES = 8
_ROOMY = 12  # the least height of a panel with blank lines between groups
_HEADING = -1


@dataclass(frozen=True, slots=True)
class _Row:
    """A line on the screen: part of a field, or a heading (field -1)."""

    field: int
    label: str
    text: str
    tone: str = ""
    below: bool = False
    """Whether the text takes the place of the label as well."""


class FieldList(LineView, can_focus=True):
    """Shows groups of fields, wrapping long values."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(FIELDS_ACTIONS)
    DEFAULT_CSS = """
    FieldList {
        height: 1fr;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        background: $background;
        & .fields--heading { color: $accent; text-style: bold; }
        & .fields--label { color: $foreground 60%; }
        & .fields--dim { color: $foreground 60%; }
        & .fields--strong { text-style: bold; }
        & .fields--good { color: $text-success; }
        & .fields--warning { color: $text-warning; }
        & .fields--error { color: $text-error; text-style: bold; }
        & .fields--cursor { background: $primary 35%; text-style: bold; }
        &:nocolor .fields--cursor { text-style: bold reverse; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fields--heading",
        "fields--label",
        "fields--dim",
        "fields--strong",
        "fields--good",
        "fields--warning",
        "fields--error",
        "fields--cursor",
    }

    cursor: reactive[int] = reactive(0, repaint=False)

    class CopyWanted(Message):
        """The user asks to copy a field."""

        def __init__(self, fields: FieldList, field: Field) -> None:
            self.fields = fields
            self.field = field
            super().__init__()

        @property
        def control(self) -> FieldList:
            """The list."""
            return self.fields

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._groups: Sequence[Group] = ()
        self._fields: list[Field] = []
        self._rows: list[_Row] = []
        self._empty = ""
        self._styles: dict[str, Style] = {}

    def show_groups(self, groups: Sequence[Group], *, empty: str = "", start: bool = True) -> None:
        """Replace the fields. With `start`, move the cursor to the first one."""
        before, cursor = self._rows, self.cursor
        self._groups, self._empty = groups, empty
        self._fields = [field for group in groups for field in group.fields]
        if start:
            self.set_reactive(FieldList.cursor, 0)
            self.scroll_to(y=0, animate=False, immediate=True)
        else:
            self.set_reactive(FieldList.cursor, self.validate_cursor(self.cursor))
        self._lay_out()
        if not before or not self._rows or cursor != self.cursor:
            self.refresh()
            return
        for number, (old, new) in enumerate(zip_longest(before, self._rows)):
            if old != new:
                self.refresh_line(number)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        self._rows = []
        rows = self._rows
        number = 0
        apart = self.size.height >= _ROOMY
        for group in self._groups:
            if rows and apart:
                rows.append(_Row(_HEADING, "", ""))
            rows.append(_Row(_HEADING, group.title, ""))
            for field in group.fields:
                rows.extend(_field_rows(number, field, width))
                number += 1
        self.set_line_count(len(rows))

    def on_resize(self) -> None:
        """Wrap the values to the new width."""
        self._lay_out()
        self.refresh()

    def notify_style_update(self) -> None:
        """Drop the cached colours of the previous theme."""
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        base = base_style(self)
        width = self.scrollable_content_region.width
        line = Line(width)
        number = y + self.scroll_offset.y
        if number < len(self._rows):
            self._draw(line, self._rows[number], base)
        elif not self._rows and y == self.size.height // 2:
            line.put(self._empty.center(width), base + self._style("dim"))
        line.fill_to(width, line.segments[-1].style or base if number < len(self._rows) and line.segments else base)
        cursor = number < len(self._rows) and self._is_chosen(self._rows[number])
        return Strip(one_band(line.segments, base + self._style("cursor")) if cursor else line.segments, line.used)

    def _is_chosen(self, row: _Row) -> bool:
        return row.field == self.cursor and self.has_focus

    def _draw(self, line: Line, row: _Row, base: Style) -> None:
        if row.field == _HEADING:
            line.put(" " + row.label, base + self._style("heading"))
            line.fill_to(line.width, base)
            return
        if self._is_chosen(row):
            base += self._style("cursor")
        label = " " * _BELOW if row.below else cut(row.label, _LABEL).ljust(_LABEL)
        line.put(" " + label, base + self._style("label"))
        line.put(("" if row.below else " ") + row.text, base + self._style(row.tone) if row.tone else base)
        line.fill_to(line.width, base)

    def _style(self, tone: str) -> Style:
        style = self._styles.get(tone)
        if style is None:
            style = self._styles[tone] = layered(self, f"fields--{tone}")
        return style

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on an existing field."""
        return max(0, min(cursor, len(self._fields) - 1))

    def watch_cursor(self) -> None:
        """Scroll the field under the cursor into view."""
        lines = [number for number, row in enumerate(self._rows) if row.field == self.cursor]
        if lines:
            height = self.scrollable_content_region.height
            first = 0 if self.cursor == 0 else lines[0]
            if first < self.scroll_offset.y:
                self.scroll_to(y=first, animate=False, immediate=True)
            elif lines[-1] >= self.scroll_offset.y + height:
                self.scroll_to(y=lines[-1] - height + 1, animate=False, immediate=True)
        self.refresh()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the field, and copy it on a double click."""
        offset = event.get_content_offset(self)
        number = offset.y + self.scroll_offset.y if offset is not None else len(self._rows)
        if number < len(self._rows) and self._rows[number].field != _HEADING:
            self.cursor = self._rows[number].field
            if event.chain == 2:
                self.action_copy_field()

    def action_move(self, fields: int) -> None:
        """Move the cursor."""
        self.cursor += fields

    def action_edge(self, where: str) -> None:
        """Move the cursor to the first or the last field."""
        self.cursor = 0 if where == "first" else len(self._fields) - 1

    def action_copy_field(self) -> None:
        """Ask to copy the field."""
        if self._fields:
            self.post_message(self.CopyWanted(self, self._fields[self.cursor]))


def _field_rows(number: int, field: Field, width: int) -> list[_Row]:
    """Wrap a value beside its label. A path goes below the label if that avoids breaking one of its names."""
    room = max(width - _LABEL - 3, 8)
    text = safe(field.value[: width * _MOST_LINES * 4])
    parts = broken(text, room)
    below = broken(text, max(width - _BELOW - 2, 8)) if text.startswith("/") and not _at_slashes(parts) else []
    if below and _at_slashes(below):
        lines = [_Row(number, "", part, field.tone, below=True) for part in below]
        return [_Row(number, safe(field.label), ""), *lines]
    if len(parts) > _MOST_LINES:
        text = with_keys(f"… {len(field.value):,} characters in all; {{fields.copy}} copies them")
        parts = [*parts[: _MOST_LINES - 1], text]
    return [_Row(number, "" if at else safe(field.label), part, field.tone) for at, part in enumerate(parts)]


def _at_slashes(parts: Sequence[str]) -> bool:
    return all(part.endswith("/") for part in parts[:-1])
