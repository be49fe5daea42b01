"""Tests of calling the C library: the kernel's errors, and functions that are missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from layerstore.linux import libc


def test_files_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    folder = os.open(tmp_path, os.O_RDONLY)
    libc.renameat2(folder, b"a", folder, b"b", libc.RENAME_EXCHANGE)
    os.close(folder)
    assert (tmp_path / "a").read_text() == "b"
    assert (tmp_path / "b").read_text() == "a"


def test_errors_are_those_of_the_kernel() -> None:
    missing = b"/nonexistent/folder"
    with pytest.raises(FileNotFoundError):
        libc.renameat2(libc.AT_FDCWD, missing, libc.AT_FDCWD, missing, 0)
    # Whether this process lacks the privilege or the path is missing, the kernel refuses.
    for call in (
        lambda: libc.mount(missing, missing, None, libc.MS_BIND),
        lambda: libc.umount2(missing, libc.UMOUNT_NOFOLLOW),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number depends on the user
            call()
        assert caught.value.errno in {errno.ENOENT, errno.EPERM}
    with pytest.raises(OSError, match="Bad file descriptor"):
        libc.setns(-1, 0)


def test_a_missing_function_is_an_error() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)) as caught:
        libc._checked(libc._function("no_such_function_in_any_libc"))
    assert caught.value.errno == errno.ENOSYS
