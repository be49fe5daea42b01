"""Join a tar-split and a layer's files into the tar that they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Final, NoReturn

import msgspec
from fastcrc.crc64 import go_iso

from layerstore.archive.read import name_text
from layerstore.compression import decompress
from layerstore.errors import BadArchive, DamagedLayer, StoreCorrupt
from layerstore.model import Compression
from layerstore.tarsplit.entry import FILE, SEGMENT, Line, clean

OpenFile = Callable[[bytes], int]
"""Opens a regular file of the layer for reading, by the cleaned name of its entry, and returns the descriptor."""

_PIECE: Final = 1 << 20
_READ_TAR_SPLIT: Final = 1 << 17
_LONGEST_LINE: Final = 32 << 20
_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def join(tar_split: str | PathLike[str], open_file: OpenFile, layer: str) -> Iterator[bytes]:
    """Yield the tar in pieces of about 1 MiB. `layer` is the ID that errors name.

    A file is checked when its last byte was read: the piece that holds that byte is not yielded if the file is not what
    came in.

    Raises:
        DamagedLayer: A file is gone, or its length or CRC is another; `path` names it.
        StoreCorrupt: The tar-split is broken; `line` says where.
        OSError: The tar-split or a file cannot be read.
    """
    return _Joiner(os.fspath(tar_split), open_file, layer).pieces()


class _Joiner:
    def __init__(self, path: str, open_file: OpenFile, layer: str) -> None:
        self._path = path
        self._open_file = open_file
        self._layer = layer

    def pieces(self) -> Iterator[bytes]:
        """Yield the tar; small parts of it are collected until they make up a large piece."""
        ready: list[bytes] = []
        held = 0
        first = 1
        for lines in self._batches():
            for number, line in enumerate(lines, first):
                if line.type == SEGMENT:
                    part = line.payload or b""
                elif line.type != FILE or not line.size:
                    continue
                elif 0 < line.size < _PIECE:
                    part = self._small_file(line, number)
                else:
                    yield b"".join(ready)
                    yield from self._large_file(line, number)
                    ready, held = [], 0
                    continue
                ready.append(part)
                held += len(part)
                if held >= _PIECE:
                    yield b"".join(ready)
                    ready, held = [], 0
            first += len(lines)
        yield b"".join(ready)

    def _small_file(self, line: Line, number: int) -> bytes:
        """Return the content of a file of less than 1 MiB."""
        size = line.size
        descriptor = self._open(line, number)
        try:
            data = os.read(descriptor, size + 1)
            if len(data) < size:
                data = _read_rest(descriptor, data, size + 1)
        except IsADirectoryError:
            self._damaged(line, "it is a folder now, and was a file")
        finally:
            os.close(descriptor)
        if len(data) != size:
            self._wrong_length(line, len(data))
        if go_iso(data, 0).to_bytes(8, "big") != line.payload:
            self._damaged(line, "its content has changed")
        return data

    def _large_file(self, line: Line, number: int) -> Iterator[bytes]:
        """Yield a file piece by piece; the last one is held back until the file has been checked."""
        left, crc, last = line.size, 0, b""
        descriptor = self._open(line, number)
        try:
            while data := os.read(descriptor, min(left + 1, _PIECE)):
                if len(data) > left:
                    self._wrong_length(line, line.size + 1)
                left -= len(data)
                crc = go_iso(data, crc)
                if last:
                    yield last
                last = data
        except IsADirectoryError:
            self._damaged(line, "it is a folder now, and was a file")
        finally:
            os.close(descriptor)
        if left:
            self._wrong_length(line, line.size - left)
        if crc.to_bytes(8, "big") != line.payload:
            self._damaged(line, "its content has changed")
        yield last

    def _open(self, line: Line, number: int) -> int:
        if line.size < 0:
            self._corrupt("a file's size is negative", number)
        try:
            name = line.archive_name()
        except UnicodeEncodeError:
            self._corrupt("a file's name is not text", number)
        try:
            return self._open_file(clean(name))
        except _GONE as error:
            raise DamagedLayer(self._layer, "it is gone", path=name_text(name)) from error

    def _batches(self) -> Iterator[list[Line]]:
        """Yield the lines, as many at a time as a piece of the tar-split has."""
        decoder = msgspec.json.Decoder(Line)
        count = 1
        for text in self._texts(self._path):
            try:
                lines = decoder.decode_lines(text)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._find_fault(text, decoder, count)
            yield lines
            count += len(lines)

    def _texts(self, path: str) -> Iterator[bytes]:
        """Yield the unpacked tar-split in pieces that end with a line."""
        tail: list[bytes] = []
        held = 0
        with open(path, "rb", buffering=0) as file:
            chunks = iter(lambda: file.read(_READ_TAR_SPLIT), b"")
            try:
                for piece in decompress(chunks, Compression.GZIP):
                    end = piece.rfind(b"\n") + 1
                    if end:
                        yield b"".join((*tail, piece[:end]))
                        tail, held = [], 0
                    tail.append(piece[end:])
                    held += len(piece) - end
                    if held > _LONGEST_LINE:
                        self._corrupt(f"a line is longer than {_LONGEST_LINE:,} bytes")
            except BadArchive as error:
                self._corrupt(error.reason)
        if rest := b"".join(tail):
            yield rest

    def _find_fault(self, text: bytes, decoder: msgspec.json.Decoder[Line], first: int) -> NoReturn:
        """Raise for the first line that does not parse."""
        number = first
        for line in text.split(b"\n"):
            try:
                if line.strip():
                    decoder.decode(line)
                    number += 1
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self._corrupt(str(error), number)
        self._corrupt("it does not parse", first)

    def _corrupt(self, reason: str, line: int = 0) -> NoReturn:
        raise StoreCorrupt(self._path, f"the tar-split is broken: {reason}", line=line, column=1 if line else 0)

    def _wrong_length(self, line: Line, found: int) -> NoReturn:
        how = "shorter" if found < line.size else "longer"
        self._damaged(line, f"it is {how} than the {line.size:,} bytes that came in")

    def _damaged(self, line: Line, reason: str) -> NoReturn:
        raise DamagedLayer(self._layer, reason, path=name_text(line.archive_name()))


def _read_rest(descriptor: int, data: bytes, limit: int) -> bytes:
    """Read on after a short read, until the end of the file or `limit` bytes in all."""
    parts, held = [data], len(data)
    while held < limit and (part := os.read(descriptor, limit - held)):
        parts.append(part)
        held += len(part)
    return b"".join(parts)
