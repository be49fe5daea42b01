"""Tests of comparing trees: rule by rule, against a simple model and against containers-storage."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore.archive.compare import changes_size, compare_trees
from layerstore.errors import Cancelled
from layerstore.model import Change, ChangeKind
from support.needs import need_root
from support.trees import MTIME, Peer, as_nobody, make_tree

BASE = {"d/e/f": b"1", "d/g": b"22", "top": b"333", "link": "d/g", "empty": None}
LETTERS = {ChangeKind.ADD: "A", ChangeKind.MODIFY: "C", ChangeKind.DELETE: "D"}


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Return a tree and its original, the new one first."""
    old = make_tree(tmp_path / "old", BASE)
    new = tmp_path / "new"
    shutil.copytree(old, new, symlinks=True)
    return new, old


def lines(changes: list[Change]) -> list[str]:
    return [f"{LETTERS[change.kind]} {change.path}" for change in changes]


def touch(path: Path, mtime_ns: int = MTIME) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def restore_times(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        touch(path)


def test_equal_trees_have_no_changes(trees: tuple[Path, Path]) -> None:
    assert compare_trees(*trees) == []


def test_everything_is_new_without_an_old_tree(trees: tuple[Path, Path]) -> None:
    expected = ["A /d", "A /d/e", "A /d/e/f", "A /d/g", "A /empty", "A /link", "A /top"]
    assert lines(compare_trees(trees[0], None)) == expected


def test_sizes_and_modes_come_from_the_tree_that_has_the_path(trees: tuple[Path, Path]) -> None:
    new, old = trees
    (new / "top").unlink()
    (new / "d/g").write_bytes(b"55555")
    (new / "d/l").symlink_to("seven77")
    (new / "d/l2").hardlink_to(new / "d/g")
    found = compare_trees(new, old)
    assert [(c.path, c.size, stat.S_IFMT(c.mode)) for c in found] == [
        ("/d", 0, stat.S_IFDIR),
        ("/d/g", 5, stat.S_IFREG),
        ("/d/l", 7, stat.S_IFLNK),
        ("/d/l2", 5, stat.S_IFREG),
        ("/top", 3, stat.S_IFREG),
    ]
    assert changes_size(new, found) == 5 + 7


def test_paths_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    names = ["a", "a-b", "a/b", "\ue000", "\udcff", "z"]
    for name in names:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / name).mkdir(exist_ok=True)
    assert [c.path for c in compare_trees(tmp_path, None)] == ["/a", "/a-b", "/a/b", "/z", "/\ue000", "/\udcff"]


def test_what_counts_as_a_modification(trees: tuple[Path, Path]) -> None:
    new, old = trees

    def found() -> list[str]:
        return lines(compare_trees(new, old))

    (new / "top").chmod(0o600)
    assert found() == ["C /top"]
    (new / "top").chmod(stat.S_IMODE((old / "top").stat().st_mode))
    touch(new / "top", MTIME + 5)
    assert found() == [], "fractions are ignored if one of the times has none"
    touch(old / "top", MTIME + 6)
    assert found() == ["C /top"]
    touch(old / "top", MTIME + 5)
    (new / "top").write_bytes(b"444")
    touch(new / "top", MTIME + 5)
    assert found() == [], "contents are not compared"
    os.setxattr(new / "top", "user.x", b"1")
    assert found() == ["C /top"]
    os.setxattr(old / "top", "user.x", b"2")
    assert found() == ["C /top"]
    os.setxattr(old / "top", "user.x", b"1")
    assert found() == []
    (new / "link").unlink()
    (new / "link").symlink_to("d/e")
    touch(new / "link")
    assert found() == ["C /link"]


def test_a_folder_is_modified_if_something_in_it_is(trees: tuple[Path, Path]) -> None:
    new, old = trees
    (new / "d/e/f").unlink()
    restore_times(new)
    assert lines(compare_trees(new, old)) == ["C /d", "C /d/e", "D /d/e/f"]


def test_of_a_deleted_tree_only_the_top_is_listed(trees: tuple[Path, Path]) -> None:
    new, old = trees
    shutil.rmtree(new / "d")
    restore_times(new)
    assert lines(compare_trees(new, old)) == ["D /d"]


def test_a_change_of_type_is_a_modification(trees: tuple[Path, Path]) -> None:
    new, old = trees
    shutil.rmtree(new / "d")
    (new / "d").write_bytes(b"file")
    (new / "top").unlink()
    (new / "top").mkdir()
    (new / "top/in").touch()
    restore_times(new)
    assert lines(compare_trees(new, old)) == ["C /d", "C /top", "A /top/in"]


def test_files_with_the_same_inode_are_equal(trees: tuple[Path, Path]) -> None:
    new, old = trees
    (new / "top").unlink()
    (new / "top").hardlink_to(old / "top")
    restore_times(new)
    assert compare_trees(new, old) == []


