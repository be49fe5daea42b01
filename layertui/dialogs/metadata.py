"""The dialog for editing the metadata of a layer."""

from __future__ import annotations

import json
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static, TextArea

from layerstore.model import Layer
from layertui.dialogs.confirm import close_or_ask
from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import heading
from layertui.text.format import exact_size
from layertui.text.safe import safe

_INDENT = 2


def editable(text: str) -> str:
    """Return `text` with control characters escaped, except line ends and tabs."""
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in text.split("\n"))


def restored(shown: str, original: str) -> str:
    """Return the text in the editor, with unedited lines replaced by those of `original`, which are not escaped."""
    kept = {editable(line): line for line in original.split("\n")}
    return "\n".join(kept.get(line, line) for line in shown.split("\n"))


def pretty(text: str) -> str | None:
    """Return indented JSON, or None if the text is not a JSON object or array."""
    try:
        value = json.loads(text)
        if not isinstance(value, dict | list):
            return None
        return json.dumps(value, ensure_ascii=False, indent=_INDENT)
    except (ValueError, RecursionError):
        return None


class SafeTextArea(TextArea):
    """A text area that strips control characters from pasted text."""

    async def on_paste(self, event: events.Paste) -> None:
        """Insert text pasted by the terminal."""
        event.prevent_default()
        event.stop()
        self._put(event.text)

    def action_paste(self) -> None:
        """Insert text copied in the browser."""
        self._put(self.app.clipboard)

    def _put(self, text: str) -> None:
        if not self.read_only:
            lines = text.replace("\r\n", "\n").replace("\r", "\n")
            clean = "".join(char for char in lines if char in "\n\t" or safe(char) == char)
            self.replace(clean, *sorted((self.selection.start, self.selection.end)), maintain_selection_offset=False)


class MetadataDialog(Dialog[str]):
    """Edits the metadata. The result is the new text, None if it has not changed.

    The text is saved exactly as typed. JSON can be shown indented, but not edited in that form.
    """

    DEFAULT_CSS = """
    MetadataDialog {
        .dialog-box { width: 100; }
        TextArea, TextArea:focus { height: 45vh; min-height: 5; border: none; padding: 0; background: $panel; }
        #note { height: auto; margin-top: 1; color: $text-muted; }
    }
    """

    AUTO_FOCUS = "#text"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", tooltip="Close and write the text", id="metadata.save", priority=True),
        Binding(
            "ctrl+t,f2", "indent", "JSON", tooltip="Show JSON indented, for reading", id="metadata.json", priority=True
        ),
    ]

    def __init__(self, layer: Layer) -> None:
        super().__init__(heading("Metadata of", layer))
        self._before = layer.metadata
        self._escaped = editable(self._before) != self._before
        self._is_json = pretty(self._before) is not None

    def compose_body(self) -> ComposeResult:
        """Yield the editor, the indented view and the note."""
        yield SafeTextArea(editable(self._before), id="text", tab_behavior="focus", placeholder="No metadata")
        view = SafeTextArea(id="indented", read_only=True)
        view.display = False
        yield view
        yield Static(id="note", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Indented, Cancel and Save."""
        yield Button("Indented", id="indent", compact=True)
        yield from super().compose_buttons()
        yield Button("Save", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Show the size and the kind of the text."""
        self._show_note()

    @property
    def _editor(self) -> TextArea:
        return self.query_one("#text", TextArea)

    @property
    def _indented(self) -> TextArea:
        return self.query_one("#indented", TextArea)

    @property
    def text(self) -> str:
        """The text to save."""
        return restored(self._editor.text, self._before)

    @property
    def edited(self) -> bool:
        """Whether saving would change anything."""
        return self.text != self._before

    @on(TextArea.Changed, "#text")
    def _show_note(self) -> None:
        text = self.text
        edited = ", edited" if text != self._before else ""
        parts = [exact_size(len(text.encode("utf-8", "surrogatepass"))) + edited]
        self._is_json = pretty(text) is not None
        if self._indented.display:
            parts.append("JSON, indented for reading; it is saved as typed")
        elif self._is_json:
            parts.append("JSON; press ctrl+t to indent it for reading")
        note = Content(" · ".join(parts))
        if self._escaped:
            warning = "! Control characters are shown as escapes; unedited lines keep them."
            note = Content("\n").join([note, Content.styled(warning, "$text-warning")])
        self.query_one("#note", Static).update(note)
        self.query_one("#indent", Button).display = self._is_json
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer the indented view only for JSON."""
        return self._is_json or action != "indent"

    @on(Button.Pressed, "#indent")
    def action_indent(self) -> None:
        """Switch between the indented view and the editor."""
        showing = not self._indented.display
        if showing:
            self._indented.load_text(editable(pretty(self.text) or ""))
        self._indented.display, self._editor.display = showing, not showing
        self.query_one("#indent", Button).label = "Edit" if showing else "Indented"
        (self._indented if showing else self._editor).focus()
        self._show_note()

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        """Close with the text."""
        self.dismiss(self.text if self.edited else None)

    def action_cancel(self) -> None:
        """Close, after a confirmation if the text was edited."""
        close_or_ask(self, edited=self.edited)
