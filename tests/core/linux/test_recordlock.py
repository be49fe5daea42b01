"""Tests of record locks on open file descriptions."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

import pytest

from layerstore.linux import recordlock


@pytest.fixture
def pair(tmp_path: Path) -> tuple[int, int]:
    """Return two independent descriptors of one file."""
    (tmp_path / "lock").touch()
    return os.open(tmp_path / "lock", os.O_RDWR), os.open(tmp_path / "lock", os.O_RDWR)


def test_the_struct_has_the_size_of_the_kernel() -> None:
    # off_t is 64 bits, and the whole struct is padded to its alignment.
    assert recordlock._FLOCK.size == struct.calcsize("@hhqqi0q") == 32


def test_write_locks_exclude_and_read_locks_share(pair: tuple[int, int]) -> None:
    one, other = pair
    assert recordlock.is_free(other)
    assert recordlock.try_lock(one, fcntl.F_WRLCK)
    assert not recordlock.is_free(other)
    assert not recordlock.try_lock(other, fcntl.F_RDLCK)
    assert recordlock.try_lock(one, fcntl.F_RDLCK), "a lock can be converted"
    assert recordlock.try_lock(other, fcntl.F_RDLCK)
    assert not recordlock.try_lock(one, fcntl.F_WRLCK)
    os.close(other)
    assert recordlock.try_lock(one, fcntl.F_WRLCK), "closing releases the lock"
    os.close(one)


def test_a_descriptor_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        recordlock.try_lock(descriptor, fcntl.F_WRLCK)
    os.close(descriptor)
