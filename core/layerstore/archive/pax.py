"""The records of PAX extended headers, and their effect on the entry that follows.

The format is that of POSIX pax and, for sparse files, that of GNU tar's manual (versions 0.0, 0.1 and 1.0). Which
records count, and which are rejected, follows Go's archive/tar.
"""

from __future__ import annotations

import re

from layerstore.archive.entry import Malformed, TarEntry
from layerstore.archive.header import MAX_REGIONS

MAX_META = 1 << 20
"""The most bytes an extended header or a long name may have, as in Go and libarchive."""

Records = dict[bytes, bytes]

_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_OFFSET, _LENGTH, _MAP = _SPARSE + b"offset", _SPARSE + b"numbytes", _SPARSE + b"map"
_STRINGS = frozenset((b"path", b"linkpath", b"uname", b"gname"))
_INTEGER = re.compile(rb"[+-]?[0-9]{1,64}")
_INT64 = 1 << 63
_BILLION = 1_000_000_000


def parse_records(data: bytes) -> Records:
    """Return the records of an extended header. If a key is repeated, the last value wins.

    Sparse format 0.0 repeats its keys for every region. Its offsets and lengths are joined into the map of format 0.1.

    Raises:
        Malformed: The length, syntax or key of a record is invalid.
    """
    records: Records = {}
    regions: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        stop = at + int(digits) if digits.isdigit() else 0
        if stop < at + 5 or stop > end or data[stop - 1] != 0x0A:
            raise Malformed("a record of the PAX header has an invalid length")
        key, equals, value = data[space + 1 : stop - 1].partition(b"=")
        if not key or not equals or b"\0" in (value if key in _STRINGS else key):
            raise Malformed("a record of the PAX header has an invalid syntax")
        at = stop
        if key in (_OFFSET, _LENGTH):
            if (_LENGTH if len(regions) % 2 else _OFFSET) != key or b"," in value:
                raise Malformed("the sparse regions in the PAX header are out of order")
            regions.append(value)
        else:
            records[key] = value
    if regions:
        records[_MAP] = b",".join(regions)
    return records


def apply_records(records: Records, entry: TarEntry) -> None:
    """Set the entry's fields from the records. An empty value leaves a field unchanged.

    Raises:
        Malformed: A number or a time is invalid.
    """
    for key, value in records.items():
        if key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value
        elif not value:
            continue
        elif key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.linkname = value
        elif key == b"mtime":
            entry.mtime_ns = _time(value)
        elif key == b"size":
            entry.size = _integer(value)
        elif key == b"uid":
            entry.uid = _integer(value)
        elif key == b"gid":
            entry.gid = _integer(value)
        elif key in (b"atime", b"ctime"):
            _time(value)


def sparse_version(records: Records) -> str:
    """Return the major version of the GNU sparse format, "0" or "1", or "" if there is none or it is unknown."""
    version = (records.get(_SPARSE + b"major", b""), records.get(_SPARSE + b"minor", b""))
    if version in ((b"0", b"0"), (b"0", b"1")):
        return "0"
    if version == (b"1", b"0"):
        return "1"
    return "0" if version == (b"", b"") and records.get(_MAP) else ""


def apply_sparse_records(records: Records, entry: TarEntry) -> None:
    """Set the real name and length of a sparse file from its records.

    Raises:
        Malformed: The length is not a number.
    """
    entry.name = records.get(_SPARSE + b"name") or entry.name
    size = records.get(_SPARSE + b"size") or records.get(_SPARSE + b"realsize")
    if size:
        entry.size = _integer(size)


def regions_of_map(records: Records) -> list[tuple[int, int]]:
    """Return the regions of a sparse file of format 0.0 or 0.1.

    Raises:
        Malformed: The map is not as long as the records say, or contains something other than numbers.
    """
    listed = records.get(_MAP)
    numbers = listed.split(b",") if listed else []
    if len(numbers) != 2 * _integer(records.get(_SPARSE + b"numblocks", b"")):
        raise Malformed("the sparse map does not have the length that the PAX header declares")
    return _pairs(numbers)


class SparseMap:
    """The map of sparse format 1.0: decimal numbers, one per line, in whole blocks ahead of the file's bytes."""

    def __init__(self) -> None:
        self._numbers: list[bytes] = []
        self._tail = b""
        self._wanted = 1

    def feed(self, block: bytes) -> bool:
        """Add the next block of the payload and return whether the map is complete.

        Raises:
            Malformed: The number of regions is invalid or too large.
        """
        *lines, self._tail = (self._tail + block).split(b"\n")
        self._numbers += lines
        if len(self._tail) > 64 and len(self._numbers) < self._wanted:
            raise Malformed("the sparse map contains something other than a number")
        if self._wanted == 1 and self._numbers:
            count = _integer(self._numbers[0])
            if not 0 <= count <= MAX_REGIONS:
                raise Malformed(f"the sparse map declares {count:,} regions; at most {MAX_REGIONS:,} are supported")
            self._wanted = 1 + 2 * count
        return bool(self._numbers) and len(self._numbers) >= self._wanted

    def regions(self) -> list[tuple[int, int]]:
        """Return the regions of a complete map.

        Raises:
            Malformed: An offset or a length is not a number.
        """
        return _pairs(self._numbers[1 : self._wanted])


def _pairs(numbers: list[bytes]) -> list[tuple[int, int]]:
    values = [_integer(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def _integer(value: bytes) -> int:
    """Parse a decimal 64-bit number."""
    number = int(value) if _INTEGER.fullmatch(value) else _INT64
    if not -_INT64 <= number < _INT64:
        raise Malformed(f"the PAX header contains {value[:64]!r} instead of a number")
    return number


def _time(value: bytes) -> int:
    """Convert seconds with any number of decimals to nanoseconds, dropping digits after the ninth."""
    seconds, _, fraction = value.partition(b".")
    if fraction and not fraction.isdigit():
        raise Malformed(f"the PAX header contains {value[:64]!r} instead of a time")
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    whole = _integer(seconds) * _BILLION
    return whole - nanoseconds if seconds.startswith(b"-") else whole + nanoseconds
