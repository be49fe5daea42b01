"""Tar-splits that are broken in ways that say where, and files of a real folder that are not what came in."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.root import Root
from layerstore.archive.tarsplit.headers import headers
from layerstore.archive.tarsplit.join import join
from layerstore.errors import DamagedLayer, LayerStoreError, StoreCorrupt
from support.tars import END, entry, header, joined, opener, padded, pax, split

SEGMENT = b'{"type":2,"payload":"YWJj","position":0}\n'
CRC = '"payload":"AAAAAAAAAAA="'


def corrupt(data: bytes, folder: Path) -> StoreCorrupt:
    """Return the error of a tar-split of these bytes."""
    path = folder / "x.tar-split.gz"
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt) as caught:
        list(join(path, Root(folder).open_file, "layer"))
    assert caught.value.file == str(path)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f'{{"type":1,"name":"a\\u0000b","size":1,{CRC},"position":1}}', "NUL"),
        (f'{{"type":1,"name":"../../etc/passwd","size":1,{CRC},"position":1}}', "out of the layer"),
        ('{"type":1,"name":"f","size":1,"payload":null,"position":1}', "no checksum"),
        ('{"type":1,"name":"f","size":1,"payload":"AAAA","position":1}', "no checksum"),
        (f'{{"type":1,"name":"f","size":-1,{CRC},"position":1}}', "size"),
        (f'{{"type":1,"name":"f","size":1e3,{CRC},"position":1}}', "int"),
        (f'{{"type":1,"name":"f","size":{"9" * 40},{CRC},"position":1}}', "size"),
        ('{"name":"f","size":1}', "type"),
        ("[" * 5000, ""),
        ("nul", ""),
    ],
)
def test_the_line_that_cannot_be_is_named(line: str, reason: str, tmp_path: Path) -> None:
    error = corrupt(gzip.compress(SEGMENT * 3 + line.encode() + b"\n" + SEGMENT), tmp_path)
    assert (error.line, error.column) == (4, 1)
    assert reason in error.reason


def test_where_a_gzip_is_cut_or_followed_by_junk(tmp_path: Path) -> None:
    rng = random.Random(1)
    payloads = (rng.randbytes(90).hex().encode() for _ in range(9000))
    lines = b"".join(b'{"type":2,"payload":"%s","position":0}\n' % payload for payload in payloads)
    whole = gzip.compress(lines)
    assert "ends early" in corrupt(whole[:-1], tmp_path).reason
    half = corrupt(whole[: len(whole) // 2], tmp_path)
    assert 1 <= half.line < 5000
    assert corrupt(whole + b"junk", tmp_path).line > 8000
    assert corrupt(b"junk", tmp_path).line == 1


def test_a_line_without_end_is_named(tmp_path: Path) -> None:
    endless = gzip.compress(SEGMENT + b'{"type":2,"payload":"' + b"A" * (40 << 20), 1)
    error = corrupt(endless, tmp_path)
    assert error.line == 2
    assert "longer" in error.reason


def test_a_name_too_long_for_the_system_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    path, _, _ = split(entry(b"f", b"1") + pax(path=b"n" * 300) + entry(b"x", b"2") + END, tmp_path)
    (tmp_path / "f").write_bytes(b"1")
    with Root(tmp_path) as root, pytest.raises(DamagedLayer):
        list(join(path, root.open_file, "layer"))


PARTS = [
    entry(b"a", b"1" * 700),
    header(b"l", b"1", 700, link=b"a"),
    pax(b"g", comment="c"),
    pax(path=b"p" * 300) + entry(b"long", b"2" * 512),
    entry(b"d/", kind=b"5"),
    pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"})
    + entry(b"s", padded(b"1\n2\n3\n") + b"abc"),
    entry(b"e"),
]


@settings(max_examples=250, deadline=None)
@given(
    parts=st.permutations(PARTS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=600)), max_size=3),
    tail=st.sampled_from([b"", bytes(512), END, END + b"junk"]),
)
def test_what_was_inserted_and_cut_out_comes_back_or_is_refused(
    parts: list[bytes], changes: list[tuple[float, int, bytes]], tail: bytes
) -> None:
    data = b"".join(parts) + tail
    for place, cut, inserted in changes:
        at = int(place * len(data))
        data = data[:at] + inserted + data[at + cut :]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        try:
            path, files, _ = split(data, Path(folder))
        except LayerStoreError:
            return
        assert joined(path, files) == data


@settings(max_examples=100, deadline=None)
@given(at=st.floats(0, 1), bits=st.integers(1, 255), whole=st.booleans())
def test_a_changed_tar_split_never_raises_anything_else(at: float, bits: int, whole: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, files, _ = split(b"".join(PARTS) + END, Path(folder))
        text = path.read_bytes() if whole else gzip.decompress(path.read_bytes())
        index = int(at * (len(text) - 1))
        changed = text[:index] + bytes([text[index] ^ bits]) + text[index + 1 :]
        path.write_bytes(changed if whole else gzip.compress(changed, 1))
        with contextlib.suppress(LayerStoreError):
            list(join(path, opener(files), "layer"))


def test_a_gigantic_size_keeps_nobody_waiting(tmp_path: Path) -> None:
    path, _, _ = split(entry(b"f", b"12345") + entry(b"g") + END, tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"size":5', b'"size":%d' % (1 << 62))))
    assert [(found.name, found.size) for found in headers(path)] == [(b"f", 5), (b"g", 0)]
