"""Write the tar-split of a tar while its entries are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fastcrc.crc64 import go_iso
from isal import isal_zlib

from layerstore.archive.entry import TarEntry, name_text
from layerstore.archive.read import TarReader
from layerstore.archive.tarsplit.entry import clean, file_line, segment_line
from layerstore.errors import BadArchive

_GZIP_LEVEL = 1
_BATCH = 1 << 18
_SEGMENT = 1 << 20


class TarSplit:
    """A reader that yields the entries of a tar and writes its gzipped tar-split to a binary file.

    Only the payloads of regular, non-sparse files are left out, because they can be read from the layer. All other
    payloads go into segments: those of sparse files, because they differ from the file on disk, and those of unknown
    types, because there is no file. Links and folders get the size 0 whatever their header says, because they have no
    payload. `join` and containers/storage therefore rebuild exactly the same tar. The lines depend only on the tar and
    not on its chunks: adjacent segments form one line, which is split after every 1 MiB.
    """

    def __init__(self, chunks: Iterable[bytes | bytearray | memoryview], out: BinaryIO) -> None:
        self._reader = TarReader(chunks, raw=self._add_segment, payload=self._add_payload)
        self._out = out
        self._gzip = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 31)
        self._segment: list[bytes | memoryview] = []
        self._segment_size = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._position = 0
        self._seen: set[bytes] = set()
        self._open: TarEntry | None = None
        self._crc = 0

    def entries(self) -> Iterator[TarEntry]:
        """Yield the entries. After the last one the stream has been read to its end and the tar-split is complete.

        Raises:
            BadArchive: The tar is damaged, or two entries have the same path, which readers of tar-splits reject.
        """
        for entry in self._reader:
            if self._claim(entry):
                self._begin(entry)
            yield entry
        self._end_file()
        self._end_segment()
        self._write_out()
        self._out.write(self._gzip.flush())

    def _claim(self, entry: TarEntry) -> bool:
        """Register the entry's path and return whether the entry gets a line of its own.

        A repeated global header does not. It creates no file, so its bytes can go into the segments alone.
        """
        path = clean(entry.name)
        seen = len(self._seen)
        self._seen.add(path)
        if len(self._seen) > seen:
            return True
        if entry.type == b"g":
            return False
        raise BadArchive("the tar contains this path twice, which is not supported", entry=name_text(entry.name))

    def _begin(self, entry: TarEntry) -> None:
        if entry.type == b"0" and entry.size and entry.sparse is None:
            self._open = entry
            self._crc = 0
        else:
            self._end_segment()
            self._add(file_line(entry.name, 0, 0, self._position))

    def _add_payload(self, piece: memoryview) -> None:
        if self._open is not None:
            self._crc = go_iso(piece, self._crc)
        else:
            self._add_segment(piece)

    def _add_segment(self, data: bytes | memoryview) -> None:
        if self._open is not None:
            self._end_file()
        self._segment.append(data)
        self._segment_size += len(data)
        if self._segment_size >= _SEGMENT:
            self._cut_segment()

    def _cut_segment(self) -> None:
        """Add a line for every full 1 MiB of the current segment."""
        data = memoryview(b"".join(self._segment))
        while len(data) >= _SEGMENT:
            self._add(segment_line(data[:_SEGMENT], self._position))
            data = data[_SEGMENT:]
        self._segment = [data] if data else []
        self._segment_size = len(data)

    def _end_segment(self) -> None:
        """Add a line for the rest of the current segment."""
        if self._segment_size:
            self._add(segment_line(b"".join(self._segment), self._position))
            self._segment.clear()
            self._segment_size = 0

    def _end_file(self) -> None:
        entry = self._open
        if entry is not None:
            self._open = None
            self._end_segment()
            self._add(file_line(entry.name, entry.size, self._crc, self._position))

    def _add(self, line: bytes) -> None:
        self._position += 1
        self._lines.append(line)
        self._held += len(line)
        if self._held >= _BATCH:
            self._write_out()

    def _write_out(self) -> None:
        self._out.write(self._gzip.compress(b"".join(self._lines)))
        self._lines.clear()
        self._held = 0
