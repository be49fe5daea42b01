"""The dialog for starting a shell in a layer."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static

from layerstore.model import Layer
from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import heading, layer_label
from layertui.keys.sentences import key_of
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field

_HOST = (
    "A shell on this host, in the folder where the layer is mounted. It runs programs of the host. Symbolic links of "
    "the layer may lead out of the folder."
)
_INSIDE = (
    "The layer's own shell, with the layer as its root folder (chroot). Unlike in a container, there is no /proc, /dev "
    "or network setup, and its programs are not confined: they run as root on this host. Use it only for layers that "
    "you trust; podman run is the safe way."
)


class ShellDialog(Dialog[str]):
    """Asks which shell to start. The result is the path of a shell in the layer, or "" for the shell of the host.

    `inside` is the path of the shell in the layer, "" if it has none or this user may not call chroot.
    """

    DEFAULT_CSS = """
    ShellDialog {
        .dialog-box { width: 84; }
        #layer { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #shell-field { margin-top: 1; }
        #what, #warning { height: auto; margin-top: 1; }
        #what { color: $text-muted; }
        #warning { color: $text-warning; }
    }
    """

    AUTO_FOCUS = "#start"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", tooltip="Start the shell", show=False, id="shell.start"),
        Binding("c", "choose", "Host or layer", tooltip="Choose the other shell", id="shell.choose"),
    ]

    def __init__(self, layer: Layer, inside: str, *, images: int, containers: int, children: int) -> None:
        super().__init__(heading("Shell in", layer))
        self._layer = layer
        self._inside = inside
        counts = ((images, "image"), (containers, "container"), (children, "child layer"))
        self._users = [plural(count, noun) for count, noun in counts if count]

    def compose_body(self) -> ComposeResult:
        """Yield the choice, its description and a warning."""
        yield Field("Layer", Static(layer_label(self._layer), id="layer", markup=False))
        if self._inside:
            field = Field("Shell", Choice(["on the host", f"{safe(self._inside)} in the layer"]))
            field.id = "shell-field"
            yield field
        yield Static(_HOST, id="what", markup=False)
        yield Static(self._warning(), id="warning", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Cancel and Start."""
        yield from super().compose_buttons()
        yield Button("Start", id="start", variant="primary", compact=True)

    def _warning(self) -> Content:
        text = "! Changes made there change the layer, and an export no longer matches its original tar."
        if self._users:
            new = key_of("layer.create")
            text += f" It is used by {', '.join(self._users)}. To experiment, create a layer on top of it ({new})."
        return Content(text)

    @property
    def chosen(self) -> str:
        """The selected shell."""
        return self._inside if self._inside and self.query_one(Choice).index else ""

    @on(Choice.Changed)
    def _changed(self, event: Choice.Changed) -> None:
        event.stop()
        self.query_one("#what", Static).update(_INSIDE if self.chosen else _HOST)
        self.query_one("#start", Button).variant = "warning" if self.chosen else "primary"

    def offers(self, action: str) -> bool | None:
        """Offer the choice only if the layer has a shell."""
        return not (action == "choose" and not self._inside)

    def action_choose(self) -> None:
        """Select the other shell."""
        self.query_one(Choice).action_step(1)

    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Close with the selected shell."""
        self.dismiss(self.chosen)
