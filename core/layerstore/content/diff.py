"""The reader of a layer's diff: it assembles, hashes, verifies and optionally compresses a tar."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, Protocol

from layerstore.archive.compression import compressor
from layerstore.archive.root import Root
from layerstore.archive.tarsplit.join import Piece, join
from layerstore.archive.threads import HashThread
from layerstore.errors import Cancelled, DamagedLayer
from layerstore.model import Compression, Layer, Progress, ShouldStop

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PLAIN, _COMPRESSED = 0, 1
_LARGE = 1 << 19


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a diff. `on_close` is called once, when the reader is closed."""

    compression: Compression = Compression.NONE
    progress: Progress | None = None
    should_stop: ShouldStop | None = None
    on_close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Expected:
    """The digest and size that the uncompressed tar of a layer must have. Only sha256 digests are compared."""

    layer: str
    digest: str
    size: int


class DiffReader(io.RawIOBase):
    """A binary stream of a tar, compressed on request. Close it after use, because it holds a lock of the store.

    If the digest of the tar is known and does not match, the stream ends with `DamagedLayer` instead of an end of file.
    So a stream that was read to its end is exact. A compressed stream is then not even completed. After an error, every
    further read raises it again.

    About once per MiB, `progress` gets the bytes of the uncompressed tar, and `should_stop` is polled. The reading
    thread may call `close` at any time, which ends the work.
    """

    def __init__(self, plain: Iterable[Piece], options: Options, expected: Expected | None = None) -> None:
        super().__init__()
        self._options = options
        self._plain = plain
        self._stream = _Stream(plain, options, expected)
        self._pieces = self._stream.pieces()
        self._rest = memoryview(b"")
        self._error: BaseException | None = None

    @property
    def size(self) -> int:
        """The size of the stream in bytes, 0 until its end has been read."""
        return self._stream.size

    @property
    def digest(self) -> str:
        """The digest of the stream, "" until its end has been read."""
        return self._stream.digest

    @property
    def diff_size(self) -> int:
        """The size of the uncompressed tar in bytes, 0 until its end has been read."""
        return self._stream.diff_size

    @property
    def diff_digest(self) -> str:
        """The digest of the uncompressed tar, "" until its end has been read."""
        return self._stream.diff_digest

    @property
    def verified(self) -> bool:
        """Whether the end has been read and the digest of the uncompressed tar is the one on record.

        It stays False for a tar that was made by comparing files. It also stays False for a layer that was pulled
        partially and has no digest: each file was compared with its checksum in the tar-split, but nothing verifies the
        tar-split itself.
        """
        return self._stream.verified

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read bytes of the current piece into the buffer, and return their number, 0 at the end.

        Raises:
            DamagedLayer: The layer's files do not match its original tar.
            StoreCorrupt: The layer's tar-split is damaged.
            Cancelled: `should_stop` returned True.
            OSError: A file cannot be read.
            ValueError: The reader is closed.
        """
        view = memoryview(buffer).cast("B")
        if not self._rest and len(view):
            self._rest = memoryview(self._next())
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def readall(self) -> bytes:
        """Return the rest of the stream. Raises the same errors as `readinto`."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[Piece]:
        """Yield the rest of the stream in pieces of about 1 MiB, which is the fastest way to read.

        Raises the same errors as `readinto`.
        """
        while piece := self._rest or self._next():
            self._rest = memoryview(b"")
            yield piece

    def copy_to(self, file: BinaryIO) -> int:
        """Write the rest of the stream to a file, and return its size. Raises the same errors as `readinto`."""
        total = 0
        for piece in self.chunks():
            _write_all(file, memoryview(piece))
            total += len(piece)
        return total

    def close(self) -> None:
        """End the work and release the lock. Does nothing if the reader is already closed."""
        if self.closed:
            return
        super().close()
        self._rest = memoryview(b"")
        with ExitStack() as stack:  # run all of them, even if one raises
            stack.callback(self._options.on_close)
            stack.callback(self._stream.close)
            if isinstance(self._plain, Generator):
                stack.callback(self._plain.close)
            stack.callback(self._pieces.close)

    def _next(self) -> Piece:
        """Return the next piece, b"" at the end. Keep an error, because its generator would just end next time."""
        if self.closed:
            raise ValueError("the diff is closed")
        if self._error is not None:
            raise self._error
        try:
            return next(self._pieces, b"")
        except BaseException as error:
            self._error = error
            raise


