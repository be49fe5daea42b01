"""Tar headers, byte for byte as Go's archive/tar writes them.

A header is plain USTAR if everything fits; otherwise a PAX header precedes it. The records of a PAX header are sorted
by key, and its name is `PaxHeaders.0/NAME`. The rules follow the documentation of Go's archive/tar and POSIX.1-2001
pax. tests/core/archive/test_pack_peer.py compares the bytes with those of containers-storage.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

BLOCK = 512
END = bytes(2 * BLOCK)
"""The end of an archive."""

FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, FOLDER, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

_PAX = b"x"
_NAME_SIZE = 100
_PREFIX_SIZE = 155
_MAX_ID = 0o7777777
_MAX_SIZE = _MAX_MTIME = 0o77777777777
_MAX_PAX_BYTES = 1 << 20
_HALF = BLOCK // 2


@dataclass(slots=True)
class Header:
    """The header of one entry. `mtime` is in seconds, and `records` are PAX records to include."""

    name: bytes
    type: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    linkname: bytes = b""
    devmajor: int = 0
    devminor: int = 0
    records: dict[bytes, bytes] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the blocks of the header, after those of its PAX header if it needs one.

        Raises:
            ValueError: A value does not fit into any header. The text says which.
        """
        if self._fits_fields() and not self.records:
            if len(self.name) <= _NAME_SIZE:
                return _block(self, self.name)
            split = _split(self.name)
            if split is not None:
                return _block(self, split[1], split[0])
        plain = replace(
            self,
            linkname=_field(_ascii(self.linkname)),
            uid=_within(self.uid, _MAX_ID),
            gid=_within(self.gid, _MAX_ID),
            size=_within(self.size, _MAX_SIZE),
            mtime=_within(self.mtime, _MAX_MTIME),
        )
        return self._pax_blocks() + _block(plain, _field(_ascii(self.name)))

    def _fits_fields(self) -> bool:
        """Return whether everything except the length of the name fits into a USTAR header."""
        return (
            self.name.isascii()
            and self.linkname.isascii()
            and len(self.linkname) <= _NAME_SIZE
            and 0 <= self.uid <= _MAX_ID
            and 0 <= self.gid <= _MAX_ID
            and 0 <= self.mtime <= _MAX_MTIME
            and self.size <= _MAX_SIZE
        )

    def _pax_records(self) -> dict[bytes, bytes]:
        records = dict(self.records)
        texts = ((b"path", self.name), (b"linkpath", self.linkname))
        records |= {key: text for key, text in texts if len(text) > _NAME_SIZE or not text.isascii()}
        numbers = (
            (b"uid", self.uid, _MAX_ID),
            (b"gid", self.gid, _MAX_ID),
            (b"mtime", self.mtime, _MAX_MTIME),
            (b"size", self.size, _MAX_SIZE),
        )
        return records | {key: b"%d" % number for key, number, most in numbers if not 0 <= number <= most}

    def _pax_blocks(self) -> bytes:
        records = self._pax_records()
        for key in records:
            if b"=" in key or b"\0" in key:
                raise ValueError(f"a tar cannot contain the attribute name {key!r}; to fix: remove that attribute")
        data = b"".join(_record(key, records[key]) for key in sorted(records))
        if len(data) > _MAX_PAX_BYTES:
            raise ValueError(f"its attributes exceed the {_MAX_PAX_BYTES:,} bytes a tar allows; to fix: remove some")
        folder, _, base = self.name.rpartition(b"/")
        parts = [part for part in folder.split(b"/") if part]
        name = b"/".join([*parts, b"PaxHeaders.0", *([base] if base else [])])
        name = _ascii(name)[:_NAME_SIZE].rstrip(b"/")
        return _block(Header(name, _PAX, size=len(data)), name) + data + bytes(-len(data) % BLOCK)


def _block(header: Header, name: bytes, prefix: bytes = b"") -> bytes:
    """Return the block of a header with this name and prefix. Every value must fit its field."""
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(_NAME_SIZE, b"\0"),
        header.mode,
        header.uid,
        header.gid,
        header.size,
        header.mtime,
    )
    # Go leaves the device fields empty in a PAX header and writes zeros in all other headers.
    device = bytes(16) if header.type == _PAX else b"%07o\0%07o\0" % (header.devmajor, header.devminor)
    tail = b"%b%bustar\x0000%b%b%b" % (
        header.type,
        header.linkname.ljust(_NAME_SIZE, b"\0"),
        bytes(64),  # the names of the owner and the group
        device,
        prefix.ljust(_PREFIX_SIZE + 12, b"\0"),
    )
    return b"%b%06o\0 %b" % (head, _sum(b"%b        %b" % (head, tail)), tail)


def _within(number: int, most: int) -> int:
    """Return the number if it fits its octal field, otherwise 0, because a PAX record holds it."""
    return number if 0 <= number <= most else 0


def _sum(block: bytes) -> int:
    """Add up the bytes of a block.

    The low half of an Adler-32 is 1 plus the sum of the bytes modulo 65521, which half a block cannot reach.
    """
    return (zlib.adler32(block[:_HALF]) & 0xFFFF) + (zlib.adler32(block[_HALF:]) & 0xFFFF) - 2


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Split a long name at a slash into a USTAR prefix and name, or return None if they cannot fit."""
    end = _PREFIX_SIZE + 1 if len(name) > _PREFIX_SIZE + 1 else len(name) - name.endswith(b"/")
    at = name.rfind(b"/", 0, end)
    rest = len(name) - at - 1
    if at <= 0 or rest > _NAME_SIZE or rest == 0 or not name.isascii():
        return None
    return name[:at], name[at + 1 :]


def _ascii(text: bytes) -> bytes:
    """Drop bytes that are not ASCII, because a PAX record holds the full text."""
    return text if text.isascii() else bytes(byte for byte in text if byte < 0x80)


def _field(text: bytes) -> bytes:
    """Truncate a text to its field, without a trailing slash that would turn a file into a folder."""
    if len(text) <= _NAME_SIZE:
        return text
    cut = text[:_NAME_SIZE]
    return cut.rstrip(b"/") if cut.endswith(b"/") else cut


def _record(key: bytes, value: bytes) -> bytes:
    """Return one PAX record, whose length includes its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)
