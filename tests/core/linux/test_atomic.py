"""Writes are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerstore.linux.atomic import PendingFile, write_file


def test_the_new_content_and_mode_are_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    status = write_file(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert status.st_ino == path.stat().st_ino


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with PendingFile(str(path)) as pending:
            pending.file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert os.listdir(tmp_path) == ["f"]
    assert path.read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    full = PendingFile(str(path))
    os.dup2(os.open("/dev/full", os.O_WRONLY), full.file.fileno())
    full.file.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        full.commit()
    assert os.listdir(tmp_path) == ["f"]
    assert path.read_bytes() == b"old"
