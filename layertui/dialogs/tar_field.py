"""The field for the path of a tar."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from layerstore.archive.compression import DETECT_BYTES, decompress, detect
from layerstore.errors import BadArchive
from layerstore.model import Compression
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.path_field import PathField
from layertui.widgets.path_suggestions import expand

_LOOK = 1 << 20  # a whole block of bzip2, the largest that must be read to see anything
_BLOCK = 512
_MAGIC = slice(257, 262)  # "ustar": in every header but those of tars from before 1988


@dataclass(frozen=True, slots=True)
class TarFile:
    """A path that was looked at. `problem` says why it is no use; `odd` tells that it does not look like a tar."""

    path: Path
    size: int = 0
    compression: Compression = Compression.NONE
    odd: bool = False
    problem: str = ""


def check_tar(text: str, base: Path) -> TarFile:
    """Look at the file that somebody typed the path of. Blocks as long as the file system does."""
    if not text.strip():
        return TarFile(base, problem="Type the path of a tar")
    path = expand(text, base)
    try:
        return _check(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return TarFile(path, problem=reason)
    except BadArchive as error:
        return TarFile(path, problem=str(error))


def _check(path: Path) -> TarFile:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return TarFile(path, problem="This is a folder: choose a tar in it")
    if not stat.S_ISREG(mode):
        return TarFile(path, problem="This is not a file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        leading = file.read(_LOOK)
    compression = detect(leading[:DETECT_BYTES])
    block = _first_block(leading, compression, whole=size <= _LOOK)
    odd = block is not None and any(block) and block[_MAGIC] != b"ustar"
    return TarFile(path, size, compression, odd)


def _first_block(leading: bytes, compression: Compression, *, whole: bool) -> bytes | None:
    """Return what the tar begins with; None where it takes more than was read to tell."""
    pieces: Iterator[bytes] = iter(decompress(iter([leading]), compression))
    block = b""
    try:
        while len(block) < _BLOCK:
            block += next(pieces)
    except StopIteration:
        return block
    except BadArchive:
        if whole:
            raise
        return None
    return block


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
