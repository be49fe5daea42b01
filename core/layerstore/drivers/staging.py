"""Folders for what is being deleted, in the layout that Podman's own recovery knows.

A layer's folder is renamed into `tempdirs/temp-dir-X/0-ID` and deleted there; `tempdirs/lock-X` is write-locked for as
long as the deletion runs. Whoever can take that lock knows that nobody works there any more and may delete both. This
is the layout of containers/storage's internal/tempdir; versions before it (1.43) never look into `tempdirs`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from layerstore.linux import recordlock
from layerstore.linux.folders import remove_tree

_FOLDER = "temp-dir-"
_LOCK = "lock-"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What making a folder here says where the disk, its table of files or the user's share of them is full."""


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Make a locked folder below `root`; delete it with all that is in it, and its lock, at the end.

    Raises:
        OSError: it cannot be made, or something in it cannot be deleted: then it stays for `recover`.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_link(root)
    while True:
        token = str(secrets.randbelow(10**10))
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
    """Delete the folders below `root` that no live process holds the lock of.

    Raises:
        OSError: the first of those that could not be deleted; the others were tried.
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
    """Return the folders and locks below `root` that no live process has, each pair once. Changes nothing."""
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return []
    tokens = {name.removeprefix(start) for name in names for start in (_FOLDER, _LOCK) if name.startswith(start)}
    return sorted(token for token in tokens if not is_locked(os.path.join(root, f"{_LOCK}{token}")))


@contextlib.contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Hold a lock file that is there, without waiting; yield whether that went."""
    lock = _try_lock(path, 0)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Return whether a process holds a record lock on the file, including this one through another descriptor."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not recordlock.is_free(descriptor)
    finally:
        os.close(descriptor)


def _refuse_link(root: Path) -> None:
    """Refuse to delete where a link leads, which is not in the store."""
    if root.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link, and must be a folder", str(root))


def _delete(root: Path, token: str) -> None:
    """Delete a folder and its lock, whose lock is held: the lock goes last, so that no folder is left without one."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(descriptor, f"{_FOLDER}{token}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{_LOCK}{token}", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _try_lock(path: Path, flags: int) -> int | None:
    """Open and write-lock a file without waiting, or return None if it is locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        locked = recordlock.try_lock(descriptor, fcntl.F_WRLCK)
    except BaseException:
        os.close(descriptor)
        raise
    if not locked:
        os.close(descriptor)
        return None
    # Another process can have taken the lock and deleted the file between the opening and the locking here: then this
    # is the lock of a file that nobody else can find.
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    os.close(descriptor)
    return None
