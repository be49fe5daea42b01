"""Podman's lock files: who may read or write now, and who wrote last.

containers/storage (pkg/lockfile) locks the whole file with fcntl record locks, a read lock to read, and keeps the name
of the last write in the file's first 64 bytes. Here the locks are open-file-description locks: they conflict with
Podman's, and unlike POSIX record locks they also exclude the threads of one process from each other and are not
dropped when some other descriptor of the file is closed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from layerstore.errors import LayerStoreError, LockTimeout, StoreAccess, StoreReadOnly
from layerstore.linux.lockfile_holders import holders

TOKEN_SIZE = 64
POLL_SECONDS = 0.01
# struct flock of 64-bit Linux: type, whence, start, length (0: to the end), pid (0 for these locks).
_FLOCK = struct.Struct("hhqqi4x")

_counter = itertools.count(1)


def new_token() -> bytes:
    """Return a name for a write that no other write has: time, counter, PID, and random bytes (lastwrite.go)."""
    return struct.pack("<QQI", time.time_ns(), next(_counter), os.getpid()) + os.urandom(TOKEN_SIZE - 20)


class _RecordLock(BaseFileLock):
    """A record lock on a whole file. The subclass says which kind."""

    _kind: int
    _flags: int

    def _acquire(self) -> None:
        # No O_TRUNC and no unlink ever: the file's content is the token, and its inode is what others have open.
        descriptor = os.open(self.lock_file, self._flags | os.O_CLOEXEC, 0o644)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(self._kind, os.SEEK_SET, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            self._context.lock_file_fd = descriptor

    def _release(self) -> None:
        descriptor = self._context.lock_file_fd
        self._context.lock_file_fd = None
        if descriptor is not None:
            os.close(descriptor)  # the only descriptor of its open file description, so this unlocks


class WriteLock(_RecordLock):
    """Excludes readers and writers."""

    _kind = fcntl.F_WRLCK
    _flags = os.O_RDWR | os.O_CREAT


class ReadLock(_RecordLock):
    """Excludes writers. Needs no more than permission to read."""

    _kind = fcntl.F_RDLCK
    _flags = os.O_RDONLY | os.O_NONBLOCK  # for what is no file


@dataclass(frozen=True, slots=True)
class Held:
    """Proof that a lock is held; valid inside the `with` block that gave it. Functions that need a lock ask for one."""

    lock: LockFile
    writing: bool
    _descriptor: int | None

    def token(self) -> bytes:
        """Return the name of the last write; empty for a store that nobody has written to yet."""
        return b"" if self._descriptor is None else os.pread(self._descriptor, TOKEN_SIZE, 0)

    def record_write(self) -> bytes:
        """Name the write that is about to happen, and return its token.

        Done before the data is written: a crash in between costs the others a reload, the other order would hide an
        update from them.

        Raises:
            OSError: the lock file cannot be written, as a new one on a full disk; it is named.
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
    """A lock file of the store, shared by all threads of this process.

    `read` and `write` give a `Held` and wait up to `timeout` seconds (negative: without end). A thread that holds the
    lock may ask again and gets what it has; asking for a write lock while it holds a read lock is a mistake and raises
    RuntimeError, since two threads doing so would wait for each other. With `optional`, a lock file that is not there
    is no error for readers: nobody who could write has ever opened this store.
    """

    def __init__(self, path: str, *, timeout: float = 10.0, optional: bool = False) -> None:
        self.path = path
        self.timeout = timeout
        self._optional = optional
        self._local = threading.local()

    def read(self, timeout: float | None = None) -> AbstractContextManager[Held]:
        """Hold the lock for reading, together with other readers."""
        return self._hold(writing=False, timeout=timeout)

    def write(self, timeout: float | None = None) -> AbstractContextManager[Held]:
        """Hold the lock for writing, alone. The file is made where it is missing."""
        return self._hold(writing=True, timeout=timeout)

    def detached_read(self, timeout: float | None = None) -> Callable[[], None]:
        """Hold the lock for reading until the returned function is called, from whatever thread, once.

        Where this thread holds the write lock it holds on no longer than that one.
        """
        outer: Held | None = getattr(self._local, "held", None)
        if outer is not None and outer.writing:
            return lambda: None
        lock = self._acquire(ReadLock, self.timeout if timeout is None else timeout)
        return lock.release if lock is not None else lambda: None

    def peek(self) -> bytes:
        """Return the last write's token without the lock: enough to see that something changed, not what."""
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
                raise RuntimeError(f"{self.path}: asked for the write lock inside a read lock")
            yield outer
            return
        lock = self._acquire(WriteLock if writing else ReadLock, self.timeout if timeout is None else timeout)
        descriptor = None if lock is None else lock._context.lock_file_fd  # noqa: SLF001 - the subclass is ours
        self._local.held = Held(self, writing, descriptor)
        try:
            yield self._local.held
        finally:
            self._local.held = None
            if lock is not None:
                lock.release()

    def _acquire(self, kind: type[_RecordLock], timeout: float) -> _RecordLock | None:
        if self._optional and kind is ReadLock and not os.path.exists(self.path):
            return None  # filelock would make the folder
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
        """Make the missing lock file, since the first reader of a new store comes before its first writer."""
        os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return self._acquire(ReadLock, timeout)


def busy_lock(graph_root: str) -> LockTimeout | None:
    """Return what a reader of a store would wait for now: the first lock of any driver's that is not free.

    Guarantees to make no file and to wait for nothing. A lock that cannot be looked at counts as free.
    """
    root = Path(graph_root)
    for path in (root / "storage.lock", *sorted(root.glob("*-*/*.lock"))):
        try:
            with LockFile(str(path), timeout=0, optional=True).read():
                pass
        except LockTimeout as error:
            return error
        except (LayerStoreError, OSError):
            continue  # whoever opens the store is told
    return None
