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
from layertui.widgets.path_suggestions import expand, reason_text

_LEADING = 1 << 20  # enough for the first block of every compression; one of bzip2 is up to 900 kB
_BLOCK = 512
_MAGIC = slice(257, 262)  # "ustar" in every header since POSIX.1-1988


@dataclass(frozen=True, slots=True)
class TarFile:
    """The result of checking a path.

    `problem` says why the file cannot be used. `odd` means that it does not look like a tar.
    """

    path: Path
    size: int = 0
    compression: Compression = Compression.NONE
    odd: bool = False
    problem: str = ""


def check_tar(text: str, base: Path) -> TarFile:
    """Return whether the file at a typed path can be read, its size and its compression.

    May block on the file system.
    """
    if not text.strip():
        return TarFile(base, problem="Enter the path of a tar")
    path = expand(text, base)
    try:
        return _check(path)
    except (OSError, ValueError, BadArchive) as error:
        return TarFile(path, problem=reason_text(error))


def _check(path: Path) -> TarFile:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return TarFile(path, problem="This is a folder; choose a file in it")
    if not stat.S_ISREG(mode):
        return TarFile(path, problem="This is not a regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        leading = file.read(_LEADING)
    compression = detect(leading[:DETECT_BYTES])
    block = _first_block(leading, compression, whole=size <= _LEADING)
    odd = block is not None and any(block) and block[_MAGIC] != b"ustar"
    return TarFile(path, size, compression, odd)


def _first_block(leading: bytes, compression: Compression, *, whole: bool) -> bytes | None:
    """Return the first decompressed block, or None if `leading` is too short to decompress it."""
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
    """Return a field for the path of a tar, which shows the size and the compression of the file."""
    return PathField("Tar", base, look=lambda text: check_tar(text, base), describe=_description, picker=picker)


def _description(tar: TarFile) -> Content:
    if tar.problem:
        return Content.assemble((f"✗ {safe(tar.problem)}", "$text-error"))
    kind = "uncompressed" if tar.compression is Compression.NONE else tar.compression.name.lower()
    facts = f"{size_text(tar.size)}, {kind}"
    if tar.odd:
        return Content.assemble(("! Does not look like a tar", "$text-warning"), f" · {facts}")
    return Content.assemble((f"✓ {facts}", "$text-success"))
