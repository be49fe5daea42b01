"""A layer's diff on its way out: put together, hashed, checked and, where asked for, compressed."""

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
    """What the plain tar of a layer must be; a digest of another kind than sha256 is not compared."""

    layer: str
    digest: str
    size: int


class DiffReader(io.RawIOBase):
    """A binary stream of a tar, compressed on request. Close it after use: it holds a lock of the store.

    Where the digest of the tar is known, a tar that turns out different ends in `DamagedLayer`, not in an end of file;
    so what was read to its end without an error is exact. A compressed stream is not even completed then. After any
    error every further read raises it again. `progress` hears of the bytes of the plain tar, `should_stop` is asked as
    often, both about once a MiB. `close` may come at any moment from the thread that reads, and ends the work.
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
        """The bytes given out; 0 before the end was read."""
        return self._stream.size

    @property
    def digest(self) -> str:
        """The digest of the bytes given out; "" before the end was read."""
        return self._stream.digest

    @property
    def diff_size(self) -> int:
        """The bytes of the plain tar; 0 before the end was read."""
        return self._stream.diff_size

    @property
    def diff_digest(self) -> str:
        """The digest of the plain tar; "" before the end was read."""
        return self._stream.diff_digest

    @property
    def verified(self) -> bool:
        """True once the end was read and the plain tar found to have the digest on record.

        It stays False for a tar that was made by comparing files, and for a layer that was pulled partially and has no
        digest: then each file was compared with the tar-split's checksum, but nothing vouches for the tar-split.
        """
        return self._stream.verified

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer as far as the present piece goes; 0 at the end.

        Raises:
            DamagedLayer: the layer's files do not make up the tar that came in.
            StoreCorrupt: the layer's tar-split is broken.
            Cancelled: `should_stop` said so.
            OSError: a file cannot be read.
            ValueError: the reader is closed.
        """
        view = memoryview(buffer).cast("B")
        if not self._rest and len(view):
            self._rest = memoryview(self._next())
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def readall(self) -> bytes:
        """Return all that is left; raises what `readinto` does."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[Piece]:
        """Yield all that is left in pieces as they come, of about 1 MiB: the fastest way to read.

        Raises what `readinto` does.
        """
        while piece := self._rest or self._next():
            self._rest = memoryview(b"")
            yield piece

    def copy_to(self, file: BinaryIO) -> int:
        """Write all that is left to a file; return how many bytes that was. Raises what `readinto` does."""
        total = 0
        for piece in self.chunks():
            _write_all(file, memoryview(piece))
            total += len(piece)
        return total

    def close(self) -> None:
        """Stop the work, whether it is done or not, and give the lock back; doing so again does nothing."""
        if self.closed:
            return
        super().close()
        self._rest = memoryview(b"")
        with ExitStack() as stack:  # each of them, whatever the ones before it raise
            stack.callback(self._options.on_close)
            stack.callback(self._stream.close)
            if isinstance(self._plain, Generator):
                stack.callback(self._plain.close)
            stack.callback(self._pieces.close)

    def _next(self) -> Piece:
        """Return the next piece, b"" at the end. An error is kept: the generator that raised it would end now."""
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
    """What goes out, and its digests.

    It knows nothing of the reader: a generator that did would keep a dropped reader, and the lock that it holds, alive.
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
        """Yield what goes out, once."""
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
        """Yield the plain tar and have it hashed meanwhile."""
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
        """Wait for the digests and compare the plain tar's with the expected one."""
        self._hashes.finish()
        digests, sizes, expected = self._hashes.digests, self._hashes.sizes, self._expected
        if expected is not None and expected.digest.startswith("sha256:"):
            if expected.digest != digests[_PLAIN]:
                raise DamagedLayer(expected.layer, f"its tar came in as {expected.digest} and is now {digests[_PLAIN]}")
            self.verified = True
        self.diff_digest, self.diff_size = digests[_PLAIN], sizes[_PLAIN]
        self.digest, self.size = digests[given_out], sizes[given_out]


class Files(Protocol):
    """Where a layer's files are opened: a `Root`, or several."""

    def open_file(self, name: bytes, /) -> int:
        """Open a regular file for reading; see `Root.open_file`."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class LayerFolders:
    """The folders of a driver's `diff_folders`, open; a name is that of the first folder that has it.

    Nothing is known of what hides what: whoever reads a file has to have its checksum.
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
        """Open a regular file; what the first folder says is raised where none has it."""
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
    """Return a reader of the tar that the layer came in as; closing it closes `files`."""

    def on_close() -> None:
        try:
            files.close()
        finally:
            options.on_close()

    plain = join(tar_split, files.open_file, layer.id)
    expected = Expected(layer.id, layer.diff_digest, layer.diff_size if layer.diff_digest else 0)
    return DiffReader(plain, Options(options.compression, options.progress, options.should_stop, on_close), expected)


def from_chunks(chunks: Iterable[bytes], options: Options) -> DiffReader:
    """Return a reader of a tar that a driver makes, in pieces of any length."""
    return DiffReader(chunks, options)


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Put small pieces together until they make up a large one, and drop empty ones: each costs a hand-over."""
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
    """Write a piece to a file of any kind: a raw one may take less than it is given, and others do not say."""
    while rest:
        taken: int | None = file.write(rest)
        if taken is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "the file takes nothing without waiting")
        rest = rest[len(rest) if taken is None else taken :]
