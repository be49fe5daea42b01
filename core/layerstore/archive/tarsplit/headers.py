"""The headers of a tar, read from its tar-split alone."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

import msgspec

from layerstore.archive.entry import TarEntry
from layerstore.archive.read import TarReader
from layerstore.archive.tarsplit.entry import SEGMENT, Line
from layerstore.archive.tarsplit.join import RECREATE, texts
from layerstore.errors import BadArchive, StoreCorrupt
from layerstore.model import BAD_JSON


def headers(tar_split: str | PathLike[str]) -> Iterator[TarEntry]:
    """Yield the entries in order, without their payloads.

    The payload sizes are ignored, so a damaged one costs no time.

    Raises:
        StoreCorrupt: The tar-split is damaged.
        BadArchive: The tar-split does not contain the headers of a tar.
        OSError: The tar-split cannot be read.
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
        raise StoreCorrupt(path, f"the tar-split is damaged: {error}", hint=RECREATE) from error