def test_comparing_can_be_cancelled(trees: tuple[Path, Path]) -> None:
    with pytest.raises(Cancelled):
        compare_trees(*trees, should_stop=lambda: True)
    with pytest.raises(Cancelled):
        changes_size(trees[0], compare_trees(trees[0], None), should_stop=lambda: True)


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    make_tree(tmp_path / "out", {"secret": b""})
    new = make_tree(tmp_path / "new", {"d": "../out"})
    old = make_tree(tmp_path / "old", {"d/x": b""})
    assert lines(compare_trees(new, old)) == ["C /d"]
    assert lines(compare_trees(old, new)) == ["C /d", "A /d/x"]


def test_an_unprivileged_owner_can_compare_unreadable_folders() -> None:
    def work(home: Path) -> list[str]:
        new = make_tree(home / "new", {"d/x": b"", "d/y": b""})
        old = make_tree(home / "old", {"d/x": b""})
        for tree in (new, old):
            (tree / "d").chmod(0)
        found = lines(compare_trees(new, old))
        assert stat.S_IMODE((new / "d").stat().st_mode) == 0
        for tree in (new, old):
            (tree / "d").chmod(0o700)
        return found

    assert as_nobody(work) == ["C /d", "A /d/y"]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "mkdir", "delete", "chmod", "touch", "link"]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join),
    ),
    max_size=12,
)


def edit(root: Path, edits: list[tuple[str, str]]) -> None:
    for number, (action, name) in enumerate(edits):
        path = root / name
        if not path.parent.is_dir() or path.parent.is_symlink():
            continue
        if action == "delete" or (os.path.lexists(path) and action in {"write", "mkdir", "link"}):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if action == "write":
            path.write_bytes(b"x" * number)
        elif action == "mkdir":
            path.mkdir()
        elif action == "link":
            path.symlink_to(f"target{number}")
        elif path.exists() and not path.is_symlink():
            if action == "chmod":
                path.chmod(0o700 + number)
            elif action == "touch":
                touch(path, MTIME + number * 10**9)
                continue
        if os.path.lexists(path):
            touch(path)
        touch(path.parent)


def model(new: Path, old: Path) -> list[str]:
    """Compare two trees in the simplest possible way."""

    def facts(root: Path) -> dict[str, tuple[object, ...]]:
        found = {}
        for path in root.rglob("*"):
            status = path.lstat()
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            target = os.readlink(path) if path.is_symlink() else ""
            found["/" + path.relative_to(root).as_posix()] = (status.st_mode, status.st_mtime_ns, size, target)
        return found

    now, before = facts(new), facts(old)
    kinds = dict.fromkeys(now.keys() - before.keys(), "A")
    kinds |= {path: "C" for path in now.keys() & before.keys() if now[path] != before[path]}
    for path in before.keys() - now.keys():
        above = path.rpartition("/")[0]
        if not above or (above in now and stat.S_ISDIR(now[above][0])):  # type: ignore[call-overload]
            kinds[path] = "D"
    for path in list(kinds):
        while path := path.rpartition("/")[0]:
            kinds.setdefault(path, "C")
    return [f"{kinds[path]} {path}" for path in sorted(kinds, key=str.encode)]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=EDITS, second=EDITS)
def test_random_edits_are_found(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    top = tmp_path_factory.mktemp("edits")
    old, new = top / "old", top / "new"
    old.mkdir()
    edit(old, first)
    shutil.copytree(old, new, symlinks=True)
    edit(new, second)
    assert lines(compare_trees(new, old)) == model(new, old)


def test_containers_storage_finds_the_same_changes(tmp_path: Path) -> None:
    need_root()
    peer = Peer(tmp_path / "peer")
    base, files = peer.create()
    make_tree(files, {**BASE, "x/1": b"1", "x/2": b"2", "y/in/side": b"", "sock/in": b"", "cap": b"", "dev/in": b""})
    os.mknod(files / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    top, new = peer.create(base)
    for number, path in enumerate(["top", "x/1", "y/in"]):
        [lambda p: p.chmod(0o700), lambda p: p.unlink(), shutil.rmtree][number](new / path)
    for name in ("sock", "dev", "d/e"):
        shutil.rmtree(new / name)
    os.mknod(new / "sock", stat.S_IFSOCK | 0o600)
    os.mknod(new / "dev", stat.S_IFBLK | 0o600, os.makedev(7, 1))
    (new / "d/e").write_bytes(b"was a folder")
    (new / "null").unlink()
    os.mknod(new / "null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.setxattr(new / "cap", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(new / "empty", "user.a", b"b")
    os.setxattr(new / "empty", "trusted.a", b"b")
    os.chown(new / "link", 5, 6, follow_symlinks=False)
    words = {ChangeKind.ADD: "Add", ChangeKind.MODIFY: "Modify", ChangeKind.DELETE: "Delete"}
    for names, ours in (
        ((top,), compare_trees(new, files)),
        ((base,), compare_trees(files, None)),
        ((base, top), compare_trees(files, new)),
    ):
        assert sorted(f'{words[c.kind]} "{c.path}"' for c in ours) == peer.changes(*names)
    assert '"/sock/in"' in " ".join(peer.changes(top)), "containers-storage treats a socket like a folder"
