"""Change files and folders atomically: readers see the old state or the new one, never anything in between."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from layerstore.linux import libc

_PREFIX = ".tmp-"
_ABANDONED = 3600.0  # seconds since the last write after which a temporary file counts as abandoned
_CANNOT_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class PendingFile:
    """A file that is written under a temporary name until `commit` renames it to its final one.

    The temporary file is in the same folder as the target, so the rename stays inside one file system. Like those of
    containers/storage it is called `.tmp-NAME*`, so that leftovers are recognizable. As a context manager, it commits
    at the end of the block and aborts on an exception.
    """

    def __init__(self, path: str, *, mode: int = 0o600, sync: bool = True) -> None:
        self.path = path
        self._mode = mode
        self._sync = sync
        directory, base = os.path.split(path)
        self._directory = directory or "."
        base = os.fsdecode(os.fsencode(base)[:200])  # leave room for the prefix and the random suffix
        self._temporary = os.path.join(self._directory, f"{_PREFIX}{base}{os.urandom(6).hex()}")
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.file = os.fdopen(descriptor, "wb")

    def commit(self) -> os.stat_result:
        """Make the new content durable and visible, and return its status. On failure the old file stays."""
        try:
            self.file.flush()
            self._keep_owner()
            os.fchmod(self.file.fileno(), self._mode)
            if self._sync:
                os.fsync(self.file.fileno())
            status = os.fstat(self.file.fileno())
            self.file.close()
            os.rename(self._temporary, self.path)
        except BaseException:
            self.abort()
            raise
        if self._sync:
            sync_folder(self._directory)
        return status

    def _keep_owner(self) -> None:
        """Give the new file the owner of the old one, so that a user can still read it after root has written it."""
        if os.geteuid() != 0:
            return
        with suppress(OSError):  # there is no old file, or this user namespace does not map its owner
            old, new = os.lstat(self.path), os.fstat(self.file.fileno())
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(self.file.fileno(), old.st_uid, old.st_gid)

    def abort(self) -> None:
        """Delete the temporary file."""
        with suppress(OSError):
            self.file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()


def write_file(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> os.stat_result:
    """Replace the content of `path` with `data` atomically, and return the status of the new file.

    Raises:
        OSError: It cannot be written. The error names the file or the temporary file.
    """
    try:
        pending = PendingFile(path, mode=mode, sync=sync)
        try:
            pending.file.write(data)
        except BaseException:
            pending.abort()
            raise
        return pending.commit()
    except OSError as error:
        if error.filename is None:  # for example on a full disk
            error.filename = path
        raise


def remove_abandoned(folder: str) -> float:
    """Delete the temporary files in a folder that were last written more than an hour ago.

    Returns the earliest time, in seconds since the epoch, at which another call can find something to delete. A call
    takes 80 ms for 100,000 files.
    """
    oldest = time.time()
    latest = oldest - _ABANDONED
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(FileNotFoundError):
                    written = entry.stat(follow_symlinks=False).st_mtime
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    if written < latest:
                        os.unlink(entry.path)
                    else:
                        oldest = min(oldest, written)
    return oldest + _ABANDONED


def sync_folder(path: str) -> None:
    """Make renames and deletions inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange_folders(one: Path, other: Path) -> None:
    """Exchange two folders that have the same parent, in one step of renameat2(2).

    A file system without that call, such as NFS, needs three renames. A crash between them loses nothing, but leaves
    the content of `one` beside it as `<name>.exchanged`.

    Raises:
        OSError: One of the folders is missing or cannot be renamed. Both are unchanged.
    """
    try:
        libc.renameat2(libc.AT_FDCWD, os.fsencode(one), libc.AT_FDCWD, os.fsencode(other), libc.RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in _CANNOT_EXCHANGE:
            raise OSError(error.errno, error.strerror, str(one), None, str(other)) from error
    else:
        return
    aside = one.with_name(f"{one.name}.exchanged")
    os.rename(one, aside)
    try:
        os.rename(other, one)
    except OSError:
        os.rename(aside, one)
        raise
    os.rename(aside, other)
