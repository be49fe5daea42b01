"""Tests of unpacking: all types of entries, whiteouts, existing files, hostile tars and unprivileged users."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from layerstore.archive import whiteouts
from layerstore.archive.unpack import unpack
from layerstore.errors import BadArchive, Cancelled
from support.needs import need_root
from support.trees import MTIME, NOBODY, Entry, as_nobody, folder, hard_link, picture, symlink, umask


def put(root: Path, *entries: Entry) -> int:
    return unpack(root, entries)


def names(root: Path) -> list[str]:
    return sorted(path for path in picture(root) if path != ".")


def test_every_type_is_unpacked_with_its_metadata(tmp_path: Path) -> None:
    need_root()
    size = put(
        tmp_path,
        folder("d", 0o1777, mtime_ns=5),
        Entry("d/file", data=b"x" * 2500, mode=0o4755, uid=12, gid=34, mtime_ns=-1_500_000_001),
        symlink("d/link", "/nowhere/../x", uid=12, gid=34, mtime_ns=MTIME + 7),
        hard_link("d/second", "d/file", mode=0o4755, uid=12, gid=34, mtime_ns=-1_500_000_001),
        Entry("d/null", "3", devmajor=1, devminor=3, mode=0o666),
        Entry("d/disk", "4", devmajor=7, devminor=300, mode=0o600, uid=1),
        Entry("d/fifo", "6", mode=0o622),
        Entry("d/empty", mode=0, xattrs={b"user.a": b"1", b"security.selinux": b"never"}),
    )
    assert size == 2500
    found = picture(tmp_path)
    assert found["d"][0] == "drwxrwxrwt"
    assert found["d"][3] == 5
    assert found["d/file"][:4] == ("-rwsr-xr-x", 12, 34, -1_500_000_001)
    assert found["d/file"][6] == b"x" * 2500
    assert found["d/link"][1:4] == (12, 34, MTIME + 7)
    assert found["d/link"][6] == b"/nowhere/../x"
    assert found["d/second"][4] == "d/file"
    assert (found["d/null"][0], found["d/null"][5]) == ("crw-rw-rw-", os.makedev(1, 3))
    assert (found["d/disk"][0], found["d/disk"][5], found["d/disk"][1]) == ("brw-------", os.makedev(7, 300), 1)
    assert found["d/fifo"][0] == "prw--w--w-"
    assert found["d/empty"][0] == "----------"
    assert found["d/empty"][7] == {"user.a": b"1"}


def test_the_umask_and_a_setgid_parent_have_no_effect(tmp_path: Path) -> None:
    need_root()
    tmp_path.chmod(0o2755)
    os.chown(tmp_path, 0, 777)
    with umask(0o077):
        put(tmp_path, Entry("made/by/the/way", mode=0o666), folder("d", 0o775), symlink("l", "x"), Entry("p", "6"))
    found = picture(tmp_path)
    for path, mode in {"made": "drwxr-xr-x", "made/by": "drwxr-xr-x", "d": "drwxrwxr-x", "p": "prw-r--r--"}.items():
        assert found[path][:3] == (mode, 0, 0), path
    assert found["made/by/the/way"][:3] == ("-rw-rw-rw-", 0, 0)
    assert found["l"][2] == 0


def test_folders_are_merged_and_everything_else_is_replaced(tmp_path: Path) -> None:
    put(tmp_path, folder("d", 0o700), Entry("d/kept", data=b"1"), Entry("f", data=b"old"), hard_link("g", "f"))
    put(tmp_path, folder("d", 0o750, mtime_ns=9), Entry("f", data=b"new", mode=0o600), Entry("d/kept", data=b"2"))
    found = picture(tmp_path)
    assert found["d"][0] == "drwxr-x---"
    assert (found["f"][6], found["g"][6]) == (b"new", b"old")
    put(tmp_path, Entry("d", data=b"now a file"), folder("f"), symlink("g", "f"))
    put(tmp_path, Entry("g/inside", data=b"through the link"))
    assert names(tmp_path) == ["d", "f", "f/inside", "g"]


def test_a_replaced_link_is_no_longer_followed(tmp_path: Path) -> None:
    put(tmp_path, folder("a"), folder("b"), symlink("to", "a"), Entry("to/1"), symlink("to", "b"), Entry("to/2"))
    assert names(tmp_path) == ["a", "a/1", "b", "b/2", "to"]
    put(tmp_path, Entry("to/3"), folder("to"), Entry("to/4"))
    assert names(tmp_path) == ["a", "a/1", "b", "b/2", "b/3", "to", "to/4"]


def test_a_replaced_folder_is_not_written_to(tmp_path: Path) -> None:
    put(tmp_path, folder("d"), Entry("d/1"), Entry("d"), folder("d"), Entry("d/2"), Entry(".wh.d"), Entry("d/3"))
    assert names(tmp_path) == ["d", "d/3"]


def test_whiteouts_delete(tmp_path: Path) -> None:
    put(tmp_path, Entry("a/b/c"), Entry("a/x"), Entry("f"), symlink("l", "a"), Entry("a/y"))
    put(tmp_path, Entry("a/.wh.b"), Entry(".wh.f"), Entry(".wh.l"), Entry(".wh.nothing"), Entry("a/x/.wh.below"))
    assert names(tmp_path) == ["a", "a/x", "a/y"]


def test_a_whiteout_below_a_deleted_folder_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, Entry("d/e/f"))
    put(tmp_path, Entry(".wh.d"), Entry("d/.wh.e"), Entry("d/e/.wh.f"))
    assert "d/e/f" not in names(tmp_path)


def test_an_opaque_folder_keeps_files_of_this_diff(tmp_path: Path) -> None:
    put(tmp_path, Entry("d/old"), Entry("d/sub/old"), Entry("d/sub/keep"), Entry("else"))
    put(
        tmp_path,
        Entry("./d/new"),
        Entry("d//sub/keep", data=b"new"),
        Entry("d/.wh..wh..opq"),
        Entry("d/later"),
    )
    assert names(tmp_path) == ["d", "d/later", "d/new", "d/sub", "d/sub/keep", "else"]
    put(tmp_path, Entry("only"), Entry(".wh..wh..opq"))
    assert names(tmp_path) == ["only"]


def test_an_opaque_folder_after_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whiteouts, "_NAMES_AT_ONCE", 4)
    put(tmp_path, Entry("d/old"))
    put(tmp_path, *(Entry(f"d/{n}") for n in range(10)), Entry("d/.wh..wh..opq"), Entry("d/x"), Entry("d/.wh..wh..opq"))
    assert names(tmp_path) == ["d", *(f"d/{n}" for n in range(10)), "d/x"]


def test_bookkeeping_of_aufs_is_skipped(tmp_path: Path) -> None:
    put(tmp_path, folder(".wh..wh.aufs"), folder(".wh..wh.plnk"), Entry(".wh..wh.plnk/1.2"), Entry(".wh..wh.orph/x"))
    assert names(tmp_path) == []
    with pytest.raises(BadArchive, match="plnk"):
        put(tmp_path, hard_link("f", ".wh..wh.plnk/1.2"))


def test_the_root_entry_changes_the_root_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in (".", "./", "/"):
        root.chmod(0o700)
        put(root, folder(name, 0o751, mtime_ns=42), Entry("x"))
        assert stat.S_IMODE(root.stat().st_mode) == 0o751
        assert root.stat().st_mtime_ns == 42
    with pytest.raises(BadArchive, match="root"):
        put(root, Entry("."))


def test_sparse_files_have_holes(tmp_path: Path) -> None:
    size = 64 << 20
    entry = Entry("s", data=b"ab" * 3000, sparse=[(4096, 4096), (size - 4096, 1904), (size, 0)])
    entry.size = size
    assert put(tmp_path, entry) == size
    status = (tmp_path / "s").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 < 1 << 20
    with (tmp_path / "s").open("rb") as file:
        file.seek(4096)
        assert file.read(4096) == b"ab" * 2048
        file.seek(size - 4096)
        assert file.read() == b"ab" * 952 + bytes(4096 - 1904)


def test_global_headers_are_ignored_and_unknown_types_refused(tmp_path: Path) -> None:
    assert put(tmp_path, Entry("pax_global_header", "g")) == 0
    assert names(tmp_path) == []
    with pytest.raises(BadArchive, match="type b'V'"):
        put(tmp_path, Entry("volume", "V"))


def test_folder_times_survive_later_entries(tmp_path: Path) -> None:
    put(tmp_path, folder("d", mtime_ns=1), folder("d/e", mtime_ns=2), Entry("d/e/f"), Entry("d/g"), folder("gone"))
    put(tmp_path, folder("gone", mtime_ns=3), Entry(".wh.gone"), folder("new", mtime_ns=4), Entry("new", mtime_ns=5))
    found = picture(tmp_path)
    assert [found[path][3] for path in ("d", "d/e", "new")] == [1, 2, 5]


HOSTILE: dict[str, tuple[list[Entry], type[Exception]]] = {
    "climbs out": ([Entry("../out")], BadArchive),
    "climbs out later": ([Entry("a/../../out")], BadArchive),
    "is the folder above": ([folder("..")], BadArchive),
    "whiteout climbs out": ([Entry("../.wh.secret")], BadArchive),
    "whiteout of the folder above": ([Entry("d/.wh...")], BadArchive),
    "whiteout of itself": ([Entry("d/.wh..")], BadArchive),
    "whiteout of nothing": ([Entry(".wh.")], BadArchive),
    "NUL in a name": ([Entry(b"a\0b")], BadArchive),
    "NUL in a folder": ([Entry(b"a\0/b")], BadArchive),
    "NUL in a target": ([symlink("l", b"a\0b")], BadArchive),
    "NUL in a hard link": ([hard_link("l", b"a\0b")], BadArchive),
    "name too long": ([Entry("n" * 300)], OSError),
    "path too long": ([Entry("d/" * 3000 + "x")], OSError),
    "hard link out": ([hard_link("l", "../secret")], BadArchive),
    "hard link to nothing": ([hard_link("l", "absent")], BadArchive),
    "hard link to itself": ([hard_link("l", "l")], BadArchive),
    "hard link to a folder": ([folder("d"), hard_link("l", "d")], BadArchive),
    "hard link through a link": ([symlink("up", ".."), hard_link("l", "up/secret")], BadArchive),
    "below a file": ([Entry("f"), Entry("f/x")], OSError),
    "below a loop": ([symlink("a", "b"), symlink("b", "a"), Entry("a/x")], OSError),
    "below a dangling link": ([symlink("a", "nowhere"), Entry("a/x")], OSError),
    "owner out of range": ([Entry("f", uid=1 << 40, gid=-5)], BadArchive),
    "time out of range": ([Entry("f", mtime_ns=1 << 100)], BadArchive),
    "folder's time out of range": ([folder("f", mtime_ns=1 << 100)], BadArchive),
    "more data than holes": ([Entry("f", data=b"abc", sparse=[(0, 1)])], BadArchive),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries_fail_cleanly_and_touch_nothing_outside(name: str, tmp_path: Path) -> None:
    entries, error = HOSTILE[name]
    if "owner" in name:
        need_root()
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(error) as caught:
        put(root, *entries)
    if isinstance(caught.value, BadArchive):
        assert caught.value.entry
    else:
        assert isinstance(caught.value, OSError)
        assert caught.value.filename == os.fsdecode(entries[-1].name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "secret"]
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_links_that_point_outside_are_resolved_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    put(
        root,
        folder("tmp"),
        symlink("abs", "/tmp"),
        symlink("up", "../../../../tmp"),
        symlink("deep", "abs/../up"),
        Entry("abs/1"),
        Entry("up/2"),
        Entry("deep/3"),
        Entry("/tmp/4"),
        Entry("/../tmp/5"),
        symlink("file", "../outside"),
        Entry("file", data=b"replaces the link"),
    )
    assert names(root) == ["abs", "deep", "file", "tmp", *(f"tmp/{n}" for n in range(1, 6)), "up"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_a_hard_link_to_a_symbolic_link_does_not_follow_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    root = tmp_path / "root"
    root.mkdir()
    put(root, symlink("a", "../secret"), hard_link("b", "a", mtime_ns=1, mode=0o600))
    assert picture(root)["b"][4] == "a"
    assert (tmp_path / "secret").stat().st_mode & 0o777 != 0o600


def test_an_existing_fifo_is_replaced_and_not_written_to(tmp_path: Path) -> None:
    put(tmp_path, Entry("f", "6"), Entry("f", data=b"a file"))
    assert (tmp_path / "f").read_bytes() == b"a file"


def test_a_hard_link_sets_its_own_metadata(tmp_path: Path) -> None:
    put(tmp_path, Entry("a"), hard_link("b", "/a", mode=0o600, mtime_ns=77, xattrs={b"user.x": b"y"}))
    found = picture(tmp_path)
    assert found["a"][:4] == found["b"][:4]
    assert (found["a"][0], found["a"][3], found["a"][7]) == ("-rw-------", 77, {"user.x": b"y"})


def test_more_folders_than_the_cache_holds(tmp_path: Path) -> None:
    count = 300
    put(tmp_path, *(folder(f"p/d{n}") for n in range(count)), *(Entry(f"p/d{n}/f") for n in range(count)))
    put(tmp_path, *(hard_link(f"p/d{n}/g", f"p/d{(n + 150) % count}/f") for n in range(count)))
    assert len(names(tmp_path)) == 1 + 3 * count
    deep = "/".join(["x"] * 1200)
    put(tmp_path, Entry(f"{deep}/f"), Entry(f"{deep}/.wh..wh..opq"), Entry(".wh.x"))
    assert not (tmp_path / "x").exists()


def test_descriptors_are_closed_even_after_errors(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    put(tmp_path, Entry("a/b/c"), symlink("l", "a"), Entry("l/x"), folder("d"))
    for name, (entries, error) in HOSTILE.items():
        if "owner" in name and os.geteuid() != 0:
            continue  # only root sets owners
        with pytest.raises(error):
            put(tmp_path, *entries)
    assert len(os.listdir("/proc/self/fd")) == before


def test_unpacking_can_be_cancelled(tmp_path: Path) -> None:
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        unpack(tmp_path, [Entry("a"), Entry("b"), Entry("c")], should_stop=lambda: next(answers))
    assert names(tmp_path) == ["a", "b"]


def test_the_error_of_a_full_disk_names_the_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        put(tmp_path, Entry("dir/file", data=b"x"))
    assert caught.value.filename == "dir/file"


def test_a_short_write_is_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:7]))
    put(tmp_path, Entry("f", data=bytes(range(100))))
    assert (tmp_path / "f").read_bytes() == bytes(range(100))


def test_unsupported_attributes_are_skipped_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(number: int) -> None:
        def call(*_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "setxattr", call)

    refuse(errno.ENOTSUP)
    put(tmp_path, Entry("a", xattrs={b"user.a": b"1"}))
    assert os.listxattr(tmp_path / "a") == []
    assert f"{tmp_path}/a: skipping attribute user.a" in caplog.text
    refuse(errno.EPERM)
    if os.geteuid() == 0:
        with pytest.raises(PermissionError):
            put(tmp_path, Entry("b", xattrs={b"user.a": b"1"}))


def test_an_unprivileged_owner_can_unpack_into_read_only_folders() -> None:
    def work(home: Path) -> Any:
        root = home / "root"
        root.mkdir(mode=0o555)
        first = [
            folder("ro", 0o555, mtime_ns=1),
            Entry("ro/f", data=b"1", mode=0o400, xattrs={b"user.a": b"b"}),
            folder("none", 0),
            folder("none/in", 0o111),
            Entry("none/in/f", mode=0),
            Entry("dev", "3", devmajor=1, devminor=3, uid=0, gid=0),
            Entry("owned", uid=0, gid=5, xattrs={b"trusted.a": b"b"}),
        ]
        unpack(root, first)
        modes = [oct(stat.S_IMODE(os.lstat(root / path).st_mode)) for path in (".", "ro", "ro/f", "none")]
        (root / "none").chmod(0o700)
        inside = oct(stat.S_IMODE(os.lstat(root / "none/in").st_mode))
        (root / "none").chmod(0)
        second = [Entry("ro/g"), Entry("ro/.wh.f"), Entry("none/in/g"), folder("none", 0o500), Entry(".wh.absent")]
        unpack(root, second)
        (root / "none/in").chmod(0o700)
        return modes, inside, oct(stat.S_IMODE(os.lstat(root / "none").st_mode)), picture(root)

    modes, inside, after, found = as_nobody(work)
    assert modes == ["0o555", "0o555", "0o400", "0o0"]
    assert (inside, after) == ("0o111", "0o500")
    assert sorted(found) == [".", "none", "none/in", "none/in/f", "none/in/g", "owned", "ro", "ro/g"]
    assert found["owned"][1:3] == (NOBODY, NOBODY)


def test_an_unprivileged_owner_can_delete_read_only_folders() -> None:
    def work(home: Path) -> list[str]:
        root = home / "root"
        root.mkdir()
        unpack(root, [folder("a", 0o555), folder("a/b", 0), folder("a/b/c", 0o500), Entry("a/b/c/d"), Entry("keep")])
        unpack(root, [Entry(".wh.a")])
        return names(root)

    assert as_nobody(work) == ["keep"]
