"""One 512-byte header block of a tar, and the entry that it describes.

Layouts are those of POSIX ustar, of GNU tar's and star's manuals; what is accepted, and how odd fields are understood,
follows Go's archive/tar (reader.go and strconv.go), since containers/storage unpacks by that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import adler32

if TYPE_CHECKING:
    from layerstore.archive.read import TarReader

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
HEADER_ONLY = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
"""Types that have no payload in the stream, whatever size they name: links, devices, folders and FIFOs."""

GNU_MAGIC = b"ustar  \0"
MAX_REGIONS = 1 << 17
"""Regions that a sparse file may have: what bounds the memory that a hostile map can take."""

_USTAR_MAGIC = b"ustar\0"
_LAYOUT = struct.Struct("100s24s12s12s8sc100s8s64x16s155s8x4s")
_OWNER = struct.Struct("8s8s8s")
_DEVICE = struct.Struct("8s8s")
_OCTAL_DIGITS = b"01234567"
_INT64 = 1 << 63


class Malformed(Exception):
    """A header or record says what it must not; the reader turns it into `BadArchive` with the place."""


class TarEntry:
    r"""One entry of a tar: its header, with PAX records and GNU long names already applied, and its payload.

    Values are what Go's archive/tar gives, since that is what containers/storage unpacks by. `name` and `linkname` are
    bytes as they stand in the archive, not cleaned and not safe. `type` is the typeflag; b"7" and b"S" arrive as b"0",
    and b"\0" (as old tars have it) as b"5" where the name ends in "/", else as b"0". Others stay, b"g" among them: a
    PAX global header is an entry, which Go gives out and applies to nothing. `mtime_ns` may be negative, `uid` and
    `gid` too. `xattrs` holds the SCHILY.xattr. records without that prefix. `size` is the length of the file once
    unpacked, 0 for links, devices, folders and FIFOs; `sparse` is None, or the (offset, length) regions that `pieces`
    yields the bytes of, in order, the rest of the file being holes.
    """

    __slots__ = (
        "_reader",
        "devmajor",
        "devminor",
        "gid",
        "linkname",
        "mode",
        "mtime_ns",
        "name",
        "size",
        "sparse",
        "type",
        "uid",
        "xattrs",
    )

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    linkname: bytes
    devmajor: int
    devminor: int
    xattrs: dict[bytes, bytes]
    sparse: list[tuple[int, int]] | None
    _reader: TarReader

    def pieces(self) -> Iterator[memoryview]:
        """Yield the payload, in order and once only; valid until the next entry is asked for.

        What is not taken is read past (and still counted and checked) when the next entry is asked for.

        Raises:
            BadArchive: The stream ends inside the payload.
        """
        return self._reader.payload(self)


def parse_header(block: bytes) -> TarEntry:
    """Return the entry that a header block of 512 bytes describes, its checksum verified.

    `size` is the field's value and `type` the raw typeflag; long names and records are the reader's business.

    Raises:
        Malformed: The checksum does not match, or a number is none.
    """
    name, owner, size, mtime, check, kind, link, magic, device, prefix, trailer = _LAYOUT.unpack(block)
    # An Adler-32 keeps 1 + the sum of the bytes in its low half, modulo 65521, which the sum of 256 bytes cannot reach.
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    if total != _expected_sum(check):
        _verify_signed_sum(block, total, check)
    entry = TarEntry()
    entry.name = name.split(b"\0", 1)[0]
    entry.type = kind
    entry.mode, entry.uid, entry.gid = _owner(owner)
    entry.size = _number(size)
    entry.mtime_ns = _seconds(mtime)
    entry.linkname = link.split(b"\0", 1)[0] if link[0] else b""
    entry.xattrs = {}
    entry.sparse = None
    if magic[:6] == _USTAR_MAGIC:
        entry.devmajor, entry.devminor = _device(device)
        if prefix[0] or trailer == b"tar\0":
            entry.name = _with_prefix(entry.name, prefix, trailer)
    elif magic == GNU_MAGIC:
        entry.devmajor, entry.devminor = _device(device)
        if prefix[0] or prefix[12]:
            entry.name = _with_old_go_prefix(entry.name, prefix)
    else:
        entry.devmajor = entry.devminor = 0
    return entry


def _with_prefix(name: bytes, prefix: bytes, trailer: bytes) -> bytes:
    """Put ustar's or star's prefix (155 or 131 bytes) before the name; star keeps its access times behind it."""
    if trailer == b"tar\0":
        _number(prefix[131:143])
        _number(prefix[143:155])
        prefix = prefix[:131]
    head = prefix.split(b"\0", 1)[0]
    return head + b"/" + name if head else name


def _with_old_go_prefix(name: bytes, area: bytes) -> bytes:
    """Put a prefix before the name where Go before 1.8 wrote one into a GNU header.

    That area is GNU's access and change time, so it is a prefix only if these are no numbers (golang.org/issue/12594).
    """
    try:
        for field in (area[:12], area[12:24]):
            if field[0]:
                _number(field)
    except Malformed:
        head = area.split(b"\0", 1)[0]
        if head and head.isascii():
            return head + b"/" + name
    return name


@lru_cache(maxsize=8192)
def _expected_sum(field: bytes) -> int:
    """Return what all 512 bytes must add up to, given the checksum field (which counts as eight spaces); -1 if none."""
    try:
        return _octal(field) + sum(field) - 8 * ord(" ")
    except Malformed:
        return -1


def _verify_signed_sum(block: bytes, total: int, field: bytes) -> None:
    """Accept the checksum of old Sun tars, which added signed bytes."""
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)
    expected = _expected_sum(field)
    if expected < 0 or total - 256 * high != expected:
        raise Malformed("its header's checksum does not match")


@lru_cache(maxsize=1024)
def _owner(field: bytes) -> tuple[int, int, int]:
    mode, uid, gid = _OWNER.unpack(field)
    return _number(mode), _number(uid), _number(gid)


@lru_cache(maxsize=256)
def _device(field: bytes) -> tuple[int, int]:
    major, minor = _DEVICE.unpack(field)
    return _number(major), _number(minor)


@lru_cache(maxsize=8192)
def _seconds(field: bytes) -> int:
    return _number(field) * 1_000_000_000


@lru_cache(maxsize=8192)
def _number(field: bytes) -> int:
    """Parse a numeric field: octal digits, or GNU's base-256 where the first bit is set (big-endian, two's complement).

    Raises:
        Malformed: It is no number, or one of more than 64 bits.
    """
    if not field[0] & 0x80:
        return _octal(field)
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise Malformed("its header has a number of more than 64 bits")
    return value


def _octal(field: bytes) -> int:
    """Parse octal digits between any NULs and spaces; nothing at all is 0."""
    digits = field.strip(b" \0").split(b"\0", 1)[0]
    if digits.strip(_OCTAL_DIGITS):
        raise Malformed(f"its header has {digits!r} where a number must be")
    return int(digits, 8) if digits else 0


def old_gnu_real_size(block: bytes) -> int:
    """Return the length of the file that a GNU sparse header (type S) describes, holes included.

    Raises:
        Malformed: It is no GNU header (star uses type S for a layout of its own), or the field is no number.
    """
    if block[257:265] != GNU_MAGIC:
        raise Malformed("it is a sparse file in a form that is not GNU's")
    return _number(block[483:495])


def old_gnu_regions(block: bytes, *, extension: bool) -> tuple[list[tuple[int, int]], bool]:
    """Return a header's or an extension block's regions of a GNU sparse file, and whether another block follows.

    Raises:
        Malformed: An offset or a length is no number.
    """
    start, count = (0, 21) if extension else (386, 4)
    end = start + 24 * count
    regions = []
    for at in range(start, end, 24):
        if not block[at]:
            break
        regions.append((_number(block[at : at + 12]), _number(block[at + 12 : at + 24])))
    return regions, block[end] > 0


def check_regions(regions: list[tuple[int, int]], size: int, stored: int) -> None:
    """Verify that the regions of a sparse file ascend, lie within `size` bytes and hold `stored` bytes in all.

    Raises:
        Malformed: They do not.
    """
    last = held = 0
    for offset, length in regions:
        if offset < last or length < 0:
            raise Malformed("its sparse regions overlap or run backwards")
        last = offset + length
        held += length
    if last > size:
        raise Malformed("its sparse regions go beyond its end")
    if held != stored:
        raise Malformed(f"its sparse regions name {held:,} bytes, and {stored:,} are stored")
