"""Tests of walking and deleting folder trees through descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerstore.errors import Cancelled
from layerstore.linux.folders import FolderStack, open_regular, remove_path, remove_tree
from support.needs import need_root
from support.trees import as_nobody, make_tree


def test_deep_trees_are_walked_and_deleted(tmp_path: Path) -> None:
    """The tree exceeds the recursion limit, PATH_MAX and the limit of open descriptors."""
    depth = 3000
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    before = len(os.listdir("/proc/self/fd"))
    with FolderStack(tmp_path) as stack:
        for _ in range(depth):
            stack.push("d")
        assert stack.depth == depth
        for _ in range(depth):
            stack.pop()
        assert os.path.samestat(os.fstat(stack.fd), tmp_path.stat())
        with pytest.raises(FileNotFoundError):
            stack.push("absent")
        for _ in range(100):
            stack.push("d")
    assert len(os.listdir("/proc/self/fd")) == before
    top = os.open(tmp_path, os.O_RDONLY)
    remove_tree(top, "d")
    os.close(top)
    assert os.listdir(tmp_path) == []


def pop_all(stack: FolderStack) -> None:
    while stack.depth:
        stack.pop()


def test_a_walk_fails_if_its_folder_was_moved(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["d"] * 100)
    path.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    with FolderStack(tmp_path) as stack:
        for _ in range(100):
            stack.push("d")
        (tmp_path / "d/d").rename(tmp_path / "elsewhere/d")
        for _ in range(30):
            stack.pop()
        with pytest.raises(OSError, match="moved"):
            pop_all(stack)


def test_deleting_can_be_cancelled(tmp_path: Path) -> None:
    make_tree(tmp_path / "root", {"a/b/c": b""})
    top = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(Cancelled):
        remove_tree(top, "root", should_stop=lambda: True)
    remove_tree(top, "root")
    remove_tree(top, "root")
    os.close(top)


def test_a_file_of_another_user_in_a_sticky_folder_is_not_deleted(tmp_path: Path) -> None:
    need_root()
    (tmp_path / "file").touch()
    tmp_path.chmod(0o1777)
    top = os.open(tmp_path, os.O_RDONLY)

    def work(home: Path) -> str:
        try:
            remove_tree(top, "file")
        except OSError as error:
            return type(error).__name__
        return "deleted"

    assert as_nobody(work) == "PermissionError"
    os.close(top)
    assert (tmp_path / "file").exists()


def test_a_path_is_deleted_with_everything_below_it(tmp_path: Path) -> None:
    make_tree(tmp_path / "root", {"a/b": b"", "link": "../kept"})
    (tmp_path / "kept").touch()
    remove_path(tmp_path / "root")
    remove_path(tmp_path / "root")
    assert os.listdir(tmp_path) == ["kept"]


def test_a_file_that_was_replaced_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = (tmp_path / "file").stat()
    (tmp_path / "other").touch()
    (tmp_path / "other").rename(tmp_path / "file")
    top = os.open(tmp_path, os.O_RDONLY)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="replaced"):
        open_regular(top, "file", may_chmod=False, found=found)
    assert os.listdir("/proc/self/fd") == before
    os.close(top)
