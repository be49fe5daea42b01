"""Edit the text that is kept with a layer."""

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
    """Return a text for the editor: lines and tabs as they are, all else that a screen would act on as escapes."""
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in text.split("\n"))


def restored(shown: str, original: str) -> str:
    """Return what is meant by the text in the editor: lines of `original` that were left alone are as they were."""
    kept = {editable(line): line for line in original.split("\n")}
    return "\n".join(kept.get(line, line) for line in shown.split("\n"))


def pretty(text: str) -> str | None:
    """Return JSON indented for reading; None where the text is no JSON object or list."""
    try:
        value = json.loads(text)
        if not isinstance(value, dict | list):
            return None
        return json.dumps(value, ensure_ascii=False, indent=_INDENT)
    except (ValueError, RecursionError):
        return None


class SafeTextArea(TextArea):
    """An editor into which nothing can be pasted that a terminal would obey."""

    async def on_paste(self, event: events.Paste) -> None:
        """Take the lines of what the terminal pastes, without control characters."""
        event.prevent_default()
        event.stop()
        self._put(event.text)

    def action_paste(self) -> None:
        """Do the same with what was copied inside the program."""
        self._put(self.app.clipboard)

    def _put(self, text: str) -> None:
        if not self.read_only:
            lines = text.replace("\r\n", "\n").replace("\r", "\n")
            clean = "".join(char for char in lines if char in "\n\t" or safe(char) == char)
            self.replace(clean, *sorted((self.selection.start, self.selection.end)), maintain_selection_offset=False)


class MetadataDialog(Dialog[str]):
    """Close with the text that the layer is to have, or None where nothing changes.

    What is typed is what is saved, to the byte; JSON can be looked at indented beside it, and not be edited so.
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
        """Yield JSON, Cancel and Save."""
        yield Button("Indented", id="indent", compact=True)
        yield from super().compose_buttons()
        yield Button("Save", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Say what the text is."""
        self._show_note()

    @property
    def _editor(self) -> TextArea:
        return self.query_one("#text", TextArea)

    @property
    def _indented(self) -> TextArea:
        return self.query_one("#indented", TextArea)

    @property
    def text(self) -> str:
        """What would be saved."""
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
            parts.append("JSON, indented for reading: what is saved stays as it was typed")
        elif self._is_json:
            parts.append("JSON: ctrl+t shows it indented; it is saved exactly as typed")
        note = Content(" · ".join(parts))
        if self._escaped:
            warning = "! Characters that cannot be shown are written as escapes; a line that is left alone keeps them."
            note = Content("\n").join([note, Content.styled(warning, "$text-warning")])
        self.query_one("#note", Static).update(note)
        self.query_one("#indent", Button).display = self._is_json
        self.refresh_bindings()

    def offers(self, action: str) -> bool | None:
        """Offer the indented view of what is JSON."""
        return self._is_json or action != "indent"

    @on(Button.Pressed, "#indent")
    def action_indent(self) -> None:
        """Show JSON indented, or the text to edit again."""
        showing = not self._indented.display
        if showing:
            self._indented.load_text(editable(pretty(self.text) or ""))
        self._indented.display, self._editor.display = showing, not showing
        self.query_one("#indent", Button).label = "As it is" if showing else "Indented"
        (self._indented if showing else self._editor).focus()
        self._show_note()

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        """Close with the text."""
        self.dismiss(self.text if self.edited else None)

    def action_cancel(self) -> None:
        """Close; ask before an edit is lost."""
        close_or_ask(self, edited=self.edited)
