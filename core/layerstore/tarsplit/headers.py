"""The headers of the tar that a tar-split stands for, without the files that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Final

import msgspec

from layerstore.archive.read import TarEntry, TarReader
from layerstore.errors import BadArchive, StoreCorrupt
from layerstore.tarsplit.entry import SEGMENT, Line
from layerstore.tarsplit.join import texts

_ZEROS: Final = bytes(1 << 20)
_GATHER: Final = 1 << 16


def headers(tar_split: str | PathLike[str]) -> Iterator[TarEntry]:
    """Yield the entries in their order; their payloads are zeros.

    Raises:
        StoreCorrupt: The tar-split is broken.
        BadArchive: What it holds is no tar.
        OSError: It cannot be read.
    """
    yield from TarReader(_chunks(tar_split))


def _chunks(path: str | PathLike[str]) -> Iterator[bytes]:
    """Yield the tar with zeros for the files' bytes; small parts come together."""
    parts: list[bytes] = []
    held = 0
    for line in _lines(path):
        if line.type == SEGMENT:
            part = line.payload or b""
        elif 0 <= line.size < _GATHER:
            part = _ZEROS[: line.size]
        else:
            yield b"".join(parts)
            parts, held = [], 0
            for _ in range(line.size // len(_ZEROS)):
                yield _ZEROS
            part = _ZEROS[: line.size % len(_ZEROS)]
        parts.append(part)
        held += len(part)
        if held >= _GATHER:
            yield b"".join(parts)
            parts, held = [], 0
    yield b"".join(parts)


def _lines(path: str | PathLike[str]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    try:
        for text in texts(path):
            yield from decoder.decode_lines(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, BadArchive) as error:
        raise StoreCorrupt(path, f"the tar-split is broken: {error}") from error
