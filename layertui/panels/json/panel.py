"""The JSON panel: a layer's record as it stands on disk, indented, with a cursor; what is under it can be copied."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from layertui.keys.actions import JSON_BINDINGS
from layertui.keys.keynames import with_keys
from layertui.panels.json.model import JsonText
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, broken, layered
from layertui.widgets.tree.tree import VirtualTree

_STEP = 2
_EDGE = 1  # blank cells at the right
_BLOBS = 4
_AROUND = 4  # cells of a line that are not indentation, key or value: the mark of the fold, and the blanks at the edge
_VALUE_LINES = 4
_LOOKED_AT = 2000  # lines among which the longest value is searched for
_LOW = 12  # lines of the panel up to which the value has half of them


class JsonTree(VirtualTree):
    """Lines of a record; objects and lists fold."""

    BINDINGS: ClassVar[list[BindingType]] = [*JSON_BINDINGS]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"json--key", "json--string", "json--number", "json--word", "json--sign"}

    class CopyWanted(Message):
        """A value is to be copied."""

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

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.record: JsonText | None = None

    def show(self, record: JsonText, *, start: bool) -> None:
        """Show a record; from the top with `start`."""
        self.record = record
        if start:
            self.start_nodes(record.shape, record.keys)
        else:
            self.show_nodes(record.shape, record.keys)

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a line as it would be written."""
        assert self.record is not None
        item = self.record.lines[node]
        line = Line(width - _EDGE)
        sign = base + self.quiet_style_of("json--sign", node)
        escape = base + self.style_of("tree--escape")
        folded = node in self.folding.folded
        line.put(" ▸" if folded else "  ", base + self.quiet_style_of("tree--guides", node))
        line.put(" " * min(item.level * _STEP, width // 2), base)
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
        """Fold or unfold an object or a list; nothing else does anything."""
        if self.cursor_node >= 0 and not self.shape.is_leaf(self.cursor_node):
            self.toggle(self.cursor_node)

    def action_copy_value(self) -> None:
        """Ask to copy what is under the cursor."""
        node = self.cursor_node
        if self.record is not None and node >= 0:
            what = self.record.lines[node].key.strip('"') or ("the record" if self.shape.parents[node] < 0 else "value")
            lines = self.record.is_lines(node)
            self.post_message(self.CopyWanted(self, self.record.value_of(node), what, lines=lines))


class JsonValue(Widget):
    """All of the value under the cursor, as it would be copied, on as many lines as it is given; or a note."""

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
        """Show a value, or a sentence of ours where there is none."""
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


class JsonPanel(Vertical):
    """Shows a record that somebody else reads."""

    DEFAULT_CSS = """
    JsonPanel {
        height: 1fr;
        & #json-note { display: none; }
        & #json-blobs { display: none; height: auto; max-height: 6; padding: 0 1; color: $foreground 70%; }
        &.-note { & #json-note { display: block; } & JsonTree { height: 0; } }
        &.-blobs #json-blobs { display: block; }
        &.-long JsonValue { display: block; }
        &.-note JsonValue { display: none; }
    }
    """

    def compose(self) -> ComposeResult:
        """Yield the note, the lines and the blobs."""
        yield Static("", id="json-note", classes="note", markup=False)
        yield JsonTree(id="json-tree")
        yield JsonValue()
        yield Static("", id="json-blobs", markup=False)

    def show_note(self, note: str) -> None:
        """Say why there is nothing to see."""
        self.query_one("#json-note", Static).update(Content(note))
        self.set_class(bool(note), "-note")
        self.set_class(False, "-blobs")

    def show_record(self, record: JsonText, blobs: dict[str, int | None], *, start: bool) -> None:
        """Show a record, and what is kept with it."""
        self.show_note("")
        self.query_one(JsonTree).show(record, start=start)
        self._make_room()
        self._show_value()
        if blobs:
            shown = [f"{safe(name)}  {_blob_size(size)}" for name, size in list(blobs.items())[:_BLOBS]]
            rest = [f"and {len(blobs) - _BLOBS:,} more"] if len(blobs) > _BLOBS else []
            title = f"{plural(len(blobs), 'blob')} kept with the layer (big data)"
            self.query_one("#json-blobs", Static).update(Content("\n".join([title, *shown, *rest])))
            self.set_class(True, "-blobs")

    def on_resize(self) -> None:
        """Make room for the longest value."""
        self._make_room()

    def on_virtual_tree_cursor_moved(self) -> None:
        """Show the value."""
        self._show_value()

    def _make_room(self) -> None:
        """Give values as many lines as the longest one needs that the tree has to cut, whichever the cursor is on."""
        record = self.query_one(JsonTree).record
        width = self.size.width - _AROUND
        long = [
            len(line.value)
            for line in (record.lines[:_LOOKED_AT] if record is not None else ())
            if line.level * _STEP + len(line.key) + len(line.value) + 3 > width
        ]
        most = _VALUE_LINES if self.size.height > _LOW else 2
        self.set_class(bool(long), "-long")
        self.query_one(JsonValue).styles.height = min(-(-max(long, default=0) // max(width, 1)), most)

    def _show_value(self) -> None:
        tree = self.query_one(JsonTree)
        node = tree.cursor_node
        if tree.record is not None and node >= 0:
            if tree.record.is_lines(node):
                note = with_keys(f"{tree.record.inside(node)}; {{json.copy}} copies all")
                self.query_one(JsonValue).show("", note)
            else:
                self.query_one(JsonValue).show(tree.record.value_of(node))


def _blob_size(size: int | None) -> str:
    return "missing" if size is None else size_text(size)
