"""A tar stream, compressed or not, on its way into a layer: decompressed, hashed, split, given out entry by entry.

Three threads share the work, pieces of 1 MiB between them: one reads and decompresses, one hashes, and the caller's own
parses, checksums and writes files. The C code that they spend their time in releases the interpreter's lock.
"""

from __future__ import annotations

import io
import os
import select
import stat
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from layerstore.archive.compression import DETECT_BYTES, decompress, detect
from layerstore.archive.entry import TarEntry
from layerstore.archive.tarsplit.split import TarSplit
from layerstore.archive.threads import Channel, ChannelClosed, HashThread
from layerstore.archive.whiteouts import PREFIX as WHITEOUT
from layerstore.errors import Cancelled
from layerstore.model import Compression, Progress, ShouldStop

PIECE = 1 << 20
_POLL_SECONDS = 0.1
_STREAM, _PLAIN = 0, 1


class Source(Protocol):
    """What a diff is read from: any binary file, pipe or file-like object."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` bytes, b"" at the end, None where it will not wait for what has not come yet."""
        ...


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What is known about a diff once it has come in; the fields are those of a layer's record.

    Digests are "sha256:" and 64 hex digits, sizes are in bytes; `compressed_*` is about the stream as it came,
    `diff_*` about the tar in it. `uids` and `gids` are the owners of all entries that are not whiteouts, ascending.
    """

    compression: Compression
    compressed_digest: str
    compressed_size: int
    diff_digest: str
    diff_size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]


class Ingest:
    """Reads a diff from `source` and writes its tar-split to `tar_split`, both binary; neither is closed.

    Use it as a context manager, take all `entries`, then ask for the `result`. The threads start and end with the
    context; about 20 MiB are on their way at most. A source that is a path is opened, and closed at the end.

    `progress` is called from the thread that takes the entries, about once a MiB, with the bytes of the source; their
    total is None where the source cannot tell. `should_stop` is asked as often, and every 0.1 s while the source has
    nothing to give. Leaving the context waits for a `read` that is under way: one of a pipe, socket or terminal is only
    begun when there is something to read, but that of another object can block as long as it likes.
    """

    def __init__(
        self,
        source: Source | str | PathLike[str],
        tar_split: BinaryIO,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        self._given = source
        self._progress = progress
        self._should_stop = should_stop
        self._split = TarSplit(self._pieces(), tar_split)
        self._plain: Channel[bytes] = Channel()
        self._stop = threading.Event()
        self._compression = Compression.NONE
        self._total: int | None = None
        self._read = 0
        self._told = -1
        self._owners: set[tuple[int, int]] = set()
        self._complete = False

    def __enter__(self) -> Self:
        source = self._given
        with ExitStack() as stack:
            if isinstance(source, str | PathLike):
                source = stack.enter_context(open(source, "rb", buffering=0))
            self._total = _bytes_to_come(source)
            self._hashes = HashThread(streams=2)
            stack.callback(self._hashes.close)
            self._reader = threading.Thread(target=self._run, args=(source,), name="layerstore-read", daemon=True)
            self._reader.start()
            stack.callback(self._end_reader)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def entries(self) -> Iterator[TarEntry]:
        """Yield the entries, once. When they are exhausted the source has been read to its end, and all is checked.

        Raises:
            BadArchive: The stream is no tar, or is damaged; nothing about the rest of it is known then.
            Cancelled: `should_stop` said so.
            OSError: The source could not be read. Whatever else its `read` raises arrives here, too.
        """
        owners = self._owners
        for entry in self._split.entries():
            if WHITEOUT not in entry.name or not _is_whiteout(entry.name):
                owners.add((entry.uid, entry.gid))
            yield entry
        self._hashes.finish()
        self._complete = True

    def result(self) -> IngestResult:
        """Return what was found; `entries` must be exhausted.

        Raises:
            RuntimeError: It is not.
        """
        if not self._complete:
            raise RuntimeError("the entries have not all been taken")
        plain = _STREAM if self._compression is Compression.NONE else _PLAIN
        digests, sizes = self._hashes.digests, self._hashes.sizes
        return IngestResult(
            compression=self._compression,
            compressed_digest=digests[_STREAM],
            compressed_size=sizes[_STREAM],
            diff_digest=digests[plain],
            diff_size=sizes[plain],
            uids=tuple(sorted({uid & 0xFFFFFFFF for uid, _ in self._owners})),
            gids=tuple(sorted({gid & 0xFFFFFFFF for _, gid in self._owners})),
        )

    def _end_reader(self) -> None:
        self._stop.set()
        self._plain.close()
        self._hashes.close()  # else it could be this that the reader waits for
        self._reader.join()

    def _pieces(self) -> Iterator[bytes]:
        """Take the plain pieces from the reading thread."""
        while True:
            self._check()
            try:
                piece = self._plain.get(_POLL_SECONDS)
            except TimeoutError:
                continue
            if piece is None:
                self._check()
                return
            yield piece

    def _check(self) -> None:
        if self._should_stop is not None and self._should_stop():
            raise Cancelled("applying the diff")
        if self._progress is not None and self._read > self._told:
            self._told = self._read
            self._progress(self._told, self._total)

    def _run(self, source: Source) -> None:
        """Read, decompress and pass on: the work of the reading thread."""
        try:
            self._pump(source)
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that takes the entries
            self._plain.fail(error)
        else:
            self._plain.finish()

    def _pump(self, source: Source) -> None:
        with closing(_read_pieces(source, self._stop)) as pieces:
            first = b""
            for piece in pieces:
                first += piece
                if len(first) >= DETECT_BYTES:
                    break
            self._compression = detect(first)
            stream = self._counted(first, pieces)
            if self._compression is Compression.NONE:
                for piece in stream:
                    self._plain.put(piece)
                return
            for piece in decompress(stream, self._compression):
                self._hashes.put(piece, _PLAIN)
                self._plain.put(piece)

    def _counted(self, first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Count and hash the stream as it comes."""
        piece = first
        while piece:
            self._read += len(piece)
            self._hashes.put(piece, _STREAM)
            yield piece
            piece = next(pieces, b"")


