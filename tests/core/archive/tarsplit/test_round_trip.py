"""Tests that a tar is rebuilt exactly from its tar-split, also by and from containers-storage."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastcrc.crc64 import go_iso
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.tarsplit.entry import clean
from layerstore.archive.tarsplit.join import join
from layerstore.archive.tarsplit.split import TarSplit
from layerstore.errors import BadArchive, LayerStoreError
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


# Exact round trips


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("trailing", [b"", bytes(512 * 9), b"garbage\n" * 200_000], ids=["", "zeros", "garbage"])
def test_real_tars_are_rebuilt_exactly(maker: str, trailing: bytes, tmp_path: Path) -> None:
    data = MAKERS[maker](tmp_path) + trailing
    path, files, _ = split(data, tmp_path)
    assert joined(path, files) == data
    assert len(gzip.decompress(path.read_bytes())) < 400_000 + 2 * len(trailing)


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
def test_unusual_tars_are_rebuilt_exactly_for_any_chunk_size(case: str, tmp_path: Path) -> None:
    data = EXACT[case](tmp_path)
    for size in (1 << 20, 100_000 if len(data) > 1 << 20 else 77):
        path, files, _ = split(data, tmp_path, size)
        assert joined(path, files) == data


def test_payloads_need_not_be_consumed(tmp_path: Path) -> None:
    data = entry(b"a", b"1" * 5000) + entry(b"b", b"2" * 5000) + END
    out = io.BytesIO()
    for found in TarSplit([data[:3000], data[3000:]], out).entries():
        if found.name == b"a":
            next(found.pieces())
    path = tmp_path / "ts"
    path.write_bytes(out.getvalue())
    assert joined(path, {b"a": b"1" * 5000, b"b": b"2" * 5000}) == data


def test_a_repeated_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="twice") as caught:
        split(entry(b"a/b", b"1") + entry(b"./a//b", b"2") + END, tmp_path)
    assert caught.value.entry == "./a//b"


def test_large_files_are_yielded_in_pieces(tmp_path: Path) -> None:
    content = os.urandom((5 << 20) + 3)
    path, files, _ = split(entry(b"big", content) + entry(b"s", b"x") + END, tmp_path)
    pieces = list(join(path, opener(files), LAYER))
    assert max(map(len, pieces)) <= 1 << 20
    assert len(pieces) < 12


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
def test_every_accepted_tar_is_rebuilt_exactly(data: bytes, size: int) -> None:
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
def test_a_damaged_tar_is_refused_or_rebuilt_exactly(at: int, bits: int, cut: int) -> None:
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


# containers-storage


def merged(lines: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Yield the lines without positions, with adjacent segments merged, because it does not matter where they end."""
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
def test_the_lines_are_those_of_containers_storage(maker: str, tmp_path: Path) -> None:
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
def test_containers_storage_rebuilds_tars_exactly_that_it_splits_wrongly(case: str, tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer")
    plain = tmp_path / "plain.tar"
    plain.write_bytes(make_tar({"f": b"data", "d": None, "d/f": b"data"}))
    layer, _ = peer.create()
    peer.run("applydiff", "-f", plain, layer)
    data = EXACT[case](tmp_path)
    ours, _, _ = split(data, tmp_path)
    (peer.graph / "vfs-layers" / f"{layer}.tar-split.gz").write_bytes(ours.read_bytes())
    assert peer.diff(layer) == data
