"""Tests of lock files: they exclude threads and processes, including those that use POSIX locks like Podman."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import BaseFileLock

from layerstore import LockTimeout, StoreReadOnly
from layerstore.linux.lockfile import TOKEN_SIZE, LockFile, ReadLock, WriteLock, first_busy, new_token

# Take a POSIX record lock, as Podman does, report it, and hold it until the input ends.
POSIX_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX if sys.argv[2] == "write" else fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> LockFile:
    path = tmp_path / "layers.lock"
    path.touch()
    return LockFile(str(path), timeout=0.1)


def held_elsewhere(lock: LockFile, kind: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", POSIX_HOLDER, lock.path, kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def in_thread(function: object) -> object:
    result: list[object] = []

    def run() -> None:
        try:
            result.append(function())  # type: ignore[operator]
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def take(guard: object) -> str:
    with guard:  # type: ignore[attr-defined]
        return "taken"


def test_a_posix_write_lock_excludes_readers_and_the_error_names_its_holder(lock: LockFile) -> None:
    process = held_elsewhere(lock, "write")
    try:
        with pytest.raises(LockTimeout) as caught, lock.read():
            pass
        assert any(str(process.pid) in holder for holder in caught.value.holders)
        assert str(process.pid) in str(caught.value)
    finally:
        process.communicate()
    assert take(lock.read()) == "taken"


def test_a_posix_read_lock_admits_readers_and_excludes_writers(lock: LockFile) -> None:
    process = held_elsewhere(lock, "read")
    try:
        assert take(lock.read()) == "taken"
        with pytest.raises(LockTimeout), lock.write():
            pass
    finally:
        process.communicate()


@pytest.mark.parametrize(("kind", "free"), [("write", False), ("read", True)])
def test_posix_locks_conflict_with_ours(lock: LockFile, kind: str, *, free: bool) -> None:
    probe = "import fcntl,sys; fcntl.lockf(open(sys.argv[1],'r+b'), fcntl.LOCK_SH | fcntl.LOCK_NB)"
    with lock.write() if kind == "write" else lock.read():
        done = subprocess.run([sys.executable, "-c", probe, lock.path], check=False, capture_output=True)
    assert (done.returncode == 0) is free


def test_threads_of_this_process_exclude_each_other(lock: LockFile) -> None:
    with lock.write():
        assert isinstance(in_thread(lambda: take(lock.read())), LockTimeout)
    with lock.read():
        assert in_thread(lambda: take(lock.read())) == "taken"
        assert isinstance(in_thread(lambda: take(lock.write())), LockTimeout)


def test_a_thread_can_lock_again_but_not_upgrade(lock: LockFile) -> None:
    with lock.write() as outer, lock.read() as inner:
        assert inner is outer
    with lock.read(), pytest.raises(RuntimeError, match="inside a read lock"), lock.write():
        pass


def test_closing_another_descriptor_does_not_release_the_lock(lock: LockFile) -> None:
    with lock.write():
        os.close(os.open(lock.path, os.O_RDWR))  # this would release a POSIX lock
        assert isinstance(in_thread(lambda: take(lock.read())), LockTimeout)


def test_a_detached_read_outlives_its_thread(lock: LockFile) -> None:
    release = in_thread(lock.detached_read)
    assert callable(release)
    with pytest.raises(LockTimeout), lock.write():
        pass
    release()
    assert take(lock.write()) == "taken"


def test_the_token_has_the_documented_form(lock: LockFile) -> None:
    first, second = new_token(), new_token()
    assert len(first) == TOKEN_SIZE
    when, count, pid = struct.unpack_from("<QQI", first)
    assert struct.unpack_from("<Q", second, 8)[0] == count + 1
    assert pid == os.getpid()
    assert abs(when / 1e9 - time.time()) < 60
    with lock.write() as held:
        assert held.token() == b""
        token = held.record_write()
        assert held.token() == token == lock.peek()
    assert Path(lock.path).read_bytes() == token


def test_a_reader_cannot_record_a_write(lock: LockFile) -> None:
    with lock.read() as held, pytest.raises(StoreReadOnly):
        held.record_write()


def test_old_tokens_are_not_parsed(lock: LockFile) -> None:
    Path(lock.path).write_text("ab" * 32)
    with lock.read() as held:
        assert held.token() == b"ab" * 32


def test_a_missing_file_is_created_unless_optional(tmp_path: Path) -> None:
    path = tmp_path / "new.lock"
    assert take(LockFile(str(path), optional=True).read()) == "taken"
    assert not path.exists()
    assert take(LockFile(str(path)).read()) == "taken"
    assert path.exists()


def test_the_lock_covers_the_whole_file(lock: LockFile) -> None:
    with lock.write():
        descriptor = os.open(lock.path, os.O_RDWR)
        try:
            asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 1 << 40, 1, 0)
            with pytest.raises(BlockingIOError):
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("kind", [WriteLock, ReadLock])
def test_the_private_names_of_filelock_that_we_use_still_exist(
    kind: type[WriteLock | ReadLock], lock: LockFile
) -> None:
    """A new version of filelock that renames them must fail here rather than leave the file unlocked."""
    assert {"_acquire", "_release"} <= BaseFileLock.__abstractmethods__
    ours = kind(lock.path, timeout=0, thread_local=False)
    assert hasattr(ours._context, "lock_file_fd")
    with ours:
        assert ours.is_locked
        assert ours.descriptor is not None
        assert os.path.samestat(os.fstat(ours.descriptor), os.stat(lock.path))
        assert isinstance(in_thread(lambda: take(lock.write())), LockTimeout)
    assert not ours.is_locked
    assert ours.descriptor is None
    assert take(lock.write()) == "taken"


def test_the_first_busy_lock_is_found_and_nothing_is_created(lock: LockFile) -> None:
    missing = Path(lock.path).with_name("missing.lock")
    assert first_busy([missing, lock.path]) is None
    process = held_elsewhere(lock, "write")
    try:
        busy = first_busy([missing, lock.path])
        assert busy is not None
        assert busy.path == lock.path
        assert any(str(process.pid) in holder for holder in busy.holders)
    finally:
        process.communicate()
    assert not missing.exists()
