"""Folders for layers that are being deleted, in the layout that Podman recovers after a crash.

A layer's folder is renamed to `tempdirs/temp-dir-X/0-ID` and deleted there. `tempdirs/lock-X` is write-locked while the
deletion runs. A process that gets the lock knows that the deletion was interrupted, and may delete both. This is the
layout of containers/storage's internal/tempdir (since 1.43; earlier versions ignore `tempdirs`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from layerstore.linux import recordlock
from layerstore.linux.folders import remove_tree

_FOLDER = "temp-dir-"
_LOCK = "lock-"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The errors of a disk, inode table or quota that is full."""


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Create a locked folder below `root`, and delete it with its content and its lock when the block ends.

    Raises:
        OSError: The folder cannot be created, or its content cannot be deleted and stays for `recover`.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_link(root)
    while True:
        token = str(int.from_bytes(os.urandom(8), "little") % 10**10)
        with contextlib.suppress(FileExistsError):
            lock = _try_lock(root / f"{_LOCK}{token}", os.O_CREAT | os.O_EXCL)
            if lock is not None:
                break
    folder = root / f"{_FOLDER}{token}"
    try:
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _delete(root, token)
    finally:
        os.close(lock)


def recover(root: Path) -> None:
    """Delete the folders below `root` whose lock no live process holds.

    Raises:
        OSError: A folder could not be deleted. The others were deleted all the same.
    """
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return
    _refuse_link(root)
    failure: OSError | None = None
    tokens = {name.removeprefix(start) for name in names for start in (_FOLDER, _LOCK) if name.startswith(start)}
    for token in sorted(tokens):
        lock = _try_lock(root / f"{_LOCK}{token}", os.O_CREAT)
        if lock is None:
            continue
        try:
            _delete(root, token)
        except OSError as error:
            failure = failure or error
        finally:
            os.close(lock)
    if failure is not None:
        raise failure


def abandoned(root: str | os.PathLike[str]) -> list[str]:
    """Return the suffixes of the folders and locks below `root` that no live process holds. Changes nothing."""
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return []
    tokens = {name.removeprefix(start) for name in names for start in (_FOLDER, _LOCK) if name.startswith(start)}
    return sorted(token for token in tokens if not is_locked(os.path.join(root, f"{_LOCK}{token}")))


@contextlib.contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Lock an existing lock file without waiting until the block ends, and yield whether that succeeded."""
    lock = _try_lock(path, 0)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Return whether a process, this one included, holds a record lock on the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not recordlock.is_free(descriptor)
    finally:
        os.close(descriptor)


def _refuse_link(root: Path) -> None:
    """Raise an error if `root` is a symbolic link, because its target is not in the store."""
    if root.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "it must be a folder, not a symbolic link", str(root))


def _delete(root: Path, token: str) -> None:
    """Delete a folder and then its lock, which is held, so that no folder is ever without a lock."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(descriptor, f"{_FOLDER}{token}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{_LOCK}{token}", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _try_lock(path: Path, flags: int) -> int | None:
    """Open and write-lock a file without waiting. Return its descriptor, or None if it is already locked.

    An open-file-description lock conflicts with the record locks of containers/storage. Unlike those, it is
    kept when this process closes another descriptor of the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        locked = recordlock.try_lock(descriptor, fcntl.F_WRLCK)
    except BaseException:
        os.close(descriptor)
        raise
    if not locked:
        os.close(descriptor)
        return None
    # Another process may have deleted the file between our open and our lock. Then no other process can see the lock.
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    os.close(descriptor)
    return None
