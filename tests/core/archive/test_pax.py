"""Tests of PAX records and sparse maps, valid and invalid."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.archive.entry import Malformed, TarEntry
from layerstore.archive.pax import SparseMap, parse_records
from layerstore.archive.read import TarReader
from layerstore.errors import BadArchive
from support.tars import END, entry, padded
from support.tars import header as header_of

MAP = [(0, 4), (10, 2), (20, 0)]
STORED = b"abcdef"


def encode(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    data = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest)
        while len(b"%d" % length) + len(rest) != length:
            length = len(b"%d" % length) + len(rest)
        data += b"%d" % length + rest
    return data


def pax(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    return entry(b"pax", encode(records), b"x")


def header(name: bytes = b"f", **fields: bytes | int) -> bytes:
    return header_of(name, **fields)  # type: ignore[arg-type]


def read(data: bytes) -> list[tuple[TarEntry, bytes]]:
    return [(found, b"".join(found.pieces())) for found in TarReader([data])]


def one(data: bytes) -> tuple[TarEntry, bytes]:
    (found,) = read(data)
    return found


def with_records(*records: tuple[bytes, bytes], **fields: bytes | int) -> TarEntry:
    return one(pax(records) + header(**fields) + END)[0]


keys = st.binary(min_size=1, max_size=12).filter(lambda key: b"=" not in key and b"\0" not in key)


@given(st.lists(st.tuples(keys, st.binary(max_size=1200)), max_size=5))
def test_any_keys_and_values_are_parsed(records: list[tuple[bytes, bytes]]) -> None:
    assert parse_records(encode(records)) == dict(records)


@given(st.binary(max_size=60) | st.from_regex(rb"\A([0-9]{1,3} [a-z.]{0,8}=?[0-9,]{0,4}\n){0,4}"))
def test_any_bytes_are_malformed_or_records_that_can_be_encoded_again(data: bytes) -> None:
    try:
        records = parse_records(data)
    except Malformed:
        return
    assert parse_records(encode(records.items())) == records


@pytest.mark.parametrize(
    "data",
    [
        b"4 a=\n",
        b"6 a=b",
        b"6 a=bc",
        b"7 a=b\n",
        b"6 =bc\n",
        b"6 abc\n",
        b"+6 a=b\n",
        b"\xb2 a=b\n",
        b" 6 a=b\n",
        b"99999999999999999999999 a=b\n",
        b"12 path=a\0b\n",
        b"11 a\0th=ab\n",
        b"6 a=b\n\0\0\0",
    ],
)
def test_invalid_records_are_refused(data: bytes) -> None:
    with pytest.raises(BadArchive, match="PAX"):
        read(entry(b"pax", data, b"x") + header() + END)


def test_records_override_the_header() -> None:
    found = with_records(
        (b"path", b"long/\xff"),
        (b"linkpath", b"target"),
        (b"uid", b"3000000000"),
        (b"gid", b"-2"),
        (b"mtime", b"1.5"),
        (b"SCHILY.xattr.user.a=b", b""),
        (b"SCHILY.xattr.user.nul", b"a\0b=\n"),
        kind=b"2",
        uid=1,
    )
    assert (found.name, found.linkname) == (b"long/\xff", b"target")
    assert (found.uid, found.gid) == (3_000_000_000, -2)
    assert found.mtime_ns == 1_500_000_000
    assert found.xattrs == {b"user.a": b"b=", b"user.nul": b"a\0b=\n"}


def test_an_empty_value_changes_nothing_and_the_last_of_two_wins() -> None:
    assert with_records((b"path", b""), (b"uid", b""), (b"mtime", b""), uid=5).uid == 5
    assert with_records((b"uid", b"1"), (b"uid", b"2")).uid == 2


def test_a_size_record_is_the_length_of_the_payload() -> None:
    data = b"x" * 1500
    assert one(pax([(b"size", b"1500")]) + header(size=0) + padded(data) + END)[1] == data


def test_records_apply_to_the_next_entry_only() -> None:
    (first, _), (second, _) = read(pax([(b"uid", b"9")]) + header(b"a") + header(b"b") + END)
    assert (first.uid, second.uid) == (9, 0)


@pytest.mark.parametrize(
    ("text", "mtime_ns"),
    [
        (b"0", 0),
        (b"-1", -(10**9)),
        (b"-1.5", -1_500_000_000),
        (b"-0.5", -500_000_000),
        (b"1600000000.123456789", 1_600_000_000_123_456_789),
        (b"1.0000000019", 1_000_000_001),
        (b"1.", 10**9),
        (b"+3", 3 * 10**9),
        (b"9223372036854775807", (2**63 - 1) * 10**9),
    ],
)
def test_times(text: bytes, mtime_ns: int) -> None:
    assert with_records((b"mtime", text)).mtime_ns == mtime_ns


@pytest.mark.parametrize("key", [b"mtime", b"atime", b"ctime"])
@pytest.mark.parametrize("text", [b"x", b".5", b"1.x", b"1.-5", b"1e3", b"1_0", b" 1", b"1,5", b"9" * 19, b"nan"])
def test_invalid_times_are_refused(key: bytes, text: bytes) -> None:
    with pytest.raises(BadArchive, match="PAX"):
        with_records((key, text))


# --- sparse files ---


def sparse_0_0(count: int = 3) -> bytes:
    records = [(b"GNU.sparse.size", b"20"), (b"GNU.sparse.numblocks", b"%d" % count)]
    for offset, length in MAP:
        records += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % length)]
    return pax(records) + header(size=6) + padded(STORED)


def sparse_0_1(listed: bytes = b"0,4,10,2,20,0", size: bytes = b"20", stored: int = 6) -> bytes:
    records = [(b"GNU.sparse.size", size), (b"GNU.sparse.numblocks", b"3"), (b"GNU.sparse.map", listed)]
    return pax([*records, (b"GNU.sparse.name", b"true")]) + header(size=stored) + padded(STORED)


def sparse_1_0(listed: bytes = b"3\n0\n4\n10\n2\n20\n0\n", size: bytes = b"20") -> bytes:
    records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"true")]
    data = padded(listed) + STORED
    return pax([*records, (b"GNU.sparse.realsize", size)]) + header(size=len(data)) + padded(data)


@pytest.mark.parametrize("data", [sparse_0_0(), sparse_0_1(), sparse_1_0()], ids=["0.0", "0.1", "1.0"])
def test_sparse_files(data: bytes) -> None:
    (first, stored), (second, _) = read(data + header(b"next") + END)
    assert (first.sparse, first.size, stored) == (MAP, 20, STORED)
    assert first.name in (b"f", b"true")
    assert second.name == b"next"


def test_a_sparse_map_of_many_blocks() -> None:
    count = 500
    listed = b"%d\n" % count + b"".join(b"%d\n0\n" % number for number in range(count - 1)) + b"1000\n6\n"
    found, stored = one(sparse_1_0(listed, b"1006") + END)
    assert found.sparse is not None
    assert found.sparse[-1] == (1000, 6)
    assert len(found.sparse) == count
    assert stored == STORED


@pytest.mark.parametrize(
    "data",
    [
        sparse_0_0(count=2),
        sparse_0_1(b"0,4,10,2,20"),
        sparse_0_1(b"0,4,10,2,20,x"),
        sparse_0_1(b"0,4,3,2,20,0"),
        sparse_0_1(b"0,4,10,2,21,0"),
        sparse_0_1(b"0,4,10,1,20,0"),
        sparse_0_1(b"0,4,10,3,20,-1"),
        sparse_0_1(size=b"-20"),
        sparse_0_1(size=b"x"),
        sparse_0_1(stored=5),
        sparse_1_0(b"-3\n0\n4\n10\n2\n20\n0\n"),
        sparse_1_0(b"x\n"),
        sparse_1_0(b"999999999\n"),
        sparse_1_0(b"400\n" + b"0\n" * 100),
        sparse_1_0(b"1" * 600),
        sparse_1_0(b"3\n0\n4\n10\n2\n20\n" + b"0" * 100 + b"\n"),
        pax([(b"GNU.sparse.numbytes", b"1")]) + header(),
        pax([(b"GNU.sparse.offset", b"1,2"), (b"GNU.sparse.numbytes", b"1")]) + header(),
        pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]) + header(kind=b"5"),
    ],
    ids=range(19),
)
def test_invalid_sparse_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadArchive):
        read(data + END)


def test_an_unknown_sparse_version_is_a_plain_file() -> None:
    version = pax([(b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0")])
    found, stored = one(version + header(size=6) + padded(STORED) + END)
    assert (found.sparse, stored) == (None, STORED)


def test_an_endless_number_in_a_sparse_map_is_refused_early() -> None:
    found = SparseMap()
    found.feed(b"1\n".ljust(512, b"1"))
    with pytest.raises(Malformed, match="other than a number"):
        found.feed(b"1" * 512)
