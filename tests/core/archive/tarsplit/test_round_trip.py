"""Splitting and joining tars: the same bytes again, Go's own lines, and damage that is found."""

from __future__ import annotations

import base64
import errno
import gzip
import io
import json
import os
import posixpath
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastcrc.crc64 import go_iso
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.tarsplit.entry import Line, clean, file_line, segment_line
from layerstore.archive.tarsplit.join import Piece, join
from layerstore.archive.tarsplit.split import TarSplit
from layerstore.errors import BadArchive, DamagedLayer, LayerStoreError, StoreCorrupt
from support.tars import (
    END,
    GNU,
    MAKERS,
    NON_UTF8,
    WIDE,
    entry,
    gnu_tar,
    header,
    joined,
    make_tar,
    opener,
    padded,
    pax,
    pax_records,
    split,
)
from support.trees import Peer

LAYER = "0123abcd"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def crc(data: bytes) -> str:
    return base64.b64encode(go_iso(data).to_bytes(8, "big")).decode()


# The same bytes again


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("behind", [b"", bytes(512 * 9), b"garbage\n" * 200_000], ids=["", "zeros", "garbage"])
def test_real_tars_come_back_exactly(maker: str, behind: bytes, tmp_path: Path) -> None:
    data = MAKERS[maker](tmp_path) + behind
    path, files, _ = split(data, tmp_path)
    assert joined(path, files) == data
    assert len(gzip.decompress(path.read_bytes())) < 400_000 + 2 * len(behind)


def sparse_tar(folder: Path, *options: str) -> bytes:
    root = folder / "sparse"
    root.mkdir()
    with (root / "holes").open("wb") as file:
        for at in range(9):
            file.seek(at << 20)
            file.write(b"data")
        file.truncate(9 << 20)
    return gnu_tar(root, "--sparse", *options)


EXACT: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda _: b"",
    "no end": lambda _: entry(b"f", b"data"),
    "padding cut off": lambda _: header(b"f", size=4) + b"data" + bytes(7),
    "whole block, no end": lambda _: entry(b"f", bytes(512)),
    "half an end": lambda _: entry(b"f", b"data") + bytes(512),
    "hard link with a size": lambda _: entry(b"f", b"data") + header(b"l", b"1", 4, link=b"f") + END,
    "folder with a size": lambda _: header(b"d/", b"5", 4096) + entry(b"d/f", b"data") + END,
    "global header": lambda _: pax(b"g", comment="c") + entry(b"f", b"data") + END,
    "two global headers": lambda _: pax(b"g", comment="c") * 2 + entry(b"f", b"data") + pax(b"g", comment="d") + END,
    "unknown type": lambda _: entry(b"volume", b"data", b"V") + entry(b"f", b"data") + END,
    "large unknown type": lambda _: entry(b"volume", os.urandom(3 << 20), b"V") + entry(b"f", b"data") + END,
    "names": lambda _: entry(NON_UTF8, b"1") + entry(WIDE.encode(), b"2") + entry(b'q"\\\n\x01\x7f', b"3") + END,
    "no name": lambda _: entry(b"", b"data") + END,
    "dots": lambda _: entry(b"./", kind=b"5") + entry(b"./a/../b//c", b"data") + entry(b".//d", b"data") + END,
    "sparse gnu": lambda folder: sparse_tar(folder, "--format=gnu"),
    "sparse 0.0": lambda folder: sparse_tar(folder, "--format=pax", "--sparse-version=0.0"),
    "sparse 0.1": lambda folder: sparse_tar(folder, "--format=pax", "--sparse-version=0.1"),
    "sparse 1.0": lambda folder: sparse_tar(folder, "--format=pax", "--sparse-version=1.0"),
}


@pytest.mark.parametrize("case", EXACT)
def test_odd_tars_come_back_exactly_from_chunks_of_any_length(case: str, tmp_path: Path) -> None:
    data = EXACT[case](tmp_path)
    for size in (1 << 20, 100_000 if len(data) > 1 << 20 else 77):
        path, files, _ = split(data, tmp_path, size)
        assert joined(path, files) == data


