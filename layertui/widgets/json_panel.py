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
from textual.widgets import Static

from layertui.format import plural, size_text
from layertui.jsontext import JsonText
from layertui.keys import JSON_BINDINGS
from layertui.safe import safe
from layertui.widgets.cells import Line
from layertui.widgets.virtual_tree import VirtualTree

_STEP = 2
_BLOBS = 4


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
        line = Line(width)
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


class JsonPanel(Vertical):
    """Shows a record that somebody else reads."""

    DEFAULT_CSS = """
    JsonPanel {
        height: 1fr;
        & #json-note { display: none; padding: 1; color: $foreground 70%; }
        & #json-blobs { display: none; height: auto; max-height: 6; padding: 0 1; color: $foreground 70%; }
        &.-note { & #json-note { display: block; } & JsonTree { height: 0; } }
        &.-blobs #json-blobs { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        """Yield the note, the lines and the blobs."""
        yield Static("", id="json-note", markup=False)
        yield JsonTree(id="json-tree")
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
        if blobs:
            shown = [f"{safe(name)}  {_blob_size(size)}" for name, size in list(blobs.items())[:_BLOBS]]
            rest = [f"and {len(blobs) - _BLOBS:,} more"] if len(blobs) > _BLOBS else []
            title = f"{plural(len(blobs), 'blob')} kept with the layer (big data)"
            self.query_one("#json-blobs", Static).update(Content("\n".join([title, *shown, *rest])))
            self.set_class(True, "-blobs")


def _blob_size(size: int | None) -> str:
    return "missing" if size is None else size_text(size)
