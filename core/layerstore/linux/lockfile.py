"""Lock files as in containers/storage (pkg/lockfile): they control who may read or write, and record who wrote last.

Readers and writers lock the whole file with record locks. The first 64 bytes of the file are a token that identifies
the last write.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from filelock import BaseFileLock, Timeout

from layerstore.errors import LayerStoreError, LockTimeout, StoreAccess, StoreReadOnly
from layerstore.linux import recordlock
from layerstore.linux.lockfile_holders import holders

TOKEN_SIZE = 64
POLL_SECONDS = 0.01

_counter = itertools.count(1)


def new_token() -> bytes:
    """Return a unique token for a write: time, counter, PID and random bytes, as in lastwrite.go."""
    return struct.pack("<QQI", time.time_ns(), next(_counter), os.getpid()) + os.urandom(TOKEN_SIZE - 20)


class _RecordLock(BaseFileLock):
    """A record lock on a whole file. A subclass determines the kind of lock.

    filelock waits, polls and cleans up after a fork. It has no public interface for a lock of another kind, so this
    class, and nothing else, uses its private names: the hooks `_acquire` and `_release`, and the context's descriptor.
    """

    _kind: int
    _flags: int

    @property
    def descriptor(self) -> int | None:
        """The locked file, or None if the lock is not held."""
        return self._context.lock_file_fd

    def _acquire(self) -> None:
        # Never truncate or unlink the file: its content is the token, and other processes have its inode open.
        descriptor = os.open(self.lock_file, self._flags | os.O_CLOEXEC, 0o644)
        locked = False
        try:
            locked = recordlock.try_lock(descriptor, self._kind)
        finally:
            if not locked:
                os.close(descriptor)
        if locked:
            self._context.lock_file_fd = descriptor

    def _release(self) -> None:
        descriptor = self._context.lock_file_fd
        self._context.lock_file_fd = None
        if descriptor is not None:
            os.close(descriptor)  # the only descriptor of its open file description, so this unlocks the file


class WriteLock(_RecordLock):
    """A lock that excludes readers and writers."""

    _kind = fcntl.F_WRLCK
    _flags = os.O_RDWR | os.O_CREAT


class ReadLock(_RecordLock):
    """A lock that excludes writers. Taking it needs only permission to read."""

    _kind = fcntl.F_RDLCK
    _flags = os.O_RDONLY | os.O_NONBLOCK  # do not wait for the writer of a FIFO


@dataclass(frozen=True, slots=True)
class Held:
    """Proof that a lock is held, valid inside the `with` block that returned it.

    A function that needs a lock takes one as an argument.
    """

    lock: LockFile
    writing: bool
    _descriptor: int | None

    def token(self) -> bytes:
        """Return the token of the last write, or b"" if there has been none."""
        return b"" if self._descriptor is None else os.pread(self._descriptor, TOKEN_SIZE, 0)

    def record_write(self) -> bytes:
        """Store the token of a write that is about to happen, and return it.

        The token goes first. A crash before the data is written then costs other processes a needless reload, whereas
        in the other order they would miss an update.

        Raises:
            StoreReadOnly: The lock is held for reading.
            OSError: The lock file cannot be written, for example because the disk is full. The error names it.
        """
        if not self.writing or self._descriptor is None:
            raise StoreReadOnly(self.lock.path, "record a write")
        token = new_token()
        try:
            os.pwrite(self._descriptor, token, 0)
        except OSError as error:
            error.filename = self.lock.path
            raise
        return token


class LockFile:
    """A lock file, shared by all threads of this process.

    `read` and `write` return a `Held` and wait up to `timeout` seconds, or forever if it is negative. A thread that
    holds the lock may take it again and gets the same `Held`. Taking the write lock inside a read lock raises
    RuntimeError, because two threads that did so would wait for each other. With `optional`, reading succeeds without a
    lock if the file does not exist, because then no writer has ever opened it.
    """

    def __init__(self, path: str, *, timeout: float = 10.0, optional: bool = False) -> None:
        self.path = path
        self.timeout = timeout
        self._optional = optional
        self._local = threading.local()

    def read(self, timeout: float | None = None) -> AbstractContextManager[Held]:
        """Hold the lock for reading, shared with other readers.

        Raises:
            LockTimeout: A writer held the lock for the whole time. The error names the holders.
            StoreAccess: This user may not open the file.
        """
        return self._hold(writing=False, timeout=timeout)

    def write(self, timeout: float | None = None) -> AbstractContextManager[Held]:
        """Hold the lock for writing, exclusively. The file is created if it does not exist.

        Raises:
            LockTimeout: Others held the lock for the whole time. The error names them.
            StoreAccess: This user may not open the file for writing.
        """
        return self._hold(writing=True, timeout=timeout)

    def detached_read(self, timeout: float | None = None) -> Callable[[], None]:
        """Hold the lock for reading until the returned function is called, once and from any thread.

        If this thread holds the write lock, nothing is held beyond that lock.
        """
        outer: Held | None = getattr(self._local, "held", None)
        if outer is not None and outer.writing:
            return lambda: None
        lock = self._acquire(ReadLock, self.timeout if timeout is None else timeout)
        return lock.release if lock is not None else lambda: None

    def peek(self) -> bytes:
        """Return the token of the last write without the lock. It shows that something changed, but not what."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, TOKEN_SIZE, 0)
        finally:
            os.close(descriptor)

    @contextmanager
    def _hold(self, *, writing: bool, timeout: float | None) -> Iterator[Held]:
        outer: Held | None = getattr(self._local, "held", None)
        if outer is not None:
            if writing and not outer.writing:
                raise RuntimeError(f"{self.path}: the write lock was requested inside a read lock")
            yield outer
            return
        lock = self._acquire(WriteLock if writing else ReadLock, self.timeout if timeout is None else timeout)
        self._local.held = Held(self, writing, None if lock is None else lock.descriptor)
        try:
            yield self._local.held
        finally:
            self._local.held = None
            if lock is not None:
                lock.release()

    def _acquire(self, kind: type[_RecordLock], timeout: float) -> _RecordLock | None:
        if self._optional and kind is ReadLock and not os.path.exists(self.path):
            return None  # filelock would create the folder
        lock = kind(self.path, timeout=timeout, thread_local=False, poll_interval=POLL_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise LockTimeout(self.path, timeout, holders(self.path)) from None
        except FileNotFoundError:
            if kind is ReadLock:
                return self._make_then_read(timeout)
            raise
        except PermissionError as error:
            raise StoreAccess(self.path, "this user may not lock it", "use sudo, or --read-only") from error
        return lock

    def _make_then_read(self, timeout: float) -> _RecordLock | None:
        """Create the missing lock file and lock it, because the first reader may come before the first writer."""
        os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return self._acquire(ReadLock, timeout)


def first_busy(paths: Iterable[str | os.PathLike[str]]) -> LockTimeout | None:
    """Return the error that a reader of the first busy lock file would get, or None if all of them are free.

    Creates no file and does not wait. A file that cannot be opened counts as free.
    """
    for path in paths:
        try:
            with LockFile(os.fspath(path), timeout=0, optional=True).read():
                pass
        except LockTimeout as error:
            return error
        except (LayerStoreError, OSError):
            continue  # opening the store reports this
    return None
