"""The JSON panel."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from layertui.keys.sentences import with_keys
from layertui.model.view import StoreView
from layertui.panels.base import Browser, Panel
from layertui.panels.json.jobs import Record, record_job
from layertui.panels.json.model import JsonText
from layertui.panels.json.tree import STEP, JsonTree, JsonValue
from layertui.text.format import plural, size_text
from layertui.text.safe import safe

_BLOBS = 4
_AROUND = 4  # cells of a line that are not indentation, key or value: the sign of the fold, and the blanks at the edge
_VALUE_LINES = 4
_LOOKED_AT = 2000  # lines that are searched for the longest value
_LOW = 12  # the greatest height of a panel that gives half of it to the value


class JsonPanel(Panel):
    """Shows the record of the layer under the cursor as it is on disk, and reads it again when the store changes."""

    DEFAULT_CSS = """
    JsonPanel {
        & #json-note { display: none; }
        & #json-blobs { display: none; height: auto; max-height: 6; padding: 0 1; color: $foreground 70%; }
        &.-note { & #json-note { display: block; } & JsonTree { height: 0; } }
        &.-blobs #json-blobs { display: block; }
        &.-long JsonValue { display: block; }
        &.-note JsonValue { display: none; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._browser: Browser | None = None
        self._wanted: tuple[str, StoreView] | None = None
        self._shown = ""

    def compose(self) -> ComposeResult:
        """Yield the note, the lines and the blobs."""
        yield Static("", id="json-note", classes="note", markup=False)
        yield JsonTree(id="json-tree")
        yield JsonValue()
        yield Static("", id="json-blobs", markup=False)

    def show(self, browser: Browser) -> None:
        """Read the record of the layer under the cursor."""
        self._browser = browser
        row = browser.row
        if row is None:
            self._wanted, self._shown = None, ""
            self.show_note("No layer")
            return
        wanted = (row.id, browser.view)
        if self._wanted == wanted:
            return
        self._wanted = wanted

        def found(record: Record) -> None:
            if self._wanted is not None and self._wanted[0] == wanted[0]:
                self.show_record(record.text, record.blobs, start=wanted[0] != self._shown)
                self._shown = wanted[0]

        def failed(error: Exception) -> None:
            self._shown = ""
            self.show_note(f"The record cannot be read: {safe(str(error))}")

        browser.jobs.submit(record_job(browser.store, row.id), self, found, failed)

    def forget(self) -> None:
        """Read the record again."""
        self._wanted = None

    def on_json_tree_copy_wanted(self, event: JsonTree.CopyWanted) -> None:
        """Copy a value."""
        event.stop()
        if self._browser is not None:
            self._browser.copy(event.text, event.what, lines=event.lines)

    def show_note(self, note: str) -> None:
        """Show a note instead of the record."""
        self.query_one("#json-note", Static).update(Content(note))
        self.set_class(bool(note), "-note")
        self.set_class(False, "-blobs")

    def show_record(self, record: JsonText, blobs: dict[str, int | None], *, start: bool) -> None:
        """Show a record, and the names and sizes of its big data."""
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
        """Give the value as many lines as the longest value that the tree cuts, wherever the cursor is."""
        record = self.query_one(JsonTree).record
        width = self.size.width - _AROUND
        long = [
            len(line.value)
            for line in (record.lines[:_LOOKED_AT] if record is not None else ())
            if line.level * STEP + len(line.key) + len(line.value) + 3 > width
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