def test_payloads_may_be_taken_in_part_or_not_at_all(tmp_path: Path) -> None:
    data = entry(b"a", b"1" * 5000) + entry(b"b", b"2" * 5000) + END
    out = io.BytesIO()
    for found in TarSplit([data[:3000], data[3000:]], out).entries():
        if found.name == b"a":
            next(found.pieces())
    path = tmp_path / "ts"
    path.write_bytes(out.getvalue())
    assert joined(path, {b"a": b"1" * 5000, b"b": b"2" * 5000}) == data


def test_a_path_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="twice") as caught:
        split(entry(b"a/b", b"1") + entry(b"./a//b", b"2") + END, tmp_path)
    assert caught.value.entry == "./a//b"


def test_large_files_are_yielded_in_pieces(tmp_path: Path) -> None:
    content = os.urandom((5 << 20) + 3)
    path, files, _ = split(entry(b"big", content) + entry(b"s", b"x") + END, tmp_path)
    pieces = list(join(path, opener(files), LAYER))
    assert max(map(len, pieces)) <= 1 << 20
    assert len(pieces) < 12


# Lines


def test_lines_are_those_that_go_writes() -> None:
    assert segment_line(b"abc", 0) == b'{"type":2,"payload":"YWJj","position":0}\n'
    assert file_line(b"d/", 0, 0, 1) == b'{"type":1,"name":"d/","payload":null,"position":1}\n'
    assert file_line(b"f", 5, go_iso(b"hello"), 7) == (
        b'{"type":1,"name":"f","size":5,"payload":"%b","position":7}\n' % crc(b"hello").encode()
    )
    assert file_line(b"", 0, 0, 2) == b'{"type":1,"payload":null,"position":2}\n'
    assert file_line(b"\xff", 0, 0, 3) == b'{"type":1,"name_raw":"/w==","payload":null,"position":3}\n'


def test_crc_is_the_one_of_go() -> None:
    # crc64.Checksum([]byte("123456789"), crc64.MakeTable(crc64.ISO)) in Go
    assert go_iso(b"123456789") == 0xB90956C775A41001
    assert go_iso(b"6789", go_iso(b"12345")) == 0xB90956C775A41001


def test_names_are_escaped_as_go_escapes_them() -> None:
    line = file_line('a<b>&"\\\n\t\x01\x7f\u2028\u2029\u00e9'.encode(), 0, 0, 0)
    assert b'"name":"a\\u003cb\\u003e\\u0026\\"\\\\\\n\\t\\u0001\x7f\\u2028\\u2029\xc3\xa9"' in line


@given(name=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_every_name_comes_back(name: bytes) -> None:
    line = file_line(name, 3, 77, 5)
    assert msgspec.json.decode(line, type=Line).archive_name() == name
    parsed = json.loads(line)
    raw = base64.b64decode(parsed.get("name_raw", ""))
    assert (raw or parsed.get("name", "").encode()) == name


@given(parts=st.lists(st.sampled_from(["", ".", "..", "a", ".b", "..c", "d."]), max_size=7))
def test_clean_is_gos_clean(parts: list[str]) -> None:
    name = "/".join(parts)
    expected = posixpath.normpath(name)
    assert clean(name.encode()).decode() == (expected[1:] if expected.startswith("//") else expected)


# Damage

FILES = {b"dir/small": b"small", b"big": bytes(3 << 20), b"edge": b"e" * (1 << 20)}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    data = b"".join(entry(name, content) for name, content in FILES.items())
    return split(data + END, tmp_path)[0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "changed", "empty"])
