"""Ask how and where to a layer is to be exported. The export itself is a job of the main screen."""

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
from layertui.dialogs.dialog import Dialog
from layertui.dialogs.labels import SHORT_ID, heading, label, layer_label, short_id
from layertui.dialogs.pick import LayerPicker
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Choice, Field
from layertui.widgets.path_field import PathField, offer, verdict
from layertui.widgets.path_suggestions import Target, TargetState, check_target
from layertui.widgets.text import MUTED

NOTHING = ""
"""The from-layer of an export of the whole file system."""

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
    """What the user decided. `from_id` None is the parent, "" is nothing: the whole file system."""

    layer_id: str
    from_id: str | None
    compression: Compression
    path: Path
    overwrite: bool = False


def file_stem(layer: Layer) -> str:
    """Return a file name for a layer, without a suffix: the last part of its first name, or of its ID."""
    name = layer.names[0].rsplit("/", 1)[-1] if layer.names else ""
    clean = re.sub(r"[^A-Za-z0-9._+-]+", "-", name)[:_STEM_LENGTH].strip("-.")
    return clean or re.sub(r"[^A-Za-z0-9]+", "-", layer.id)[:SHORT_ID]


class ExportDialog(Dialog[ExportRequest]):
    """Ask what the diff is against, which format it gets and where it goes."""

    DEFAULT_CSS = """
    ExportDialog {
        .dialog-box { width: 84; }
        .dialog-body > Field { margin-bottom: 1; }
        #from { width: 1fr; text-align: left; content-align: left middle; background: $panel; text-style: none; }
        #layer { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #note { color: $text-muted; height: auto; }
    }
    """

    AUTO_FOCUS = "#path"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "export", "Export", tooltip="Start the export", id="export.start"),
        Binding("ctrl+o", "browse", "Browse", tooltip="Choose the place in a file picker", id="export.browse"),
    ]

    def __init__(
        self, layer: Layer, candidates: Sequence[Layer], default_dir: Path, images: Mapping[str, str] | None = None
    ) -> None:
        """Ask about a layer; `images` has an image for the ID of each layer that one needs."""
        super().__init__(heading("Export", layer))
        self._layer = layer
        self._candidates = [other for other in candidates if other.id not in (layer.id, layer.parent)]
        self._base = default_dir
        self._images = images or {}
        self._from = layer.parent
        self._known = {other.id: other for other in candidates}
        self.compression = layer.diff_compression
        """The format that is chosen."""

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        start = [compression for compression, _ in FORMATS].index(self.compression)
        yield Field("Layer", Static(self._label(self._layer), id="layer", markup=False))
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
        yield Button("Browse…", id="browse", compact=True)
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

    # What the diff is against.

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
            what = f"the changes since {short_id(self._from)}" if self._from else "the whole file system"
            return Content(f"The tar is made from the files: {what}, with parents' files as the layer shows them.")
        if not self._layer.diff_digest and self._layer.toc_digest:
            return Content(
                "This layer was pulled partially: there is no digest of its tar to verify the export against."
            )
        if not self._layer.diff_digest:
            return Content("The tar is made from the files: this layer did not come in as one.")
        size = f", {size_text(self._layer.diff_size)} before compression" if self._layer.diff_size > 0 else ""
        proof = f"{size}; checked against\n{safe(self._layer.diff_digest)}"
        return Content.assemble(("Byte-exact", "bold $text-success"), proof)

    # Format and path.

    @on(Choice.Changed)
    def _format_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self.compression = FORMATS[event.index][0]
        self.query_one(PathField).suggest(self._suggested())

    def _look(self, text: str) -> Target:
        return check_target(text, self._base)

    def _describe(self, target: Target) -> Content:
        misnamed = not target.path.name.endswith(self._suffix)
        doubt = f"Not named {self._suffix}" if misnamed else ""
        return verdict(target, new="New file", exists="There is such a file already", doubt=doubt)

    @on(PathField.Looked)
    def _looked(self, event: PathField.Looked) -> None:
        event.stop()
        offer(self.query_one("#export", Button), "Export", event.found)

    @on(Button.Pressed, "#browse")
    def action_browse(self) -> None:
        """Open the file picker where the path points."""
        self.query_one(PathField).browse()

    # The end.

    @on(Button.Pressed, "#export")
    @on(Input.Submitted, "#path")
    @work(exclusive=True, group="export")
    async def action_export(self) -> None:
        """Look once more, ask before a file is overwritten, and close with the request."""
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
    """Return the question before a file is overwritten."""
    body = f"{text}\n\nThe file that is there now is replaced once the new one is complete."
    return ConfirmDialog("Overwrite this file?", body, confirm_label="Overwrite", danger=True)
