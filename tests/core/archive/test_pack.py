"""Tests of packing trees and changes, and of the headers that this writes."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.archive import pack
from layerstore.archive.compare import compare_trees
from layerstore.archive.pack import PIECE, pack_changes, pack_tree
from layerstore.archive.read import TarReader
from layerstore.archive.unpack import unpack
from layerstore.archive.write import Header
from layerstore.errors import Cancelled, NotSupported
from layerstore.model import Change, ChangeKind
from support.trees import MTIME, Entry, as_nobody, folder, hard_link, make_tree, picture, symlink


def opened(pieces: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))


def test_a_packed_tree_unpacks_to_the_same_tree(tmp_path: Path) -> None:
    root, again = tmp_path / "root", tmp_path / "again"
    root.mkdir()
    again.mkdir()
    unpack(
        root,
        [
            folder("d", 0o1755),
            Entry("d/f", data=b"x" * 3000, mode=0o4755, xattrs={b"user.a": b"\0\n="}),
            hard_link("d/g", "d/f", mode=0o4755),
            symlink("d/l", "f" * 150),
            Entry("d/" + "n" * 200, mtime_ns=-5 * 10**9),
            Entry("d/\udcff\udcfe", data=b"y"),
            Entry("fifo", "6"),
            folder("/".join(["deep" * 10] * 5)),
        ],
    )
    unpack(again, TarReader(pack_tree(root)))
    expected = picture(root)
    expected["."] = picture(again)["."]
    assert {k: v for k, v in picture(again).items() if "deep" not in k} == {
        k: v for k, v in expected.items() if "deep" not in k
    }
    assert picture(again, times=False).keys() == expected.keys()


def test_folders_come_before_their_contents(tmp_path: Path) -> None:
    make_tree(tmp_path / "r", {"a/b": b"", "a-b": b"", "a": None, "b/c/d": b""})
    with opened(pack_tree(tmp_path / "r")) as tar:
        assert tar.getnames() == ["a", "a/b", "a-b", "b", "b/c", "b/c/d"]


def test_times_are_truncated_to_seconds(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(0, MTIME + 999_999_999))
    with opened(pack_tree(tmp_path)) as tar:
        assert tar.getmember("f").mtime == MTIME // 10**9
    os.utime(tmp_path / "f", ns=(0, -1))
    with opened(pack_tree(tmp_path)) as tar:
        assert tar.getmember("f").mtime == -1


def test_changes_become_entries_and_whiteouts(tmp_path: Path) -> None:
    old = make_tree(tmp_path / "old", {"d/gone": b"", "d/stays": b"", "f": b"1", "g/x": b""})
    new = make_tree(tmp_path / "new", {"d/stays": b"", "f": b"22", "d/new": b"3"})
    with opened(pack_changes(new, compare_trees(new, old))) as tar:
        assert tar.getnames() == ["d", "d/.wh.gone", "d/new", "f", ".wh.g"]
        whiteout = tar.getmember(".wh.g")
        assert (whiteout.mode, whiteout.size, whiteout.uid, whiteout.type) == (0, 0, 0, tarfile.REGTYPE)
        assert abs(whiteout.mtime - time.time()) < 60


def test_pieces_are_bounded_and_files_are_complete(tmp_path: Path) -> None:
    sizes = [0, 1, 511, 512, 513, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 700_000, 700_000]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number:02}").write_bytes(os.urandom(size))
    pieces = list(pack_tree(tmp_path))
    assert max(map(len, pieces)) <= PIECE
    with opened(iter(pieces)) as tar:
        for number in range(len(sizes)):
            member = tar.extractfile(f"{number:02}")
            assert member is not None
            assert member.read() == (tmp_path / f"{number:02}").read_bytes()


@pytest.mark.parametrize("size", [100, 5 * PIECE])
@pytest.mark.parametrize(("change", "word"), [(50, "grew"), (-50, "shrank")])
def test_a_file_whose_size_changes_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, change: int, word: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    whole = pack.open_regular

    def change_it(*arguments: object, **keywords: object) -> int:
        os.truncate(path, size + change)
        return whole(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(pack, "open_regular", change_it)
    with pytest.raises(OSError, match=word) as caught:
        list(pack_tree(tmp_path))
    assert caught.value.filename == "file"


def test_a_replaced_or_missing_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"1")
    whole = pack.open_regular

    def replace_it(*arguments: object, **keywords: object) -> int:
        (tmp_path / "new").write_bytes(b"2")
        (tmp_path / "new").rename(tmp_path / "file")
        return whole(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(pack, "open_regular", replace_it)
    with pytest.raises(OSError, match="replaced") as caught:
        list(pack_tree(tmp_path))
    assert caught.value.filename == "file"
    with pytest.raises(FileNotFoundError) as gone:
        list(pack_changes(tmp_path, [Change("/absent/x", ChangeKind.ADD)]))
    assert gone.value.filename == "absent/x"


def test_packing_can_be_cancelled_and_closes_its_descriptors(tmp_path: Path) -> None:
    make_tree(tmp_path / "r", {"a/b/c": bytes(3 * PIECE)})
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Cancelled):
        list(pack_tree(tmp_path / "r", should_stop=lambda: True))
    pieces = pack_tree(tmp_path / "r")
    next(pieces)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_attributes_of_overlay_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.setxattr(tmp_path / "f", "user.overlay.opaque", b"y")
    os.setxattr(tmp_path / "f", "user.kept", b"1")
    with opened(pack_tree(tmp_path)) as tar:
        assert tar.getmember("f").pax_headers == {"SCHILY.xattr.user.kept": "1"}


def test_an_attribute_that_does_not_fit_into_a_tar_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.setxattr(tmp_path / "f", "user.a=b", b"")
    with pytest.raises(NotSupported, match=r"'f'.*a=b"):
        list(pack_tree(tmp_path))


def test_an_unprivileged_owner_can_pack_unreadable_files() -> None:
    def work(home: Path) -> tuple[list[str], list[int]]:
        root = make_tree(home / "root", {"d/f": b"content"})
        (root / "d/f").chmod(0)
        (root / "d").chmod(0)
        with opened(pack_tree(root)) as tar:
            names, modes = tar.getnames(), [member.mode for member in tar]
        assert stat.S_IMODE((root / "d").stat().st_mode) == 0
        (root / "d").chmod(0o700)
        return names, modes

    assert as_nobody(work) == (["d", "d/f"], [0, 0])


@pytest.mark.parametrize("length", range(95, 110))
def test_the_length_of_a_pax_record_includes_itself(length: int) -> None:
    data = Header(b"n" * length, b"0").encode()
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        assert tar.getnames() == ["n" * length]


@pytest.mark.parametrize(
    "values",
    [
        {"uid": 0o10000000, "gid": 1 << 31},
        {"size": 1 << 33},
        {"mtime": 1 << 33},
        {"mtime": -1},
        {"linkname": b"l" * 101, "type": b"2"},
        {"linkname": "é".encode(), "type": b"2"},
        {"name": b"p" * 150 + b"/" + b"n" * 100},
        {"name": b"p" * 156 + b"/" + b"n"},
        {"name": b"p" * 99 + b"/" + b"q" * 50 + b"/", "type": b"5"},
    ],
)
def test_values_that_do_not_fit_a_field_are_read_back(values: dict[str, object]) -> None:
    fields: dict[str, object] = {"name": b"n", "type": b"0", **values}
    header = Header(**fields)  # type: ignore[arg-type]
    entry = next(TarReader([header.encode(), bytes(1024)]))
    for name in ("name", "uid", "gid", "linkname", "type"):
        assert getattr(entry, name) == getattr(header, name), name
    assert entry.mtime_ns == header.mtime * 10**9