def _is_whiteout(name: bytes) -> bool:
    return name.rstrip(b"/").rpartition(b"/")[2].startswith(WHITEOUT)


def _read_pieces(source: Source, stop: threading.Event) -> Generator[bytes]:
    """Yield what the source has, up to 1 MiB at a time, until its end or `stop`."""
    descriptor = _waiting_descriptor(source)
    if descriptor is not None:
        yield from _read_as_it_comes(source, descriptor, stop)
        return
    while not stop.is_set():
        piece = source.read(PIECE)
        if piece is None:
            stop.wait(_POLL_SECONDS)
        elif piece:
            yield piece
        else:
            return


def _read_as_it_comes(source: Source, descriptor: int, stop: threading.Event) -> Iterator[bytes]:
    """Yield what comes out of a pipe: what is there is put together, and nothing waits for what is not there yet."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    read = source.read1 if isinstance(source, io.BufferedReader) else source.read
    parts: list[bytes] = []
    held = 0
    while not stop.is_set():
        ready = poll.poll(0 if parts else 1000 * _POLL_SECONDS)
        part = read(PIECE - held) if ready else None
        if part:
            parts.append(part)
            held += len(part)
        if parts and (not part or held == PIECE):
            yield b"".join(parts)
            parts, held = [], 0
        if part == b"":
            return


def _waiting_descriptor(source: Source) -> int | None:
    """Return the descriptor of a pipe, socket or terminal, which can be waited for; None for anything else.

    Only Python's own files count: what another object's `fileno` has to do with its `read` is not known. A buffered
    one may hold bytes that its descriptor does not show; these come with the next ones, or with the end.
    """
    raw = source.raw if isinstance(source, io.BufferedReader) else source
    if not isinstance(raw, io.FileIO):
        return None
    mode = os.fstat(raw.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        return raw.fileno()
    return None


def _bytes_to_come(source: object) -> int | None:
    """Return the bytes between the source's position and its end, None if it has no positions."""
    if not isinstance(source, io.IOBase):
        return None
    try:
        if not source.seekable():
            return None
        here = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(here)
    except (OSError, ValueError):
        return None
    return max(0, end - here)
