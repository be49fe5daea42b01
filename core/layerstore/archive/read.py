"""A tar stream, read entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from layerstore.archive.entry import Malformed, TarEntry, name_text
from layerstore.archive.header import (
    BLOCK,
    HEADER_ONLY,
    MAX_REGIONS,
    ZERO_BLOCK,
    check_regions,
    old_gnu_real_size,
    old_gnu_regions,
    parse_header,
)
from layerstore.archive.pax import (
    MAX_META,
    Records,
    SparseMap,
    apply_records,
    apply_sparse_records,
    parse_records,
    regions_of_map,
    sparse_version,
)
from layerstore.errors import BadArchive

_META = frozenset((b"x", b"g", b"L", b"K"))
_HELD_RAW = 1 << 20


class TarReader:
    """An iterator over the entries of a tar that arrives in chunks of any length.

    It accepts what Go's archive/tar accepts: ustar, v7, GNU (long names, base-256 numbers, sparse files), star and PAX.
    The archive ends at two blocks of zeros or where the stream ends between two entries. Everything after that is read
    to the end and not interpreted. Memory use is bounded by one chunk and a few MiB, whatever the stream contains.

    `payload` receives every piece of every payload, whether or not the caller consumes it. `raw` receives all other
    bytes: headers, sparse maps, padding, end blocks and anything after them. The bytes ahead of an entry's payload
    arrive before the entry is returned, in calls of up to 1 MiB. The two callbacks together receive the stream exactly
    and in order.

    Iteration raises `BadArchive` with the entry and the offset if the stream is not a tar, is damaged or ends early.
    The reader cannot be used after an error.
    """

    def __init__(
        self,
        chunks: Iterable[bytes | bytearray | memoryview],
        *,
        raw: Callable[[bytes], None] | None = None,
        payload: Callable[[memoryview], None] | None = None,
    ) -> None:
        self._chunks = iter(chunks)
        self._raw = raw
        self._payload = payload
        self._chunk = b""
        self._view = memoryview(b"")
        self._length = 0
        self._pos = 0
        self._base = 0
        self._raw_from = 0
        self._raw_parts: list[bytes] = []
        self._raw_held = 0
        self._left = 0
        self._pad = 0
        self._entry: TarEntry | None = None

    @property
    def offset(self) -> int:
        """The position in the stream of the next byte to read, in bytes."""
        return self._base + self._pos

    def __iter__(self) -> TarReader:
        return self

    def __next__(self) -> TarEntry:
        while self._left:
            self._piece()
        self._entry = None
        start = self.offset + self._pad
        try:
            entry = self._next_entry()
        except Malformed as error:
            raise BadArchive(str(error), entry=self._where(), offset=start) from None
        self._entry = entry
        if entry is None:
            self._drain()
            raise StopIteration
        self._emit_raw()
        return entry

    def _pieces_of(self, entry: TarEntry) -> Iterator[memoryview]:
        """Yield the rest of the entry's payload, or nothing if it is no longer the current entry."""
        while self._left and self._entry is entry:
            yield self._piece()

    def skip(self) -> None:
        """Treat the rest of the current entry's payload as read, because the stream does not contain it."""
        self._left = 0

    def _next_entry(self) -> TarEntry | None:
        records: Records = {}
        long_name = long_link = b""
        while True:
            block = self._header_block()
            if block is None:
                return None
            entry = parse_header(block, self._pieces_of)
            kind = entry.type
            if kind in _META:
                data = self._meta(entry)
                if kind == b"L":
                    long_name = data.split(b"\0", 1)[0]
                elif kind == b"K":
                    long_link = data.split(b"\0", 1)[0]
                else:
                    records = parse_records(data)
                if kind == b"g":
                    return self._global_header(entry, records)
                continue
            if records:
                apply_records(records, entry)
            if long_name:
                entry.name = long_name
            if long_link:
                entry.linkname = long_link
            self._begin(entry, records, block)
            return entry

    def _begin(self, entry: TarEntry, records: Records, block: bytes) -> None:
        """Determine the entry's final type, the length of its payload and its sparse map."""
        self._entry = entry
        kind = entry.type
        if kind == b"\0":
            kind = b"5" if entry.name.endswith(b"/") else b"0"
        version = "S" if kind == b"S" else sparse_version(records) if records else ""
        if kind in HEADER_ONLY:
            if version:
                raise Malformed("the header marks something other than a regular file as sparse")
            entry.size = 0
        elif entry.size < 0:
            raise Malformed("the size is negative")
        entry.type = b"0" if kind in (b"7", b"S") else kind
        self._left = entry.size
        self._pad = -entry.size & (BLOCK - 1)
        if version:
            entry.sparse = self._sparse_regions(entry, version, records, block)
            check_regions(entry.sparse, entry.size, self._left)

    def _global_header(self, entry: TarEntry, records: Records) -> TarEntry:
        """Build the entry of a PAX global header, which has a name and records but none of the block's other fields."""
        apply_records(records, entry)
        entry.uid = entry.gid = entry.mode = entry.mtime_ns = entry.size = 0
        entry.linkname = b""
        return entry

    def _meta(self, entry: TarEntry) -> bytes:
        """Return the payload of an extended header or a long name."""
        size = entry.size
        if not 0 <= size <= MAX_META:
            raise Malformed(f"the extended header declares {size:,} bytes; at most {MAX_META:,} are supported")
        data = self._take(size)
        if len(data) < size:
            raise Malformed("the stream ends inside the extended header")
        self._pad = -size & (BLOCK - 1)
        return data

    def _sparse_regions(self, entry: TarEntry, version: str, records: Records, block: bytes) -> list[tuple[int, int]]:
        if version == "S":
            entry.size = old_gnu_real_size(block)
            return self._old_gnu_map(block)
        apply_sparse_records(records, entry)
        if version == "0":
            return regions_of_map(records)
        found = SparseMap()
        complete = False
        while not complete:
            data = self._take(min(BLOCK, self._left))
            if len(data) < BLOCK:
                raise Malformed("the sparse map is incomplete")
            self._left -= BLOCK
            complete = found.feed(data)
        return found.regions()

    def _old_gnu_map(self, block: bytes) -> list[tuple[int, int]]:
        regions, more = old_gnu_regions(block, extension=False)
        blocks = 0
        while more:
            block = self._take(BLOCK)
            blocks += 1
            if len(block) < BLOCK:
                raise Malformed("the stream ends inside the sparse map")
            further, more = old_gnu_regions(block, extension=True)
            regions += further
            if blocks * 21 > MAX_REGIONS:
                raise Malformed(f"the sparse map has more than {MAX_REGIONS:,} regions, the most that are supported")
        return regions

    def _header_block(self) -> bytes | None:
        """Return the next header block, or None at the end of the archive, with or without end blocks."""
        start = self._pos + self._pad
        end = start + BLOCK
        if end <= self._length:
            block = self._chunk[start:end]
            self._pos = end
            self._pad = 0
        elif not (block := self._block_across_chunks()):
            return None
        if block[0] or block != ZERO_BLOCK:
            return block
        second = self._take(BLOCK)
        if not second or second == ZERO_BLOCK:
            return None
        if len(second) < BLOCK:
            raise Malformed("the stream ends inside a header block")
        raise Malformed("a single block of zeros is followed by other data")

    def _block_across_chunks(self) -> bytes:
        """Return the next block, or b"" at the end of the stream. Like Go, accept missing padding there."""
        pad, self._pad = self._pad, 0
        if len(self._take(pad)) < pad:
            return b""
        block = self._take(BLOCK)
        if 0 < len(block) < BLOCK:
            raise Malformed("the stream ends inside a header block")
        return block

    def _take(self, count: int) -> bytes:
        """Return the next `count` raw bytes, or fewer at the end of the stream."""
        end = self._pos + count
        if end <= self._length:
            data = self._chunk[self._pos : end]
            self._pos = end
            return data
        parts = []
        while count and (self._pos < self._length or self._refill()):
            part = self._chunk[self._pos : self._pos + count]
            parts.append(part)
            self._pos += len(part)
            count -= len(part)
        return b"".join(parts)

    def _piece(self) -> memoryview:
        """Return as much of the payload as the current chunk holds."""
        start = self._pos
        if start == self._length:
            if not self._refill():
                raise BadArchive(
                    f"the stream ends {self._left:,} bytes before the end of the file",
                    entry=self._where(),
                    offset=self.offset,
                )
            start = 0
        end = min(start + self._left, self._length)
        piece = self._view[start:end]
        self._left -= end - start
        self._pos = self._raw_from = end
        if self._payload is not None:
            self._payload(piece)
        return piece

    def _refill(self) -> bool:
        """Move on to the next chunk. Return False at the end of the stream."""
        if self._raw_from < self._length:
            self._hold_raw()
        self._base += self._length
        self._chunk = b""
        for chunk in self._chunks:
            if len(chunk):
                self._chunk = chunk if isinstance(chunk, bytes) else bytes(chunk)
                break
        self._view = memoryview(self._chunk)
        self._length = len(self._chunk)
        self._pos = self._raw_from = 0
        return self._length > 0

    def _hold_raw(self) -> None:
        """Keep the raw bytes at the end of the chunk until their entry is complete or they exceed the limit."""
        if self._raw is None:
            return
        part = self._chunk[self._raw_from :]
        self._raw_parts.append(part)
        self._raw_held += len(part)
        self._raw_from = self._length
        if self._raw_held >= _HELD_RAW:
            self._emit_raw()

    def _emit_raw(self) -> None:
        data = self._chunk[self._raw_from : self._pos]
        self._raw_from = self._pos
        if self._raw is None:
            return
        if self._raw_parts:
            data = b"".join((*self._raw_parts, data))
            self._raw_parts.clear()
            self._raw_held = 0
        if data:
            self._raw(data)

    def _drain(self) -> None:
        """Read the rest of the stream."""
        self._emit_raw()
        while self._pos < self._length or self._refill():
            self._pos = self._length
            self._emit_raw()

    def _where(self) -> str:
        return name_text(self._entry.name) if self._entry is not None else ""
