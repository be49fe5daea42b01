"""A layer's diff on its way out: read, compressed, hashed and checked."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

from layerstore.archive.paths import Root
from layerstore.compression import compressor
from layerstore.errors import Cancelled, DamagedLayer
from layerstore.model import Compression, Layer, Progress, ShouldStop
from layerstore.pipeline import HashThread
from layerstore.tarsplit.join import Piece, join

_PLAIN, _COMPRESSED = 0, 1


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a diff. `on_close` is called once, when the reader is closed."""

    compression: Compression
    progress: Progress | None
    should_stop: ShouldStop | None
    on_close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Expected:
    layer: str
    digest: str
    size: int


class DiffReader(io.RawIOBase):
    """A binary stream of a tar, compressed on request. Close it after use: it holds a lock of the store.

    Where the digest of the tar is known, a tar that turns out different ends in `DamagedLayer`, not in an end of file;
    so what was read to its end without an error is exact. `progress` hears of the bytes of the plain tar. Once the end
    was read, `size` and `digest` are of the bytes given out, `diff_digest` of the plain tar.
    """

    def __init__(self, plain: Iterator[Piece], options: Options, expected: _Expected | None = None) -> None:
        super().__init__()
        self.size = 0
        self.digest = ""
        self.diff_digest = ""
        self._options = options
        self._expected = expected
        self._hashes = HashThread(2)
        self._pieces = self._run(plain)
        self._rest = memoryview(b"")
        self._closed_once = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the present piece goes; 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def readall(self) -> bytes:
        """Return all that is left."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[Piece]:
        """Yield all that is left in pieces as they come, of about 1 MiB: the fastest way to read."""
        if self._rest:
            rest, self._rest = bytes(self._rest), memoryview(b"")
            yield rest
        yield from self._pieces

    def copy_to(self, file: BinaryIO) -> int:
        """Write all that is left to a file; return how many bytes that was."""
        count = 0
        for piece in self.chunks():
            file.write(piece)
            count += len(piece)
        return count

    def close(self) -> None:
        """Stop the work, whether it is done or not, and give the lock back; doing so again does nothing."""
        if self._closed_once:
            return
        self._closed_once = True
        try:
            self._pieces.close()
            self._hashes.close()
        finally:
            self._options.on_close()
            super().close()

    def _run(self, plain: Iterator[Piece]) -> Generator[Piece]:
        """Yield what goes out, then settle the digests and check them."""
        options = self._options
        stream = self._counted(plain)
        if options.compression:
            stream = self._compressed(stream)
        for piece in stream:
            self.size += len(piece)
            yield piece
        self._hashes.finish()
        digests = self._hashes.digests
        self.diff_digest = digests[_PLAIN]
        self.digest = digests[_COMPRESSED] if options.compression else self.diff_digest
        self._check()

    def _counted(self, plain: Iterator[Piece]) -> Iterator[Piece]:
        options, done = self._options, 0
        total = self._expected.size if self._expected is not None else None
        for piece in plain:
            if options.should_stop is not None and options.should_stop():
                raise Cancelled("the export")
            if piece:
                self._hashes.put(piece, _PLAIN)
                done += len(piece)
                if options.progress is not None:
                    options.progress(done, total)
                yield piece

    def _compressed(self, plain: Iterator[Piece]) -> Iterator[Piece]:
        encoder = compressor(self._options.compression)
        for piece in plain:
            if packed := encoder.compress(piece):
                self._hashes.put(packed, _COMPRESSED)
                yield packed
        packed = encoder.flush()
        self._hashes.put(packed, _COMPRESSED)
        yield packed

    def _check(self) -> None:
        expected = self._expected
        if expected is not None and expected.digest.startswith("sha256:") and expected.digest != self.diff_digest:
            reason = f"its tar came in as {expected.digest} and is now {self.diff_digest}"
            raise DamagedLayer(expected.layer, reason)


def from_tar_split(tar_split: str, root: Root, layer: Layer, options: Options) -> DiffReader:
    """Return a reader of the tar that the layer came in as; it closes `root`."""

    def plain() -> Iterator[Piece]:
        with root:
            yield from join(tar_split, root.open_file, layer.id)

    size = layer.diff_size if layer.diff_digest else 0
    return DiffReader(plain(), options, _Expected(layer.id, layer.diff_digest, size))


def from_chunks(chunks: Iterator[bytes], options: Options) -> DiffReader:
    """Return a reader of a tar that a driver makes."""

    def plain() -> Iterator[Piece]:
        with closing(chunks) as pieces:  # type: ignore[type-var]
            yield from pieces

    return DiffReader(plain(), options)
