"""The 512-byte header block of a tar entry, decoded.

The layouts come from POSIX ustar and the manuals of GNU tar and star. What is accepted, and how unusual fields are
read, follows Go's archive/tar (reader.go and strconv.go), because containers/storage unpacks with it.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from zlib import adler32

from layerstore.archive.entry import Malformed, PayloadReader, TarEntry

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
HEADER_ONLY = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
"""Types without a payload in the stream, whatever their size field says: links, devices, folders and FIFOs."""

GNU_MAGIC = b"ustar  \0"
MAX_REGIONS = 1 << 17
"""The most regions a sparse file may have. This bounds the memory that a hostile map can use."""

_USTAR_MAGIC = b"ustar\0"
_LAYOUT = struct.Struct("100s24s12s12s8sc100s8s64x16s155s8x4s")
_OWNER = struct.Struct("8s8s8s")
_DEVICE = struct.Struct("8s8s")
_OCTAL_DIGITS = b"01234567"
_INT64 = 1 << 63


def parse_header(block: bytes, payload: PayloadReader) -> TarEntry:
    """Verify the checksum of a 512-byte header block and return the entry it describes.

    `size` is the raw field and `type` the raw type flag. The caller applies long names and PAX records. `payload` is
    what the entry reads its bytes through.

    Raises:
        Malformed: The checksum does not match, or a numeric field is invalid.
    """
    name, owner, size, mtime, check, kind, link, magic, device, prefix, trailer = _LAYOUT.unpack(block)
    # The low half of an Adler-32 is 1 plus the sum of the bytes modulo 65521, which 256 bytes cannot reach.
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    if total != _expected_sum(check):
        _verify_signed_sum(block, total, check)
    entry = TarEntry(payload)
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
    """Prepend the prefix of ustar (155 bytes) or star (131 bytes, followed by its access and change times)."""
    if trailer == b"tar\0":
        _number(prefix[131:143])
        _number(prefix[143:155])
        prefix = prefix[:131]
    head = prefix.split(b"\0", 1)[0]
    return head + b"/" + name if head else name


def _with_old_go_prefix(name: bytes, area: bytes) -> bytes:
    """Prepend the prefix that Go before 1.8 wrote into GNU headers.

    GNU tar keeps its access and change times there, so it is a prefix only if they are not numbers
    (golang.org/issue/12594).
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
    """Return what all 512 bytes must add up to for this checksum field, or -1 if the field is not a number."""
    try:
        return _octal(field) + sum(field) - 8 * ord(" ")  # the field itself counts as eight spaces
    except Malformed:
        return -1


def _verify_signed_sum(block: bytes, total: int, field: bytes) -> None:
    """Check for the checksum of old Sun tars, which added signed bytes."""
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)
    expected = _expected_sum(field)
    if expected < 0 or total - 256 * high != expected:
        raise Malformed("the checksum of the header does not match")


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
    """Parse a numeric field: octal digits, or base-256 (big-endian, two's complement) if the first bit is set.

    Raises:
        Malformed: It is not a number, or it needs more than 64 bits.
    """
    if not field[0] & 0x80:
        return _octal(field)
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise Malformed("the header contains a number of more than 64 bits")
    return value


def _octal(field: bytes) -> int:
    """Parse octal digits, ignoring NULs and spaces around them. An empty field is 0."""
    digits = field.strip(b" \0").split(b"\0", 1)[0]
    if digits.strip(_OCTAL_DIGITS):
        raise Malformed(f"the header contains {digits!r} instead of a number")
    return int(digits, 8) if digits else 0


def old_gnu_real_size(block: bytes) -> int:
    """Return the length of the file that a GNU sparse header (type S) describes, including holes.

    Raises:
        Malformed: It is not a GNU header (star has its own layout for type S), or the field is not a number.
    """
    if block[257:265] != GNU_MAGIC:
        raise Malformed("the sparse file uses a format other than GNU's, which is not supported")
    return _number(block[483:495])


def old_gnu_regions(block: bytes, *, extension: bool) -> tuple[list[tuple[int, int]], bool]:
    """Return the sparse regions in a GNU header or extension block, and whether another extension block follows.

    Raises:
        Malformed: An offset or a length is not a number.
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
    """Check that the regions of a sparse file ascend, lie within `size` bytes and hold `stored` bytes in total.

    Raises:
        Malformed: They do not.
    """
    last = held = 0
    for offset, length in regions:
        if offset < last or length < 0:
            raise Malformed("the sparse regions overlap or are out of order")
        last = offset + length
        held += length
    if last > size:
        raise Malformed("the sparse regions extend beyond the end of the file")
    if held != stored:
        raise Malformed(f"the sparse regions cover {held:,} bytes, but {stored:,} are stored")
