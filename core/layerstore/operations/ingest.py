"""Reads a diff: decompresses and hashes a tar stream, records its tar-split and yields its entries.

Three threads share the work and pass pieces of 1 MiB: one reads and decompresses, one hashes, and the caller's thread
parses, checksums and writes files. They run in parallel because the C code that does the work releases the GIL.
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
    """A binary file, pipe or file-like object to read a diff from."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` bytes, b"" at the end, or None if a non-blocking source has no data yet."""
        ...


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The facts about a diff that the record of a layer keeps.

    Digests are "sha256:" and 64 hexadecimal digits, sizes are in bytes.

    Attributes:
        compression: The compression of the stream.
        compressed_digest: The digest of the stream as it was read.
        compressed_size: The size of the stream as it was read.
        diff_digest: The digest of the uncompressed tar.
        diff_size: The size of the uncompressed tar.
        uids: The owners of all entries except whiteouts, ascending.
        gids: The groups of all entries except whiteouts, ascending.
    """

    compression: Compression
    compressed_digest: str
    compressed_size: int
    diff_digest: str
    diff_size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]


class Ingest:
    """Reads a diff and writes its tar-split, without closing either file.

    Use it as a context manager: iterate over all `entries`, then get the `result`. The threads live as long as the
    context, and buffer at most about 20 MiB. Leaving the context waits for a `read` in progress. A `read` of a pipe,
    socket or terminal starts only when data is ready, but a `read` of another object may block for as long as it likes.

    Args:
        source: The diff: a binary file, or a path to open and close.
        tar_split: The binary file to write the tar-split to.
        progress: Called about once per MiB in the thread that iterates over the entries, with bytes of the source. The
            total is None if the source does not know its size.
        should_stop: Polled as often, and every 0.1 s while the source has no data.
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
            self._total = _remaining_bytes(source)
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
        """Yield the entries, once. After the last one, the whole source has been read and verified.

        Raises:
            BadArchive: The stream is not a tar, or is damaged.
            Cancelled: `should_stop` returned True.
            OSError: The source cannot be read. Any other exception of its `read` is raised too.
        """
        owners = self._owners
        for entry in self._split.entries():
            if WHITEOUT not in entry.name or not _is_whiteout(entry.name):
                owners.add((entry.uid, entry.gid))
            yield entry
        self._hashes.finish()
        self._complete = True

    def result(self) -> IngestResult:
        """Return the facts about the diff.

        Raises:
            RuntimeError: `entries` is not exhausted.
        """
        if not self._complete:
            raise RuntimeError("not all entries have been read")
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
        self._hashes.close()  # the reader may be waiting for it
        self._reader.join()

    def _pieces(self) -> Iterator[bytes]:
        """Yield the uncompressed pieces from the reading thread."""
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
        """Read, decompress and pass on pieces, in the reading thread."""
        try:
            self._pump(source)
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates over the entries
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
        """Count and hash the pieces of the stream."""
        piece = first
        while piece:
            self._read += len(piece)
            self._hashes.put(piece, _STREAM)
            yield piece
            piece = next(pieces, b"")


def _is_whiteout(name: bytes) -> bool:
    return name.rstrip(b"/").rpartition(b"/")[2].startswith(WHITEOUT)


def _read_pieces(source: Source, stop: threading.Event) -> Generator[bytes]:
    """Yield pieces of up to 1 MiB until the source ends or `stop` is set."""
    descriptor = _pollable_descriptor(source)
    if descriptor is not None:
        yield from _read_polled(source, descriptor, stop)
        return
    while not stop.is_set():
        piece = source.read(PIECE)
        if piece is None:
            stop.wait(_POLL_SECONDS)
        elif piece:
            yield piece
        else:
            return


def _read_polled(source: Source, descriptor: int, stop: threading.Event) -> Iterator[bytes]:
    """Yield pieces of a pipe: join all data that is available, and never wait to fill a piece."""
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


def _pollable_descriptor(source: Source) -> int | None:
    """Return the descriptor of a pipe, socket or terminal, which can be polled, or None for anything else.

    Only Python's own files are polled, since the `fileno` of other objects may not match their `read`. Bytes in the
    buffer of a buffered file, which polling does not see, are returned with the next data or at the end.
    """
    raw = source.raw if isinstance(source, io.BufferedReader) else source
    if not isinstance(raw, io.FileIO):
        return None
    mode = os.fstat(raw.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        return raw.fileno()
    return None


def _remaining_bytes(source: object) -> int | None:
    """Return the number of bytes up to the end of the source, or None if it is not seekable."""
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
