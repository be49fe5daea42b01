"""Tests of reading tars: those of real programs, hand-made headers, and damaged or hostile streams."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.entry import TarEntry
from layerstore.archive.read import TarReader
from layerstore.errors import BadArchive
from support.tars import END, GNU, MAKERS, V7, chunked, entry, gnu_tar, header, octal, padded, pax, pax_records

REGULAR = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE}


def read(data: bytes, size: int = 1 << 20) -> list[tuple[TarEntry, bytes]]:
    return [(found, b"".join(found.pieces())) for found in TarReader(chunked(data, size))]


def only(data: bytes) -> TarEntry:
    [(found, _)] = read(data + END)
    return found


def expanded(found: TarEntry, data: bytes) -> bytes:
    if found.sparse is None:
        return data
    whole, at = bytearray(found.size), 0
    for offset, length in found.sparse:
        whole[offset : offset + length] = data[at : at + length]
        at += length
    return bytes(whole)


# Tars of real programs


@pytest.mark.parametrize("maker", MAKERS)
def test_real_tars_read_as_in_tarfile(maker: str, tmp_path: Path) -> None:
    data = MAKERS[maker](tmp_path)
    found = read(data)
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as tar:
        members = tar.getmembers()
        assert len(found) == len(members) > 8
        for (mine, content), theirs in zip(found, members, strict=True):
            assert mine.name.rstrip(b"/") == theirs.name.encode("utf-8", "surrogateescape")
            assert mine.linkname == theirs.linkname.encode("utf-8", "surrogateescape")
            assert mine.type == (b"0" if theirs.type in REGULAR else theirs.type)
            assert (mine.mode, mine.uid, mine.gid) == (theirs.mode, theirs.uid, theirs.gid)
            assert (mine.devmajor, mine.devminor) == (theirs.devmajor, theirs.devminor)
            assert mine.mtime_ns // 1000 == pytest.approx(theirs.mtime * 1e6, abs=2)
            if mine.type == b"0":
                assert mine.size == theirs.size
                assert content == tar.extractfile(theirs).read()  # type: ignore[union-attr]
            else:
                assert (mine.size, content) == (0, b"")


def make_sparse(folder: Path, regions: int) -> tuple[Path, bytes]:
    root = folder / "sparse"
    root.mkdir()
    with (root / "holes").open("wb") as file:
        for at in range(regions):
            file.seek(at * 65536 + 8192)
            file.write(b"%05d" % at * 100)
        file.truncate(regions * 65536 + 4096)
    return root, (root / "holes").read_bytes()


@pytest.mark.parametrize("regions", [0, 1, 4, 60])
@pytest.mark.parametrize(
    "options", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))], ids=str
)
def test_sparse_files_of_gnu_tar(options: list[str], regions: int, tmp_path: Path) -> None:
    root, content = make_sparse(tmp_path, regions)
    [(found, stored)] = read(gnu_tar(root, "--sparse", *options))
    assert (found.name, found.type, found.size) == (b"holes", b"0", len(content))
    assert found.sparse is not None
    assert len(stored) < max(len(content), 1)
    assert expanded(found, stored) == content


# Header fields


def test_numbers_in_base_256() -> None:
    found = only(
        header(
            b"f",
            uid=b"\x80\0\0\0\x80\0\0\0",
            gid=b"\xff" * 7 + b"\xfe",
            mtime=(-86400).to_bytes(12, "big", signed=True),
            magic=GNU,
        )
    )
    assert (found.uid, found.gid, found.mtime_ns) == (1 << 31, -2, -86400 * 10**9)


@pytest.mark.parametrize("field", [b"       0", b"0      \0", b"0\0 12345", b"\0" * 8, b"        "])
def test_octal_fields_with_any_padding(field: bytes) -> None:
    assert only(header(b"f", uid=field)).uid == 0


def test_a_checksum_of_signed_bytes_is_accepted() -> None:
    assert only(header(b"\xe9\xe8", signed=True)).name == b"\xe9\xe8"


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [(b"d/", b"\0", b"5"), (b"f", b"\0", b"0"), (b"f", b"7", b"0"), (b"f/", b"0", b"0"), (b"v", b"V", b"V")],
)
def test_types_are_those_of_go(name: bytes, kind: bytes, wanted: bytes) -> None:
    assert only(header(name, kind, magic=V7)).type == wanted


def test_prefixes() -> None:
    assert only(header(b"name", tail=b"some/prefix")).name == b"some/prefix/name"
    assert only(header(b"name", tail=b"p" * 155)).name == b"p" * 155 + b"/name"
    star = b"some/prefix".ljust(131, b"\0") + octal(1, 12) + octal(2, 12)
    assert only(header(b"name", tail=star.ljust(163, b"\0") + b"tar\0")).name == b"some/prefix/name"
    assert only(header(b"name", magic=V7, tail=b"some/prefix")).name == b"name"
    assert only(header(b"name", magic=GNU, tail=octal(1, 12) + octal(2, 12))).name == b"name"
    assert only(header(b"name", magic=GNU, tail=b"old/go")).name == b"old/go/name"


def test_devices_and_links() -> None:
    device = only(header(b"null", b"3", device=octal(1, 8) + octal(3, 8)))
    assert (device.type, device.devmajor, device.devminor) == (b"3", 1, 3)
    assert only(header(b"l", b"2", link=b"/target\0rest")).linkname == b"/target"


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_types_without_a_payload_ignore_their_size(kind: bytes) -> None:
    for size in (5000, (-5).to_bytes(12, "big", signed=True)):
        data = header(b"x", kind, size, link=b"t") + entry(b"next", b"data") + END
        [(first, content), (second, rest)] = read(data)
        assert (first.type, first.size, content) == (kind, 0, b"")
        assert (second.name, rest) == (b"next", b"data")


def test_gnu_long_names() -> None:
    name, link = b"n/" * 300 + b"\xff", b"l" * 101
    data = entry(b"././@LongLink", link + b"\0", b"K", magic=GNU) + entry(
        b"././@LongLink", name + b"\0", b"L", magic=GNU
    )
    found = only(data + header(b"cut", b"2", link=b"cut", magic=GNU))
    assert (found.name, found.linkname) == (name, link)


def test_pax_records() -> None:
    records = {
        "path": "p\u00e9/" * 100 + "f",
        "linkpath": "target",
        "uid": "4294967296",
        "gid": "-7",
        "mtime": "-1.5",
        "size": "5",
        "uname": "",
        "atime": "1.2",
        "comment": "nothing",
        "SCHILY.xattr.user.a=b": b"",
        "SCHILY.xattr.user.raw": b"\0\n\xff=",
        "LIBARCHIVE.xattr.user.c": "bm8",
    }
    del records["SCHILY.xattr.user.a=b"]
    records["SCHILY.xattr.user.empty"] = b""
    [(found, content)] = read(pax_records(records.items()) + header(b"short", size=0) + padded(b"12345") + END)
    assert found.name == records["path"].encode()
    assert (found.linkname, found.uid, found.gid) == (b"target", 1 << 32, -7)
    assert (found.mtime_ns, found.size, content) == (-1_500_000_000, 5, b"12345")
    assert found.xattrs == {b"user.raw": b"\0\n\xff=", b"user.empty": b""}


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("12.", 12_000_000_000),
        ("-0.25", -250_000_000),
        ("+1.000000001", 1_000_000_001),
        ("1.99999999999", 1_999_999_999),
        ("-9999999999.1", -9_999_999_999_100_000_000),
    ],
)
def test_pax_times(text: str, nanoseconds: int) -> None:
    assert only(pax(mtime=text) + header(b"f")).mtime_ns == nanoseconds


def test_a_record_without_a_value_changes_nothing() -> None:
    assert only(pax(path="", mtime="", size="") + header(b"f", mtime=7)).mtime_ns == 7 * 10**9


def test_a_global_header_is_an_entry_and_affects_no_other() -> None:
    data = pax(b"g", comment="c", mtime="1", uid="5") + entry(b"f", b"data", mtime=9) + END
    [(first, content), (second, _)] = read(data)
    assert (first.type, first.name, first.uid, first.size, content) == (b"g", b"PaxHeaders/x", 0, 0, b"")
    assert (second.name, second.uid, second.mtime_ns) == (b"f", 0, 9 * 10**9)


# The end of an archive


@pytest.mark.parametrize(
    "end", [b"", bytes(512), END, bytes(10240), END + b"garbage", END + entry(b"after", b"data")], ids=len
)
def test_an_archive_may_end_in_several_ways(end: bytes) -> None:
    assert [found.name for found, _ in read(entry(b"f", b"data") + end)] == [b"f"]


def test_an_empty_stream_and_missing_padding_are_accepted() -> None:
    assert read(b"") == []
    assert read(END) == []
    assert read(header(b"f", size=4) + b"data")[0][1] == b"data"
    assert read(header(b"f", size=4) + b"data" + bytes(10))[0][1] == b"data"


def test_the_callbacks_together_receive_the_stream(tmp_path: Path) -> None:
    data = MAKERS["gnu-gnu"](tmp_path) + b"trailing" * 225_000
    for size in (1, 511, 4096, 1 << 20) if len(data) < 1 << 20 else (511, 65537, 1 << 20):
        stream = bytearray()
        for found in TarReader(chunked(data, size), raw=stream.extend, payload=stream.extend):
            if found.name == b"big":
                next(found.pieces())  # and do not consume the rest
        assert stream == data


def test_a_payload_can_be_read_once_and_only_before_the_next_entry() -> None:
    reader = TarReader([entry(b"a", b"one") + entry(b"b", b"two") + END])
    first = next(reader)
    second = next(reader)
    assert b"".join(first.pieces()) == b""
    assert b"".join(second.pieces()) == b"two"
    assert b"".join(second.pieces()) == b""
    assert list(reader) == []


# Invalid streams

BLOCK = header(b"f", size=4)
BAD = {
    "junk": (b"junk" * 200, "checksum", "", 0),
    "text before": (b"x" * 512 + BLOCK, "checksum", "", 0),
    "bad checksum": (BLOCK[:50] + b"!" + BLOCK[51:], "checksum", "", 0),
    "second header": (entry(b"f", b"data") + b"x" * 512, "checksum", "", 1024),
    "no number": (header(b"f", size=b"12345678901x"), "number", "", 0),
    "nine": (header(b"f", uid=b"0000009\0"), "number", "", 0),
    "minus": (header(b"f", uid=b"-000001\0"), "number", "", 0),
    "size of 90 bits": (header(b"f", size=b"\x80" + b"\x7f" * 11), "64 bits", "", 0),
    "size below zero": (header(b"f", size=b"\xff" * 12), "negative", "f", 0),
    "size below zero by record": (pax(size="-1") + header(b"f"), "negative", "f", 0),
    "half a header": (BLOCK[:300], "header block", "", 0),
    "half an end": (entry(b"f", b"data") + bytes(700), "header block", "", 1024),
    "one block of zeros": (entry(b"f") + bytes(512) + BLOCK, "zeros", "", 512),
    "short payload": (BLOCK + b"dat", "ends 1 bytes before", "f", 515),
    "short record block": (pax(path="x")[:520], "ends inside the extended header", "", 0),
    "long name below zero": (header(b"n", b"L", b"\xff" * 12, magic=GNU), "-1 bytes", "", 0),
    "huge record block": (header(b"x", b"x", 1 << 30), "1,048,576", "", 0),
    "record without space": (entry(b"x", b"99", b"x") + BLOCK, "invalid length", "", 0),
    "record too long": (entry(b"x", b"99 path=x\n", b"x") + BLOCK, "invalid length", "", 0),
    "record too short": (entry(b"x", b"2 path=x\n", b"x") + BLOCK, "invalid length", "", 0),
    "record of absurd length": (entry(b"x", b"9" * 5000 + b" path=x\n", b"x") + BLOCK, "invalid length", "", 0),
    "record without newline": (entry(b"x", b"9 path=x!", b"x") + BLOCK, "invalid length", "", 0),
    "record without key": (entry(b"x", b"5 =x\n", b"x") + BLOCK, "invalid syntax", "", 0),
    "record without equals": (entry(b"x", b"7 path\n", b"x") + BLOCK, "invalid syntax", "", 0),
    "name with NUL": (pax(path=b"a\0b") + BLOCK, "invalid syntax", "", 0),
    "time": (pax(mtime="soon") + BLOCK, "number", "", 0),
    "decimals": (pax(mtime="1.-5") + BLOCK, "time", "", 0),
    "number with blank": (pax(uid=" 1") + BLOCK, "number", "", 0),
    "number of 70 bits": (pax(uid="9" * 21) + BLOCK, "number", "", 0),
    "global number": (pax(b"g", size="x") + BLOCK, "number", "", 0),
}


@pytest.mark.parametrize("case", BAD)
def test_an_invalid_stream_is_refused_with_its_position(case: str) -> None:
    data, reason, name, offset = BAD[case]
    for size in (100, 1 << 20):
        with pytest.raises(BadArchive, match=reason) as caught:
            read(data, size)
        assert (caught.value.entry, caught.value.offset) == (name, offset)


def sparse_pax(size: int, stored: bytes, **records: str) -> bytes:
    named = {f"GNU.sparse.{key}": value for key, value in records.items()}
    return pax_records([*named.items(), ("GNU.sparse.realsize", str(size))]) + entry(b"f", stored)


def map_1_0(text: bytes, size: int = 10, data: bytes = b"") -> bytes:
    return sparse_pax(size, padded(text) + data, major="1", minor="0")


def old_gnu(*regions: tuple[int, int], size: int = 10, stored: int = 0, magic: bytes = GNU) -> bytes:
    listed = b"".join(octal(offset, 12) + octal(length, 12) for offset, length in regions).ljust(96, b"\0")
    return header(b"f", b"S", stored, magic=magic, tail=bytes(41) + listed + b"\0" + octal(size, 12)) + padded(
        bytes(stored)
    )


BAD_SPARSE = {
    "overlap": (old_gnu((0, 4), (2, 4), stored=8), "overlap"),
    "out of order": (old_gnu((5, 1), (0, 1), stored=2), "out of order"),
    "beyond the end": (old_gnu((8, 4), stored=4), "beyond"),
    "more stored": (old_gnu((0, 4), stored=5), "cover 4 bytes, but 5"),
    "less stored": (old_gnu((0, 4), stored=3), "cover 4 bytes, but 3"),
    "not gnu": (old_gnu((0, 0), magic=b"ustar\x0000"), "other than GNU's"),
    "map of odd length": (sparse_pax(9, b"", map="1", numblocks="1"), "length that the PAX header declares"),
    "map longer than said": (sparse_pax(9, b"", map="1,0,2,0", numblocks="1"), "length that the PAX header declares"),
    "map without count": (sparse_pax(9, b"", map="1,0"), "number"),
    "map of words": (sparse_pax(9, b"", map="a,b", numblocks="1"), "number"),
    "length below zero": (sparse_pax(9, b"", map="5,-5", numblocks="1"), "out of order"),
    "a folder": (
        pax_records([("GNU.sparse.map", "0,0"), ("GNU.sparse.numblocks", "1")]) + header(b"d", b"5"),
        "other than a regular file",
    ),
    "offsets out of order": (
        pax_records([("GNU.sparse.numbytes", "0"), ("GNU.sparse.offset", "1")]) + BLOCK,
        "out of order",
    ),
    "no map": (map_1_0(b"2\n0\n"), "incomplete"),
    "count below zero": (map_1_0(b"-1\n"), "declares -1 regions"),
    "count beyond reason": (map_1_0(b"99999999999\n"), "at most"),
    "no count": (map_1_0(b"many\n"), "number"),
    "no newline": (map_1_0(b"1" * 512), "other than a number"),
    "map cut off": (sparse_pax(9, b"1\n", major="1", minor="0"), "incomplete"),
    "real size below zero": (sparse_pax(-1, b"", map="0,0", numblocks="1"), "beyond"),
}


@pytest.mark.parametrize("case", BAD_SPARSE)
def test_invalid_sparse_maps_are_refused(case: str) -> None:
    data, reason = BAD_SPARSE[case]
    with pytest.raises(BadArchive, match=reason):
        read(data + END)


def endless(first: bytes, again: bytes) -> Iterator[bytes]:
    yield first
    for _ in itertools.repeat(None, 250):
        yield again * (1 << 16 >> 9)


@pytest.mark.parametrize("case", ["sparse extensions", "sparse map", "record blocks", "zeros"])
def test_memory_is_bounded_for_any_stream(case: str) -> None:
    region = (octal(0, 12) + octal(0, 12)) * 21 + b"\1" + bytes(7)
    streams = {
        "sparse extensions": endless(header(b"f", b"S", magic=GNU, tail=bytes(137) + b"\1"), region),
        "sparse map": endless(
            pax_records([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")]) + header(b"f", size=1 << 30),
            b"131072\n" + b"1\n" * 252 + b"\n",
        ),
        "record blocks": endless(b"", pax(comment="c" * 300)),
        "zeros": endless(END, bytes(512)),
    }
    tracemalloc.start()
    try:
        for _ in TarReader(streams[case], raw=lambda data: None):
            pass
    except BadArchive:
        assert case != "zeros"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


# Properties

MIXED = (
    pax(b"g", comment="c")
    + entry(b"dir/", kind=b"5")
    + entry(b"dir/file", os.urandom(3000))
    + entry(b"././@LongLink", b"n" * 150, b"L", magic=GNU)
    + entry(b"cut", b"x" * 512, magic=GNU)
    + pax(path="p" * 120, mtime="1.5", size="700")
    + header(b"cut")
    + padded(b"y" * 700)
    + map_1_0(b"2\n0\n3\n7\n2\n", data=b"abcde")
    + old_gnu((0, 4), (10, 0), stored=4)
    + entry(b"hard", kind=b"1", link=b"dir/file")
    + END
    + b"trailing"
)


def everything(chunks: Iterator[bytes]) -> list[tuple[object, ...]]:
    return [
        (e.name, e.type, e.mode, e.uid, e.size, e.mtime_ns, e.linkname, e.sparse, b"".join(e.pieces()))
        for e in TarReader(chunks)
    ]


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(MIXED)), max_size=12))
def test_the_chunk_size_does_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(MIXED)]
    chunks = (MIXED[start:end] for start, end in itertools.pairwise(places))
    assert everything(chunks) == everything(chunked(MIXED))


@settings(max_examples=200, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(MIXED) - 1), st.integers(1, 255)), max_size=3),
    cut=st.integers(0, len(MIXED)),
    resum=st.booleans(),
)
def test_a_damaged_stream_is_refused_or_read_completely(flips: list[tuple[int, int]], cut: int, resum: bool) -> None:
    data = bytearray(MIXED)
    for at, bits in flips:
        data[at] ^= bits
        if resum and data[at - at % 512 + 257 :][:5] == b"ustar":
            fix_checksum(data, at - at % 512)
    stream = bytearray()
    try:
        for _ in TarReader(chunked(bytes(data[:cut])), raw=stream.extend, payload=stream.extend):
            pass
    except BadArchive:
        return
    assert stream == data[:cut]


def fix_checksum(data: bytearray, at: int) -> None:
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