def test_a_file_that_is_not_what_came_in_is_named(name: bytes, how: str, made: Path) -> None:
    files = dict(FILES)
    content = files.pop(name)
    if how != "gone":
        files[name] = {
            "shorter": content[:-1],
            "longer": content + b"x",
            "changed": content[:-1] + b"!",
            "empty": b"",
        }[how]
    expected = "shorter" if how == "empty" else how
    given_out: list[Piece] = []
    with pytest.raises(DamagedLayer, match=expected) as caught:
        given_out.extend(join(made, opener(files), LAYER))
    assert (caught.value.path, caught.value.layer) == (name.decode(), LAYER)
    whole = b"".join(entry(name, content) for name, content in FILES.items()) + END
    assert whole.startswith(b"".join(given_out))


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP])
def test_what_took_a_files_place_is_damage(code: int, made: Path) -> None:
    def refuse(name: bytes) -> int:
        raise OSError(code, os.strerror(code))

    with pytest.raises(DamagedLayer):
        list(join(made, refuse, LAYER))


def test_a_folder_in_a_files_place_is_damage_and_other_errors_are_themselves(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedLayer, match="folder"):
        list(join(made, lambda name: os.open(tmp_path, os.O_RDONLY), LAYER))

    def refuse(name: bytes) -> int:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        list(join(made, refuse, LAYER))


def test_no_descriptor_stays_open_when_joining_ends_early(made: Path) -> None:
    before = os.listdir("/proc/self/fd")
    pieces = join(made, opener(FILES), LAYER)
    next(pieces)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == len(before)


GOOD_LINE = '{"type":2,"payload":"YWJj","position":0}\n'
BROKEN_LINES = {
    "no json": (GOOD_LINE + "{{{\n", 2),
    "no object": (GOOD_LINE * 2 + "[]\n", 3),
    "no base64": (GOOD_LINE + '{"type":2,"payload":"***","position":1}\n', 2),
    "size below zero": (GOOD_LINE + '{"type":1,"name":"f","size":-3,"payload":"AAAAAAAAAAA=","position":1}\n', 2),
    "size of no number": ('{"type":1,"name":"f","size":"3","payload":null,"position":1}\n', 1),
    "half a line": (GOOD_LINE + '{"type":2,"pay', 2),
    "no utf-8": (GOOD_LINE + '{"type":1,"name":"\udcff","payload":null,"position":1}\n', 2),
    "half a character": (GOOD_LINE + '{"type":1,"name":"\\ud800","size":1,"payload":"AAAAAAAAAAA=","position":1}\n', 2),
}


@pytest.mark.parametrize("case", BROKEN_LINES)
def test_a_broken_line_is_named(case: str, tmp_path: Path) -> None:
    text, line = BROKEN_LINES[case]
    path = tmp_path / "broken.tar-split.gz"
    path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    with pytest.raises(StoreCorrupt) as caught:
        list(join(path, opener({}), LAYER))
    assert (caught.value.file, caught.value.line) == (str(path), line)


@pytest.mark.parametrize("damage", ["cut", "flipped", "behind", "no gzip"])
def test_a_broken_gzip_is_corrupt(damage: str, made: Path) -> None:
    data = made.read_bytes()
    middle = len(data) // 2
    made.write_bytes(
        {
            "cut": data[:-9],
            "flipped": data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :],
            "behind": data + b"more",
            "no gzip": b"{}\n",
        }[damage]
    )
    with pytest.raises((StoreCorrupt, DamagedLayer)) as caught:
        list(join(made, opener(FILES), LAYER))
    assert isinstance(caught.value, StoreCorrupt) or damage == "flipped"


def test_lines_of_newer_and_older_writers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ts"
    text = '{"position":9,"type":2,"payload":"YWJj","later":[1]}\n\n{"type":3}\n{"type":2,"payload":null}\n'
    path.write_bytes(gzip.compress(text.encode()) + gzip.compress(GOOD_LINE.strip().encode()))
    assert joined(path, {}) == b"abcabc"


def test_a_line_without_end_costs_no_endless_memory(tmp_path: Path) -> None:
    path = tmp_path / "ts"
    path.write_bytes(gzip.compress(b'{"type":2,"payload":"' + b"A" * (40 << 20), 1))
    with pytest.raises(StoreCorrupt, match="longer than"):
        list(join(path, opener({}), LAYER))


