"""The dialog for exporting a layer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Static

from layerstore.model import Compression, Layer
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.dialog import FormDialog
from layertui.dialogs.labels import heading, label, layer_label, short_id
from layertui.dialogs.pick import LayerPicker
from layertui.model.rows import SHORT
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field
from layertui.widgets.path_field import PathField, offer, verdict
from layertui.widgets.path_suggestions import Target, TargetState, check_target
from layertui.widgets.text import MUTED

NOTHING = ""
"""The ID that stands for no layer to compare with: the whole file system is exported."""

FORMATS = (
    (Compression.NONE, "tar"),
    (Compression.GZIP, "tar.gz"),
    (Compression.ZSTD, "tar.zst"),
    (Compression.XZ, "tar.xz"),
    (Compression.BZIP2, "tar.bz2"),
)

_STEM_LENGTH = 60


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export to start: a diff against the parent if `from_id` is None, the whole file system if it is ""."""

    layer_id: str
    from_id: str | None
    compression: Compression
    path: Path
    overwrite: bool = False


def file_stem(layer: Layer) -> str:
    """Return a file name without a suffix, from the last part of the layer's first name or from its ID."""
    name = layer.names[0].rsplit("/", 1)[-1] if layer.names else ""
    clean = re.sub(r"[^A-Za-z0-9._+-]+", "-", name)[:_STEM_LENGTH].strip("-.")
    return clean or re.sub(r"[^A-Za-z0-9]+", "-", layer.id)[:SHORT]


class ExportDialog(FormDialog[ExportRequest]):
    """Asks which layer to compare with, and for the format and the path of the tar.

    `images` maps the ID of each layer to the name of an image that needs it.
    """

    DEFAULT_CSS = """
    ExportDialog #from {
        width: 1fr;
        text-align: left;
        content-align: left middle;
        background: $panel;
        text-style: none;
    }
    """

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "export", "Export", tooltip="Start the export", id="export.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the path in a file picker", id="export.browse"),
    ]

    def __init__(
        self, layer: Layer, candidates: Sequence[Layer], default_dir: Path, images: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(heading("Export", layer))
        self._layer = layer
        self._candidates = [other for other in candidates if other.id not in (layer.id, layer.parent)]
        self._base = default_dir
        self._images = images or {}
        self._from = layer.parent
        self._known = {other.id: other for other in candidates}
        self.compression = layer.diff_compression
        """The selected compression."""

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        start = [compression for compression, _ in FORMATS].index(self.compression)
        yield Field("Layer", Static(self._label(self._layer), id="layer", classes="one-line", markup=False))
        yield Field("From", Button(self._from_label(), id="from", compact=True))
        yield Field("Format", Choice([name for _, name in FORMATS], start, id="format"))
        yield PathField(
            "To",
            self._base,
            self._suggested(),
            look=self._look,
            describe=self._describe,
            picker="Export to",
            writes=True,
        )
        yield Static(self._note(), id="note", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Yield Browse, Cancel and Export."""
        yield from super().compose_buttons()
        yield Button("Export", id="export", variant="primary", compact=True)

    @property
    def _suffix(self) -> str:
        return f".{dict(FORMATS)[self.compression]}"

    def _suggested(self) -> str:
        name = f"{file_stem(self._layer)}{self._suffix}"
        folder = str(self._base)
        home = os.path.expanduser("~")
        if safe(folder) != folder:
            return name
        if folder == home or folder.startswith(home + os.sep):
            folder = "~" + folder[len(home) :]
        return os.path.join(folder, name)

    # The layer to compare with

    def _label(self, layer: Layer) -> Content:
        return layer_label(layer, self._images.get(layer.id, ""))

    def _from_label(self) -> Content:
        if not self._from:
            return Content.assemble("▾ nothing ", ("the whole file system", MUTED))
        if self._from != self._layer.parent:
            return Content.assemble("▾ ", self._label(self._known[self._from]))
        return Content.assemble("▾ ", self._parent_label())

    def _parent_label(self) -> Content:
        parent = self._known.get(self._layer.parent)
        return Content.assemble("parent ", self._label(parent) if parent else label(self._layer.parent))

    @on(Button.Pressed, "#from")
    def _pick_from(self, event: Button.Pressed) -> None:
        event.stop()
        extra = [(NOTHING, Content.assemble("nothing ", ("the whole file system", MUTED)))]
        if self._layer.parent:
            extra.insert(0, (self._layer.parent, self._parent_label()))
        self.app.push_screen(LayerPicker("Export the changes from", self._candidates, extra), self._picked)

    def _picked(self, key: str | None) -> None:
        if key is None:
            return
        self._from = key
        self.query_one("#from", Button).label = self._from_label()
        self.query_one("#note", Static).update(self._note())

    def _note(self) -> Content:
        if self._from != self._layer.parent:
            content = f"the changes since {short_id(self._from)}" if self._from else "the whole file system"
            return Content(f"Generated from the files: {content}, including those in parent layers.")
        if not self._layer.diff_digest and self._layer.toc_digest:
            return Content("This layer was pulled partially, so there is no digest to verify the export against.")
        if not self._layer.diff_digest:
            return Content("Generated from the files: this layer was not created from a tar.")
        size = f", {size_text(self._layer.diff_size)} uncompressed" if self._layer.diff_size > 0 else ""
        proof = f"{size}; verified against\n{safe(self._layer.diff_digest)}"
        return Content.assemble(("Byte-exact", "bold $text-success"), proof)

    # Format and path

    @on(Choice.Changed)
    def _format_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self.compression = FORMATS[event.index][0]
        self.query_one(PathField).suggest(self._suggested())

    def _look(self, text: str) -> Target:
        return check_target(text, self._base)

    def _describe(self, target: Target) -> Content:
        misnamed = not target.path.name.endswith(self._suffix)
        doubt = f"The name does not end in {self._suffix}" if misnamed else ""
        return verdict(target, new="New file", exists="This file already exists", doubt=doubt)

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        offer(self.query_one("#export", Button), "Export", event.found)

    # Closing

    @on(Button.Pressed, "#export")
    @on(Input.Submitted, "#path")
    @work(exclusive=True, group="export")
    async def action_export(self) -> None:
        """Check the path again, ask before overwriting a file, and close with the request."""
        field = self.query_one(PathField)
        target = await field.usable()
        if target is None:
            return
        overwrite = target.state is TargetState.EXISTS
        if overwrite and not await self.app.push_screen_wait(_question(field.text)):
            return
        from_id = None if self._from == self._layer.parent else self._from
        self.dismiss(ExportRequest(self._layer.id, from_id, self.compression, target.path, overwrite))


def _question(text: str) -> ConfirmDialog:
    body = f"{text}\n\nThe existing file will be replaced once the new one is complete."
    return ConfirmDialog("Overwrite this file?", body, confirm_label="Overwrite", danger=True)
