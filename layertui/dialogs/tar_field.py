"""The field for the path of a tar."""

from __future__ import annotations

from pathlib import Path

from textual.content import Content

from layerstore.model import Compression
from layertui.dialogs.tarfiles import TarFile, check_tar
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.path_field import PathField


def tar_field(base: Path, picker: str) -> PathField[TarFile]:
    """Return a field that says what kind of tar a file is."""
    return PathField("Tar", base, look=lambda text: check_tar(text, base), describe=_described, picker=picker)


def _described(tar: TarFile) -> Content:
    if tar.problem:
        return Content.assemble((f"✗ {safe(tar.problem)}", "$text-error"))
    kind = "not compressed" if tar.compression is Compression.NONE else tar.compression.name.lower()
    facts = f"{size_text(tar.size)}, {kind}"
    if tar.odd:
        return Content.assemble(("! Does not look like a tar", "$text-warning"), f" · {facts}")
    return Content.assemble((f"✓ {facts}", "$text-success"))
