"""The dialog that lists the layers of a chain that contain a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from layerstore.content.files import Occurrence
from layerstore.model import ChangeKind, Layer
from layertui.dialogs.dialog import LIST_BINDINGS, ChoiceList, Dialog
from layertui.dialogs.labels import layer_label, short_id
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.text import MUTED

_KINDS = {
    ChangeKind.ADD: ("A", "added", "$text-success"),
    ChangeKind.MODIFY: ("M", "modified", "$text-warning"),
    ChangeKind.DELETE: ("D", "deleted", "$text-error"),
}


class OccurrencesDialog(Dialog[str]):
    """Lists layers from the top down. The result is the ID of the chosen layer."""

    DEFAULT_CSS = """
    OccurrencesDialog {
        .dialog-box { width: 84; }
        #path { height: auto; max-height: 3; margin-bottom: 1; }
        OptionList { height: auto; max-height: 16; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [*LIST_BINDINGS]

    def __init__(self, path: str, occurrences: Sequence[Occurrence], layers: Mapping[str, Layer]) -> None:
        super().__init__(f"Found in {plural(len(occurrences), 'layer')} of the chain")
        self._path = path
        self._occurrences = occurrences[::-1]
        self._layers = layers

    def compose_body(self) -> ComposeResult:
        """Yield the path and one line per layer."""
        yield Static(Content(safe(self._path)), id="path", markup=False)
        yield ChoiceList(*(Option(self._line(found)) for found in self._occurrences), markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Cancel and Go to."""
        yield from super().compose_buttons()
        yield Button("Go to", id="go", variant="primary", compact=True)

    def _line(self, found: Occurrence) -> Content:
        letter, word, colour = _KINDS[found.kind]
        size = size_text(found.size) if found.kind is not ChangeKind.DELETE else ""
        layer = self._layers.get(found.layer)
        name = layer_label(layer) if layer is not None else Content(short_id(found.layer))
        return Content.assemble((f"{letter} {word:<9}", f"bold {colour}"), (f"{size:>9}  ", MUTED), name)

    @on(OptionList.OptionSelected)
    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Close with the layer under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None:
            self.dismiss(self._occurrences[highlighted].layer)
