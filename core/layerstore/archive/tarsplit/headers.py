"""The headers of the tar that a tar-split stands for, without the files that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

import msgspec

from layerstore.archive.entry import TarEntry
from layerstore.archive.read import TarReader
from layerstore.archive.tarsplit.entry import SEGMENT, Line
from layerstore.archive.tarsplit.join import texts
from layerstore.errors import BadArchive, StoreCorrupt
from layerstore.model import BAD_JSON


def headers(tar_split: str | PathLike[str]) -> Iterator[TarEntry]:
    """Yield the entries in their order; there is nothing in them.

    The sizes of files count for nothing here, so that none that is damaged can keep anybody waiting.

    Raises:
        StoreCorrupt: The tar-split is broken.
        BadArchive: What it holds is no tar.
        OSError: It cannot be read.
    """
    reader = TarReader(line.payload or b"" for line in _lines(tar_split) if line.type == SEGMENT)
    for entry in reader:
        reader.skip()
        yield entry


def _lines(path: str | PathLike[str]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    try:
        for text in texts(path):
            yield from decoder.decode_lines(text)
    except (*BAD_JSON, BadArchive) as error:
        raise StoreCorrupt(path, f"the tar-split is broken: {error}") from error
