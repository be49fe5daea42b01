"""Rebuild the original tar from a tar-split and the files of its layer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Final, NoReturn

import msgspec
from fastcrc.crc64 import go_iso

from layerstore.archive.compression import decompress
from layerstore.archive.entry import name_text
from layerstore.archive.tarsplit.entry import FILE, SEGMENT, Line, clean
from layerstore.errors import BadArchive, DamagedLayer, StoreCorrupt
from layerstore.model import BAD_JSON, Compression
from layerstore.records.readfile import open_file

OpenFile = Callable[[bytes], int]
"""Opens a regular file of the layer by the cleaned name of its entry and returns the descriptor."""

_PIECE: Final = 1 << 20
_READ_TAR_SPLIT: Final = 1 << 17
_LONGEST_LINE: Final = 32 << 20
_CRC_BYTES: Final = 8
_INT64: Final = 1 << 63
_NO_FILE: Final = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)
)
"""The errors of opening a file that is missing or has been replaced by something else."""

Piece = bytes | memoryview
"""Bytes that no longer change."""

RECREATE: Final = "to fix: pull or build the image again"
"""How to replace a damaged tar-split."""


def join(tar_split: str | PathLike[str], open_file: OpenFile, layer: str) -> Iterator[Piece]:
    """Yield the tar in pieces of about 1 MiB. Errors name the layer by the ID `layer`.

    Each file is verified before the piece with its last byte is yielded.

    Raises:
        DamagedLayer: A file is missing, or its length or CRC differs from the tar-split. `path` names it.
        StoreCorrupt: The tar-split is damaged. `line` says where.
        OSError: The tar-split or a file cannot be read.
    """
    return _Joiner(os.fspath(tar_split), open_file, layer).pieces()


def texts(path: str | PathLike[str]) -> Iterator[bytes]:
    """Yield the decompressed tar-split in pieces that end with a whole line.

    Raises:
        BadArchive: The gzip stream is damaged, or a line is too long.
        StoreCorrupt: It is not a regular file.
    """
    tail: list[bytes] = []
    held = 0
    with open_file(path) as file:
        chunks = iter(lambda: file.read(_READ_TAR_SPLIT), b"")
        for piece in decompress(chunks, Compression.GZIP):
            end = piece.rfind(b"\n") + 1
            if end:
                yield b"".join((*tail, piece[:end]))
                tail, held = [], 0
            tail.append(piece[end:])
            held += len(piece) - end
            if held > _LONGEST_LINE:
                raise BadArchive(f"a line is longer than {_LONGEST_LINE:,} bytes")
    if rest := b"".join(tail):
        yield rest


class _Joiner:
    def __init__(self, path: str, open_file: OpenFile, layer: str) -> None:
        self._path = path
        self._open_file = open_file
        self._layer = layer

    def pieces(self) -> Iterator[Piece]:
        """Yield the tar, with small parts collected in a buffer."""
        buffer = _Buffer()
        first = 1
        for lines in self._batches():
            for number, line in enumerate(lines, first):
                if line.type == SEGMENT:
                    part = line.payload or b""
                    if not buffer.add(part):
                        yield buffer.take()
                        if not buffer.add(part):
                            yield part
                elif line.type == FILE and (size := line.size):
                    if 0 < size < _PIECE:
                        if size > _PIECE - buffer.held:
                            yield buffer.take()
                        self._small_file(line, number, buffer)
                    else:
                        yield buffer.take()
                        yield from self._large_file(line, number)
            first += len(lines)
        yield buffer.take()

    def _small_file(self, line: Line, number: int, buffer: _Buffer) -> None:
        """Read a file of less than 1 MiB into the buffer."""
        size, start = line.size, buffer.held
        descriptor = self._open(line, number)
        try:
            view = buffer.bytes[start : start + size + 1]  # one byte more, to notice if the file grew
            found = os.readv(descriptor, (view,))
            while 0 < found < size and (more := os.readv(descriptor, (view[found:],))):
                found += more
        except IsADirectoryError:
            self._damaged(line, "it is now a folder and was a file")
        finally:
            os.close(descriptor)
        if found != size:
            self._wrong_length(line, found)
        if go_iso(view[:size]).to_bytes(8, "big") != line.payload:
            self._damaged(line, "its content has changed")
        buffer.held = start + size

    def _large_file(self, line: Line, number: int) -> Iterator[bytes]:
        """Yield a file in pieces, holding back the last one until the file is verified."""
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
            self._damaged(line, "it is now a folder and was a file")
        finally:
            os.close(descriptor)
        if left:
            self._wrong_length(line, line.size - left)
        if crc.to_bytes(8, "big") != line.payload:
            self._damaged(line, "its content has changed")
        yield last

    def _open(self, line: Line, number: int) -> int:
        payload = line.payload
        if payload is None or len(payload) != _CRC_BYTES:
            self._corrupt("a file has no valid checksum", number)
        if not 0 <= line.size < _INT64:
            self._corrupt("the size of a file is invalid", number)
        try:
            name = line.archive_name()
            return self._open_file(clean(name))
        except UnicodeEncodeError:
            self._corrupt("the name of a file is not valid text", number)
        except BadArchive as error:
            self._corrupt(error.reason, number)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            reason = "it is missing" if error.errno == errno.ENOENT else "it is no longer a regular file"
            raise DamagedLayer(self._layer, reason, path=name_text(name)) from error

    def _batches(self) -> Iterator[list[Line]]:
        """Yield the lines in batches, one for each piece of the tar-split."""
        decoder = msgspec.json.Decoder(Line)
        count = 1
        parts = texts(self._path)
        while True:
            try:
                text = next(parts, b"")
            except BadArchive as error:
                self._corrupt(error.reason, count)
            if not text:
                return
            try:
                lines = decoder.decode_lines(text)
            except BAD_JSON:
                self._find_fault(text, decoder, count)
            yield lines
            count += len(lines)

    def _find_fault(self, text: bytes, decoder: msgspec.json.Decoder[Line], first: int) -> NoReturn:
        """Raise for the first invalid line."""
        number = first
        for line in text.split(b"\n"):
            try:
                if line.strip():
                    decoder.decode(line)
                    number += 1
            except BAD_JSON as error:
                self._corrupt(str(error), number)
        self._corrupt("a line is invalid", first)

    def _corrupt(self, reason: str, line: int) -> NoReturn:
        raise StoreCorrupt(self._path, f"the tar-split is damaged: {reason}", line=line, column=1, hint=RECREATE)

    def _wrong_length(self, line: Line, found: int) -> NoReturn:
        how = "shorter" if found < line.size else "longer"
        self._damaged(line, f"it is {how} than the {line.size:,} bytes in its original tar")

    def _damaged(self, line: Line, reason: str) -> NoReturn:
        raise DamagedLayer(self._layer, reason, path=name_text(line.archive_name()))


class _Buffer:
    """A buffer of 1 MiB, with room for one more byte.

    Bytes that are written to `bytes` at `held` become part of the content once `held` is increased.
    """

    __slots__ = ("bytes", "held")

    def __init__(self) -> None:
        self.bytes = memoryview(bytearray(_PIECE + 1))
        self.held = 0

    def add(self, part: bytes) -> bool:
        """Append bytes, or return False if there is no room."""
        held = self.held
        end = held + len(part)
        if end > _PIECE:
            return False
        self.bytes[held:end] = part
        self.held = end
        return True

    def take(self) -> memoryview:
        """Return the content and start over in new memory."""
        full = self.bytes[: self.held]
        if self.held:
            self.bytes = memoryview(bytearray(_PIECE + 1))
            self.held = 0
        return full
