"""A stream of a tar, compressed or not, on its way into a layer.

Three threads share the work, 1 MiB pieces between them: one reads and decompresses, one hashes, and the caller's own
parses, checksums and writes files. The C code that they spend their time in releases the interpreter's lock.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from layerstore.archive.read import TarEntry
from layerstore.archive.whiteouts import PREFIX as WHITEOUT
from layerstore.compression import DETECT_BYTES, decompress, detect
from layerstore.errors import Cancelled
from layerstore.model import Compression, Progress, ShouldStop
from layerstore.pipeline import Channel, ChannelClosed, HashThread
from layerstore.tarsplit.split import TarSplit

_PIECE = 1 << 20
_PATIENCE = 0.1  # seconds between two questions to `should_stop` while nothing arrives
_COMPRESSED, _PLAIN = 0, 1


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What came in. Digests begin with "sha256:", sizes are bytes; `uids` and `gids` are sorted."""

    compression: Compression
    compressed_digest: str
    compressed_size: int
    diff_digest: str
    diff_size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]


class Ingest:
    """Reads a tar to its very end and writes its tar-split, gzipped, to `tar_split`.

    Use it as a context manager, take all `entries`, then ask for the `result`. `progress` hears of the bytes of the
    source, which need not be seekable.
    """

    def __init__(
        self,
        source: BinaryIO,
        tar_split: BinaryIO,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        self._source = source
        self._progress = progress
        self._should_stop = should_stop
        self._total = _length(source)
        self._descriptor = _slow_descriptor(source)
        self._compression = Compression.NONE
        self._plain: Channel[bytes] = Channel()
        self._stopping = threading.Event()
        self._hashes = HashThread(2)
        self._split = TarSplit(self._chunks(), tar_split)
        self._uids: set[int] = set()
        self._gids: set[int] = set()
        self._reader = threading.Thread(target=self._read, name="layerstore-read", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._plain.close()
        self._hashes.close()
        self._reader.join()

    def entries(self) -> Iterator[TarEntry]:
        """Yield the entries of the tar.

        Raises:
            BadArchive: the stream is no tar, is damaged, or ends early.
            Cancelled: `should_stop` said so.
            OSError: the source cannot be read.
        """
        for entry in self._split.entries():
            if not entry.name.rstrip(b"/").rpartition(b"/")[2].startswith(WHITEOUT):
                self._uids.add(entry.uid)
                self._gids.add(entry.gid)
            yield entry

    def result(self) -> IngestResult:
        """Return what came in; right once `entries` is exhausted."""
        self._reader.join()
        self._hashes.finish()
        plain = _PLAIN if self._compression else _COMPRESSED
        digests, sizes = self._hashes.digests, self._hashes.sizes
        return IngestResult(
            self._compression,
            digests[_COMPRESSED],
            sizes[_COMPRESSED],
            digests[plain],
            sizes[plain],
            tuple(sorted(self._uids)),
            tuple(sorted(self._gids)),
        )

    def _chunks(self) -> Iterator[bytes]:
        """Yield the plain tar, on the caller's thread."""
        while True:
            if self._should_stop is not None and self._should_stop():
                raise Cancelled("applying the diff")
            try:
                chunk = self._plain.get(_PATIENCE)
            except TimeoutError:
                continue
            if chunk is None:
                return
            yield chunk

    def _read(self) -> None:
        """Read and decompress, on a thread of its own."""
        try:
            pieces = self._pieces()
            leading = b""
            while len(leading) < DETECT_BYTES and (piece := next(pieces, b"")):
                leading += piece
            self._compression = detect(leading)
            for plain in decompress(_chain(leading, pieces), self._compression):
                if self._compression:
                    self._hashes.put(plain, _PLAIN)
                self._plain.put(plain)
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            self._plain.fail(error)
        else:
            self._plain.finish()

    def _pieces(self) -> Iterator[bytes]:
        done = 0
        while piece := self._next_piece():
            self._hashes.put(piece, _COMPRESSED)
            done += len(piece)
            if self._progress is not None:
                self._progress(done, self._total)
            yield piece

    def _next_piece(self) -> bytes:
        while self._descriptor is not None and not select.select([self._descriptor], [], [], _PATIENCE)[0]:
            if self._stopping.is_set():
                raise ChannelClosed
        return self._source.read(_PIECE)


def _chain(leading: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if leading:
        yield leading
    yield from rest


def _length(source: BinaryIO) -> int | None:
    """Return how many bytes are left in a file, None for a stream that does not know."""
    try:
        position = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(position)
    except (OSError, AttributeError, ValueError):
        return None
    return end - position


def _slow_descriptor(source: BinaryIO) -> int | None:
    """Return the descriptor of a source that may keep a reader waiting, and can be asked whether it would."""
    try:
        descriptor = source.fileno()
    except (OSError, AttributeError, ValueError):
        return None
    mode = os.fstat(descriptor).st_mode
    # A buffered reader may hold bytes that the descriptor does not show.
    raw = not hasattr(source, "peek")
    return descriptor if raw and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) else None
