"""Tests of atomic writes and exchanges."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from layerstore.linux import libc
from layerstore.linux.atomic import PendingFile, exchange_folders, remove_abandoned, write_file
from support.trees import make_tree


def test_a_file_is_written_with_its_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    status = write_file(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert status.st_ino == path.stat().st_ino


def test_after_an_error_only_the_old_file_is_left(tmp_path: Path) -> None:
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


def test_only_abandoned_temporary_files_are_deleted(tmp_path: Path) -> None:
    for name in (".tmp-old", ".tmp-new", "other"):
        (tmp_path / name).touch()
    now = time.time()
    os.utime(tmp_path / ".tmp-old", (now - 4000, now - 4000))
    os.utime(tmp_path / "other", (now - 4000, now - 4000))
    os.utime(tmp_path / ".tmp-new", (now - 1000, now - 1000))
    assert remove_abandoned(str(tmp_path)) == pytest.approx(now + 2600, abs=5)
    assert sorted(os.listdir(tmp_path)) == [".tmp-new", "other"]


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize("in_one_step", [True, False])
def test_folders_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_one_step: bool) -> None:
    make_tree(tmp_path / "a", {"1": b""})
    make_tree(tmp_path / "b", {"2": b""})
    if not in_one_step:
        monkeypatch.setattr(libc, "renameat2", refuse)
    exchange_folders(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a/2").exists()
    assert (tmp_path / "b/1").exists()
    with pytest.raises(FileNotFoundError) as caught:
        exchange_folders(tmp_path / "a", tmp_path / "absent")
    assert str(tmp_path / "absent") in {caught.value.filename, caught.value.filename2}
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