class _Stream:
    """The pieces of a stream, and its digests.

    It has no reference to the reader. Otherwise its generators would keep a dropped reader, and its lock, alive.
    """

    def __init__(self, plain: Iterable[Piece], options: Options, expected: Expected | None) -> None:
        self.size = self.diff_size = 0
        self.digest = self.diff_digest = ""
        self.verified = False
        self._plain = plain
        self._options = options
        self._expected = expected
        self._hashes = HashThread(streams=2)

    def pieces(self) -> Generator[Piece]:
        """Return the pieces of the stream. Can be called once."""
        return self._compressed() if self._options.compression else self._uncompressed()

    def close(self) -> None:
        """End the hashing thread."""
        self._hashes.close()

    def _uncompressed(self) -> Generator[Piece]:
        yield from self._hashed()
        self._settle(_PLAIN)

    def _compressed(self) -> Generator[Piece]:
        encoder = compressor(self._options.compression)
        for piece in self._hashed():
            if packed := encoder.compress(piece):
                self._hashes.put(packed, _COMPRESSED)
                yield packed
        packed = encoder.flush()
        self._hashes.put(packed, _COMPRESSED)
        self._settle(_COMPRESSED)
        yield packed

    def _hashed(self) -> Iterator[Piece]:
        """Yield the uncompressed tar, while another thread hashes it."""
        progress, should_stop = self._options.progress, self._options.should_stop
        total = (self._expected.size or None) if self._expected is not None else None
        done = 0
        for piece in _gathered(self._plain):
            if should_stop is not None and should_stop():
                raise Cancelled("reading the diff")
            self._hashes.put(piece, _PLAIN)
            done += len(piece)
            if progress is not None:
                progress(done, total)
            yield piece

    def _settle(self, given_out: int) -> None:
        """Wait for the digests, and compare that of the uncompressed tar with the expected one."""
        self._hashes.finish()
        digests, sizes, expected = self._hashes.digests, self._hashes.sizes, self._expected
        if expected is not None and expected.digest.startswith("sha256:"):
            if expected.digest != digests[_PLAIN]:
                raise DamagedLayer(
                    expected.layer, f"the digest of its tar was {expected.digest} and is now {digests[_PLAIN]}"
                )
            self.verified = True
        self.diff_digest, self.diff_size = digests[_PLAIN], sizes[_PLAIN]
        self.digest, self.size = digests[given_out], sizes[given_out]


class Files(Protocol):
    """The files of a layer: a `Root`, or several."""

    def open_file(self, name: bytes, /) -> int:
        """Open a regular file for reading (see `Root.open_file`)."""
        ...

    def close(self) -> None:
        """Close all open folders."""
        ...


class LayerFolders:
    """The folders of `Driver.diff_folders`. A file is opened in the first folder that has its name.

    Whiteouts are ignored, so the caller must verify the checksum of a file.
    """

    def __init__(self, folders: Sequence[str | PathLike[str]], *, may_chmod: bool) -> None:
        self._roots: list[Root] = []
        try:
            for folder in folders:
                self._roots.append(Root(folder, may_chmod=may_chmod))
        except BaseException:
            self.close()
            raise

    def open_file(self, name: bytes, /) -> int:
        """Open a regular file. If no folder has it, raise the error of the first folder."""
        try:
            return self._roots[0].open_file(name)
        except (FileNotFoundError, NotADirectoryError):
            for root in self._roots[1:]:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    return root.open_file(name)
            raise

    def close(self) -> None:
        """Close all folders."""
        with ExitStack() as stack:
            for root in self._roots:
                stack.callback(root.close)


def from_tar_split(tar_split: str, files: Files, layer: Layer, options: Options) -> DiffReader:
    """Return a reader of the layer's original tar. Closing it closes `files`."""

    def on_close() -> None:
        try:
            files.close()
        finally:
            options.on_close()

    plain = join(tar_split, files.open_file, layer.id)
    expected = Expected(layer.id, layer.diff_digest, layer.diff_size if layer.diff_digest else 0)
    return DiffReader(plain, Options(options.compression, options.progress, options.should_stop, on_close), expected)


def from_chunks(chunks: Iterable[bytes], options: Options) -> DiffReader:
    """Return a reader of a tar that a driver yields in pieces of any length."""
    return DiffReader(chunks, options)


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Join small pieces to large ones, because each piece costs a switch to the hashing thread."""
    parts: list[Piece] = []
    held = 0
    for piece in pieces:
        if not parts and len(piece) >= _LARGE:
            yield piece
            continue
        parts.append(piece)
        held += len(piece)
        if held >= _LARGE:
            yield b"".join(parts)
            parts, held = [], 0
    if held:
        yield b"".join(parts)


def _write_all(file: BinaryIO, rest: memoryview) -> None:
    """Write a piece to a file. A raw file may write less than it was given."""
    while rest:
        taken: int | None = file.write(rest)
        if taken is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "writing to the file would block")
        rest = rest[len(rest) if taken is None else taken :]
