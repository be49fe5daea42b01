"""The lines of a record as a tree, and the whole value under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from layertui.keys.actions import bindings
from layertui.keys.sentences import with_keys
from layertui.panels.json.actions import JSON_ACTIONS
from layertui.panels.json.model import JsonText
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, broken, layered
from layertui.widgets.tree.tree import VirtualTree

STEP = 2
"""Cells of indentation for each level."""

_EDGE = 1  # blank cells at the right


class JsonTree(VirtualTree):
    """Shows the lines of a record. Objects and lists fold."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(JSON_ACTIONS)
    DEFAULT_CSS = """
    JsonTree {
        & .json--key { color: $text-accent; }
        & .json--string { color: $text-success; }
        & .json--number { color: $text-warning; }
        & .json--word { color: $text-secondary; }
        & .json--sign { color: $foreground 60%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"json--key", "json--string", "json--number", "json--word", "json--sign"}

    class CopyWanted(Message):
        """The user asks to copy a value."""

        def __init__(self, tree: JsonTree, text: str, what: str, *, lines: bool) -> None:
            self.tree = tree
            self.text = text
            self.what = what
            self.lines = lines
            super().__init__()

        @property
        def control(self) -> JsonTree:
            """The tree."""
            return self.tree

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.record: JsonText | None = None

    def show(self, record: JsonText, *, start: bool) -> None:
        """Show a record, from the top with `start`."""
        self.record = record
        if start:
            self.start_nodes(record.shape, record.keys)
        else:
            self.show_nodes(record.shape, record.keys)

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a line as it is written."""
        assert self.record is not None
        item = self.record.lines[node]
        line = Line(width - _EDGE)
        sign = base + self.quiet_style_of("json--sign", node)
        escape = base + self.style_of("tree--escape")
        folded = node in self.folding.folded
        line.put(" ▸" if folded else "  ", base + self.quiet_style_of("tree--guides", node))
        line.put(" " * min(item.level * STEP, width // 2), base)
        if item.key:
            line.put_foreign(item.key, base + self.style_of("json--key"), escape)
            line.put(": ", sign)
        line.put_foreign(item.value, base + self._style(item.value, node), escape)
        if folded:
            inside = sum(1 for _ in self.shape.children(node)) - 1
            close = "}" if item.value == "{" else "]"
            line.put(f" {inside:,} … {close}", base + self.quiet_style_of("tree--dim", node))
        line.put(self.record.lines[self.shape.ends[node] - 1].tail if folded else item.tail, sign)
        line.width = width
        line.fill_to(width, base)
        return line.segments

    def _style(self, value: str, node: int) -> Style:
        first = value[:1]
        if first == '"':
            return self.style_of("json--string")
        if first in "{}[]":
            return self.quiet_style_of("json--sign", node)
        return self.style_of("json--number" if first in "-0123456789" else "json--word")

    def action_toggle_fold(self) -> None:
        """Fold or unfold the object or list under the cursor. Do nothing on other values."""
        if self.cursor_node >= 0 and not self.shape.is_leaf(self.cursor_node):
            self.toggle(self.cursor_node)

    def action_copy_value(self) -> None:
        """Ask to copy the value under the cursor."""
        node = self.cursor_node
        if self.record is not None and node >= 0:
            what = self.record.lines[node].key.strip('"') or ("the record" if self.shape.parents[node] < 0 else "value")
            lines = self.record.is_lines(node)
            self.post_message(self.CopyWanted(self, self.record.value_of(node), what, lines=lines))


class JsonValue(Widget):
    """Shows the value under the cursor as it would be copied, wrapped to the height of the widget, or a note."""

    DEFAULT_CSS = """
    JsonValue {
        display: none;
        background: $surface;
        & .json--string { color: $text-success; }
        & .json--dim { color: $foreground 60%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"json--string", "json--dim"}

    value = ""
    note = ""

    def show(self, value: str, note: str = "") -> None:
        """Show a value, or a note instead of one."""
        if (value, note) != (self.value, self.note):
            self.value, self.note = value, note
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a line of the value."""
        base = base_style(self)
        line = Line(self.size.width)
        room, height = line.width - 2, self.size.height
        parts = broken(safe(self.value[: room * (height + 1)]), room)
        line.put(" ", base)
        if self.note:
            line.put(self.note if y == 0 else "", base + layered(self, "json--dim"))
        elif y == height - 1 and (len(parts) > height or len(self.value) > room * (height + 1)):
            text = with_keys(f"… {len(self.value):,} characters in all; {{json.copy}} copies them")
            line.put(text, base + layered(self, "json--dim"))
        elif y < len(parts):
            line.put(parts[y], base + layered(self, "json--string"))
        line.fill_to(line.width, base)
        return Strip(line.segments, line.used)
