"""Tests of measuring disk usage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerstore.errors import Cancelled
from layerstore.linux.folders import FolderStack
from layerstore.linux.usage import measure
from support.trees import make_tree


def test_hard_links_count_once_and_holes_do_not_count(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root", {"a/b": b"x" * 10_000, "c": b"y", "link": "c"})
    os.link(root / "a/b", root / "second")
    os.truncate(root / "c", 1 << 30)
    told: list[tuple[int, int | None]] = []
    with FolderStack(root) as stack:
        found = measure(stack, lambda done, total: told.append((done, total)), None)
    inodes = {path.lstat().st_ino: path.lstat().st_blocks * 512 for path in [root, *root.rglob("*")]}
    assert (found.size, found.inodes) == (sum(inodes.values()), len(inodes))
    assert found.size < 1 << 20
    assert told
    assert {total for _, total in told} == {None}


def test_measuring_can_be_cancelled(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b""})
    with FolderStack(tmp_path) as stack, pytest.raises(Cancelled):
        measure(stack, None, lambda: True)
