"""The dialog for applying a tar to a layer."""

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
from layertui.dialogs.dialog import FormDialog
from layertui.dialogs.labels import heading, layer_label, short_id
from layertui.dialogs.tar_field import tar_field
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Field
from layertui.widgets.path_field import PathField

_MOST_NAMED = 4

_NOTE = (
    "The files of the tar are unpacked over those of the layer, and the tar becomes the layer's diff. Files that are "
    "only in the layer stay on disk, where a deep check reports them, but are missing from an export against the "
    "parent. If the job fails or is cancelled, the layer is not changed."
)


@dataclass(frozen=True, slots=True)
class Affected:
    """The users of a layer whose content changes: IDs of child layers, names of images and containers."""

    children: Sequence[str] = ()
    images: Sequence[str] = ()
    containers: Sequence[str] = ()
    copies: bool = False
    """Whether child layers are full copies (vfs), which keep the old files."""
    mounted: bool = False

    def __bool__(self) -> bool:
        return bool(self.children or self.images or self.containers or self.mounted)

    def lines(self, digest: str) -> list[str]:
        """Return a sentence for each kind of user, followed by indented lines with their names.

        `digest` is the current digest of the layer, "" without one.
        """
        lines = []
        if self.images:
            lines += [f"{plural(len(self.images), 'image')} with this layer will no longer match its content:"]
            lines += _some(self.images)
            lines += [f"  expected digest: {safe(digest)}"] if digest else []
        if self.containers:
            lines += [f"{plural(len(self.containers), 'container')} based on this layer will see the new files:"]
            lines += _some(self.containers)
        if self.children:
            effect = "keep the old files, so its diff will grow" if self.copies else "see the new files"
            if self.copies and len(self.children) > 1:
                effect = "keep the old files, so their diffs will grow"
            lines += [f"{plural(len(self.children), 'layer')} based on it will {effect}:"]
            lines += _some([short_id(child) for child in self.children])
        if self.mounted:
            lines += ["It is mounted; applying the tar fails while a process uses it."]
        return lines


def _some(names: Sequence[str]) -> list[str]:
    shown = [f"  {safe(name)}" for name in names[:_MOST_NAMED]]
    return shown if len(names) <= _MOST_NAMED else [*shown, f"  and {len(names) - _MOST_NAMED:,} more"]


class ApplyDialog(FormDialog[Path]):
    """Asks for a tar and, if the layer is in use, for a confirmation. The result is the path of the tar."""

    DEFAULT_CSS = """
    ApplyDialog #affected { height: auto; margin-bottom: 1; color: $text-warning; }
    """

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "apply", "Apply", tooltip="Apply the tar to the layer", id="apply.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the tar in a file picker", id="apply.browse"),
    ]

    def __init__(self, layer: Layer, affected: Affected, default_dir: Path) -> None:
        super().__init__(heading("Apply a tar to", layer))
        self._layer = layer
        self._affected = affected
        self._base = default_dir

    def compose_body(self) -> ComposeResult:
        """Yield the form, the warnings and the note."""
        yield Field("Layer", Static(layer_label(self._layer), id="layer", classes="one-line", markup=False))
        digest = self._layer.diff_digest
        diff = f"{size_text(self._layer.diff_size)}, {safe(digest)}" if digest else "none: not created from a tar"
        yield Field("Diff now", Static(diff, id="diff", classes="one-line", markup=False))
        yield tar_field(self._base, "Apply to the layer")
        if self._affected:
            yield Static(self._warning(brief=True), id="affected", markup=False)
        yield Static(_NOTE, id="note", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse, Cancel and Apply."""
        yield from super().compose_buttons()
        text, variant = ("Apply…", "warning") if self._affected else ("Apply", "primary")
        yield Button(text, id="apply", variant=variant, compact=True)  # type: ignore[arg-type]

    def _warning(self, *, brief: bool = False) -> Content:
        """Return the users of the layer, one per line, or only the number of each kind if `brief`."""
        lines = self._affected.lines(self._layer.diff_digest)
        if brief:
            lines = [line.removesuffix(":") for line in lines if not line.startswith(" ")]
        return Content("\n").join(Content(line if line.startswith(" ") else f"! {line}") for line in lines)

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        self.query_one("#apply", Button).disabled = bool(event.found.problem)

    @on(Input.Submitted, "#path")
    @on(Button.Pressed, "#apply")
    @work(exclusive=True, group="apply")
    async def action_apply(self) -> None:
        """Check the path again, ask for a confirmation if the layer is in use, and close with the path."""
        tar = await self.query_one(PathField).usable()
        if tar is None:
            return
        if self._affected and not await self.app.push_screen_wait(self._question()):
            return
        self.dismiss(tar.path)

    def _question(self) -> ConfirmDialog:
        title = f"Change {short_id(self._layer.id)} while it is in use?"
        return ConfirmDialog(title, self._warning(), confirm_label="Apply", danger=True)
