"""Tests of damaged tar-splits, and of files that no longer match theirs."""

from __future__ import annotations

import errno
import gzip
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.root import Root
from layerstore.archive.tarsplit.join import Piece, join
from layerstore.errors import DamagedLayer, LayerStoreError, StoreCorrupt
from support.tars import END, entry, header, joined, opener, padded, pax, split

LAYER = "0123abcd"
SEGMENT = b'{"type":2,"payload":"YWJj","position":0}\n'
CRC = '"payload":"AAAAAAAAAAA="'


def corrupt(data: bytes, folder: Path) -> StoreCorrupt:
    """Return the error for a tar-split with these bytes."""
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
        (f'{{"type":1,"name":"../../etc/passwd","size":1,{CRC},"position":1}}', "outside the layer"),
        ('{"type":1,"name":"f","size":1,"payload":null,"position":1}', "no valid checksum"),
        ('{"type":1,"name":"f","size":1,"payload":"AAAA","position":1}', "no valid checksum"),
        (f'{{"type":1,"name":"f","size":-1,{CRC},"position":1}}', "size"),
        (f'{{"type":1,"name":"f","size":1e3,{CRC},"position":1}}', "int"),
        (f'{{"type":1,"name":"f","size":{"9" * 40},{CRC},"position":1}}', "size"),
        ('{"name":"f","size":1}', "type"),
        ("[" * 5000, ""),
        ("nul", ""),
    ],
)
def test_the_error_names_the_invalid_line(line: str, reason: str, tmp_path: Path) -> None:
    error = corrupt(gzip.compress(SEGMENT * 3 + line.encode() + b"\n" + SEGMENT), tmp_path)
    assert (error.line, error.column) == (4, 1)
    assert reason in error.reason


def test_the_error_locates_a_truncated_gzip_and_trailing_junk(tmp_path: Path) -> None:
    rng = random.Random(1)
    payloads = (rng.randbytes(90).hex().encode() for _ in range(9000))
    lines = b"".join(b'{"type":2,"payload":"%s","position":0}\n' % payload for payload in payloads)
    whole = gzip.compress(lines)
    assert "ends early" in corrupt(whole[:-1], tmp_path).reason
    half = corrupt(whole[: len(whole) // 2], tmp_path)
    assert 1 <= half.line < 5000
    assert corrupt(whole + b"junk", tmp_path).line > 8000
    assert corrupt(b"junk", tmp_path).line == 1


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    endless = gzip.compress(SEGMENT + b'{"type":2,"payload":"' + b"A" * (40 << 20), 1)
    error = corrupt(endless, tmp_path)
    assert error.line == 2
    assert "longer" in error.reason


def test_a_file_whose_name_is_too_long_counts_as_damaged(tmp_path: Path) -> None:
    path, _, _ = split(entry(b"f", b"1") + pax(path=b"n" * 300) + entry(b"x", b"2") + END, tmp_path)
    (tmp_path / "f").write_bytes(b"1")
    with Root(tmp_path) as root, pytest.raises(DamagedLayer):
        list(join(path, root.open_file, "layer"))


FILES = {b"dir/small": b"small", b"big": bytes(3 << 20), b"edge": b"e" * (1 << 20)}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    data = b"".join(entry(name, content) for name, content in FILES.items())
    return split(data + END, tmp_path)[0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "changed", "empty"])
def test_the_error_names_the_changed_file(name: bytes, how: str, made: Path) -> None:
    files = dict(FILES)
    content = files.pop(name)
    if how != "gone":
        files[name] = {
            "shorter": content[:-1],
            "longer": content + b"x",
            "changed": content[:-1] + b"!",
            "empty": b"",
        }[how]
    expected = {"empty": "shorter", "gone": "missing"}.get(how, how)
    given_out: list[Piece] = []
    with pytest.raises(DamagedLayer, match=expected) as caught:
        given_out.extend(join(made, opener(files), LAYER))
    assert (caught.value.path, caught.value.layer) == (name.decode(), LAYER)
    whole = b"".join(entry(name, content) for name, content in FILES.items()) + END
    assert whole.startswith(b"".join(given_out))


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP])
def test_anything_but_a_regular_file_is_damage(code: int, made: Path) -> None:
    def refuse(name: bytes) -> int:
        raise OSError(code, os.strerror(code))

    with pytest.raises(DamagedLayer):
        list(join(made, refuse, LAYER))


def test_a_folder_is_damage_and_other_errors_are_passed_on(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedLayer, match="folder"):
        list(join(made, lambda name: os.open(tmp_path, os.O_RDONLY), LAYER))

    def refuse(name: bytes) -> int:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        list(join(made, refuse, LAYER))


def test_descriptors_are_closed_if_joining_ends_early(made: Path) -> None:
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
def test_the_error_locates_a_broken_line(case: str, tmp_path: Path) -> None:
    text, line = BROKEN_LINES[case]
    path = tmp_path / "broken.tar-split.gz"
    path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    with pytest.raises(StoreCorrupt) as caught:
        list(join(path, opener({}), LAYER))
    assert (caught.value.file, caught.value.line) == (str(path), line)


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing data", "no gzip"])
def test_a_damaged_gzip_is_corrupt(damage: str, made: Path) -> None:
    data = made.read_bytes()
    middle = len(data) // 2
    made.write_bytes(
        {
            "cut": data[:-9],
            "flipped": data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :],
            "trailing data": data + b"more",
            "no gzip": b"{}\n",
        }[damage]
    )
    with pytest.raises((StoreCorrupt, DamagedLayer)) as caught:
        list(join(made, opener(FILES), LAYER))
    assert isinstance(caught.value, StoreCorrupt) or damage == "flipped"


def test_lines_of_other_writers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ts"
    text = '{"position":9,"type":2,"payload":"YWJj","later":[1]}\n\n{"type":3}\n{"type":2,"payload":null}\n'
    path.write_bytes(gzip.compress(text.encode()) + gzip.compress(GOOD_LINE.strip().encode()))
    assert joined(path, {}) == b"abcabc"


def test_an_endless_line_uses_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "ts"
    path.write_bytes(gzip.compress(b'{"type":2,"payload":"' + b"A" * (40 << 20), 1))
    with pytest.raises(StoreCorrupt, match="longer than"):
        list(join(path, opener({}), LAYER))


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
def test_a_tar_with_insertions_and_deletions_is_refused_or_rebuilt_exactly(
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
def test_a_changed_tar_split_is_refused_or_rebuilds_a_tar(at: float, bits: int, whole: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tar = b"".join(PARTS) + END
        path, files, _ = split(tar, Path(folder))
        text = path.read_bytes() if whole else gzip.decompress(path.read_bytes())
        index = int(at * (len(text) - 1))
        changed = text[:index] + bytes([text[index] ^ bits]) + text[index + 1 :]
        path.write_bytes(changed if whole else gzip.compress(changed, 1))
        try:
            rebuilt = b"".join(join(path, opener(files), "layer"))
        except LayerStoreError:
            return
        # The checksum of gzip detects every change to its content. Segments have no checksum of their own.
        assert rebuilt == tar or not whole