# Properties

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=130)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    layout = draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    buffer = io.BytesIO()
    names = draw(st.lists(NAMES, max_size=6, unique_by=lambda name: clean(name.encode())))
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = draw(st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]))
            info.mtime = draw(st.integers(-(10**9), 10**10))
            info.uid = draw(st.integers(0, 2**33))
            info.linkname = draw(NAMES) if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            data = draw(st.binary(max_size=1500)) if info.isreg() else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()[: draw(st.sampled_from([None, -512, -1024]))] + draw(st.binary(max_size=40))


@settings(max_examples=60, deadline=None)
@given(data=archives(), size=st.integers(1, 3000))
def test_whatever_is_accepted_comes_back_exactly(data: bytes, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            path, files, _ = split(data, Path(folder), size)
        except BadArchive:
            return
        assert joined(path, files) == data


VARIED = (
    make_tar({"a/b": b"1" * 700, "a/c": "target", "d": None, "n" * 150: b"2" * 512})[:-9216]
    + pax_records([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
    + entry(b"s", padded(b"1\n2\n3\n") + b"abc")
    + entry(b"g", b"data", magic=GNU)
    + END
)


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(VARIED) - 1),
    bits=st.integers(1, 255),
    cut=st.integers(0, len(VARIED)) | st.just(len(VARIED)),
)
def test_a_damaged_tar_is_refused_or_comes_back_as_it_is(at: int, bits: int, cut: int) -> None:
    data = bytearray(VARIED)
    data[at] ^= bits
    block = at - at % 512
    if data[block + 257 : block + 262] == b"ustar":
        data[block + 148 : block + 156] = b" " * 8
        data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
    given_in = bytes(data[:cut])
    with tempfile.TemporaryDirectory() as folder:
        try:
            path, files, _ = split(given_in, Path(folder))
        except LayerStoreError:
            return
        assert joined(path, files) == given_in


# The real tool


def merged(lines: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Yield the lines without their positions, neighbouring segments as one: where they are cut does not matter."""
    held = b""
    for line in lines:
        payload = base64.b64decode(line["payload"] or "")
        if line["type"] == 2:
            held += payload
            continue
        if held:
            yield (2, held)
        held = b""
        yield (1, line.get("name"), line.get("name_raw"), line.get("size", 0), payload)
    yield (2, held)


@pytest.mark.parametrize("maker", ["gnu-gnu", "gnu-pax", "gnu-ustar", "bsd-pax", "python-gnu", "global header"])
def test_our_lines_are_those_of_containers_storage(maker: str, tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer")
    data = EXACT[maker](tmp_path) if maker in EXACT else MAKERS[maker](tmp_path)
    tar = tmp_path / "layer.tar"
    tar.write_bytes(data)
    layer, _ = peer.create()
    peer.run("applydiff", "-f", tar, layer)
    theirs = peer.graph / "vfs-layers" / f"{layer}.tar-split.gz"
    ours, files, _ = split(data, tmp_path)
    assert list(merged(lines_of(ours))) == list(merged(lines_of(theirs)))
    assert [line["position"] for line in lines_of(ours)] == list(range(len(lines_of(ours))))
    assert joined(theirs, files) == data
    theirs.write_bytes(ours.read_bytes())
    assert peer.diff(layer) == data


@pytest.mark.parametrize("case", ["hard link with a size", "folder with a size", "two global headers", "sparse gnu"])
def test_what_their_own_lines_get_wrong_ours_let_them_get_right(case: str, tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer")
    plain = tmp_path / "plain.tar"
    plain.write_bytes(make_tar({"f": b"data", "d": None, "d/f": b"data"}))
    layer, _ = peer.create()
    peer.run("applydiff", "-f", plain, layer)
    data = EXACT[case](tmp_path)
    ours, _, _ = split(data, tmp_path)
    (peer.graph / "vfs-layers" / f"{layer}.tar-split.gz").write_bytes(ours.read_bytes())
    assert peer.diff(layer) == data
