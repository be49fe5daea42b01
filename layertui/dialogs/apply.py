"""Ask which tar is to be applied to a layer, and say what that means. The work is a job of the main screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layerstore.model import Layer
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import heading, layer_label, short_id
from layertui.dialogs.tar_field import tar_field
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Field
from layertui.widgets.path_field import PathField

_MOST_NAMED = 4

_MEANING = (
    "The tar's files are laid over what the layer holds, and from then on the layer's diff is this tar. What the layer "
    "had and the tar does not have stays on disk, where a deep check will find it, but is in no export against the "
    "parent. If anything fails, or is cancelled, the layer stays as it is."
)


@dataclass(frozen=True, slots=True)
class Concerned:
    """Who notices when a layer gets another content: IDs of layers on top, names of images and containers."""

    children: Sequence[str] = ()
    images: Sequence[str] = ()
    containers: Sequence[str] = ()
    copies: bool = False
    """Whether the layers on top are full copies, which keep what they were made with (vfs)."""
    mounted: bool = False

    def __bool__(self) -> bool:
        return bool(self.children or self.images or self.containers or self.mounted)

    def lines(self, digest: str) -> list[str]:
        """Return a sentence for each kind, and one a name; `digest` is the one that the layer has now."""
        lines = []
        if self.images:
            fits = "fits" if len(self.images) == 1 else "fit"
            lines += [f"{plural(len(self.images), 'image')} with this layer no longer {fits} its content:"]
            lines += _some(self.images)
            lines += [f"  say it is {safe(digest)}"] if digest else []
        if self.containers:
            lines += [f"{plural(len(self.containers), 'container')} on this layer will see other files:"]
            lines += _some(self.containers)
        if self.children:
            what = "keep the old files, and change more against it" if self.copies else "show the new files through"
            lines += [f"{plural(len(self.children), 'layer')} built on it will {what}:"]
            lines += _some([short_id(child) for child in self.children])
        if self.mounted:
            lines += ["It is mounted: as long as a program works in it, nothing is applied."]
        return lines


def _some(names: Sequence[str]) -> list[str]:
    shown = [f"  {safe(name)}" for name in names[:_MOST_NAMED]]
    return shown if len(names) <= _MOST_NAMED else [*shown, f"  and {len(names) - _MOST_NAMED:,} more"]


class ApplyDialog(Dialog[Path]):
    """Close with the path of the tar; ask once more where the layer is in use."""

    DEFAULT_CSS = """
    ApplyDialog {
        .dialog-box { width: 84; }
        .dialog-body > Field { margin-bottom: 1; }
        #layer, #diff { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #meaning, #concerned { height: auto; }
        #meaning { color: $text-muted; }
        #concerned { margin-bottom: 1; color: $text-warning; }
    }
    """

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "apply", "Apply", tooltip="Apply the tar to the layer", id="apply.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the tar in a file picker", id="apply.browse"),
    ]

    def __init__(self, layer: Layer, concerned: Concerned, default_dir: Path) -> None:
        super().__init__(heading("Apply a tar to", layer))
        self._layer = layer
        self._concerned = concerned
        self._base = default_dir

    def compose_body(self) -> ComposeResult:
        """Yield the form and what it means."""
        yield Field("Layer", Static(layer_label(self._layer), id="layer", markup=False))
        digest = self._layer.diff_digest
        size = f"{size_text(self._layer.diff_size)}, {safe(digest)}" if digest else "none: it did not come in as a tar"
        yield Field("Diff now", Static(size, id="diff", markup=False))
        yield tar_field(self._base, "Apply to the layer")
        if self._concerned:
            yield Static(self._warning(in_short=True), id="concerned", markup=False)
        yield Static(_MEANING, id="meaning", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse, Cancel and Apply."""
        yield Button("Browse…", id="browse", compact=True)
        yield from super().compose_buttons()
        text, variant = ("Apply…", "warning") if self._concerned else ("Apply", "primary")
        yield Button(text, id="apply", variant=variant, compact=True)  # type: ignore[arg-type]

    def _warning(self, *, in_short: bool = False) -> Content:
        """Return who is concerned, each name on a line; in short how many there are of each kind."""
        lines = self._concerned.lines(self._layer.diff_digest)
        if in_short:
            lines = [line.removesuffix(":") for line in lines if not line.startswith(" ")]
        return Content("\n").join(Content(line if line.startswith(" ") else f"! {line}") for line in lines)

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        self.query_one("#apply", Button).disabled = bool(event.found.problem)

    @on(Button.Pressed, "#browse")
    def action_browse(self) -> None:
        """Open the file picker."""
        self.query_one(PathField).browse()

    @on(Input.Submitted, "#path")
    @on(Button.Pressed, "#apply")
    @work(exclusive=True, group="apply")
    async def action_apply(self) -> None:
        """Look once more, ask where somebody would notice, and close with the path."""
        tar = await self.query_one(PathField).usable()
        if tar is None:
            return
        if self._concerned and not await self.app.push_screen_wait(self._question()):
            return
        self.dismiss(tar.path)

    def _question(self) -> ConfirmDialog:
        title = f"Change {short_id(self._layer.id)} under those who use it?"
        return ConfirmDialog(title, self._warning(), confirm_label="Apply", danger=True)
