"""Tests of reading mount tables."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.linux.mounttable import _plain, command_of, escaped, kernel_mounts


@given(st.text(st.sampled_from("a/ \t\n\\0409\u00e9\udcff"), max_size=20))
def test_escaped_paths_are_read_back(path: str) -> None:
    line = escaped(path)
    assert not set(b" \t\n") & set(line)
    assert _plain(line) == path


def test_the_mount_of_proc_is_in_the_table() -> None:
    (mount,) = [found for found in kernel_mounts(having=b" /proc ") if found.point == "/proc"]
    assert (mount.kind, mount.root, mount.upper) == ("proc", "/", "")
    number = os.stat("/proc").st_dev
    assert mount.device == f"{os.major(number)}:{os.minor(number)}"


def test_a_process_that_has_ended() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert command_of(child) == "?"
    with pytest.raises(FileNotFoundError):
        list(kernel_mounts(child))
