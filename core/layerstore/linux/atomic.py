"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_PREFIX = ".tmp-"
_ABANDONED = 3600.0  # seconds without a write after which nobody is writing any more


class PendingFile:
    """A file being written under another name, until `commit` puts it in its place.

    The temporary file lies beside the target, so that the rename stays inside one file system, and is named the way
    containers/storage names its own (`.tmp-NAME*`), so that people know what a left-over is. Used as a context
    manager it commits where the block ends well and aborts where it does not.
    """

    def __init__(self, path: str, *, mode: int = 0o600, sync: bool = True) -> None:
        self.path = path
        self._mode = mode
        self._sync = sync
        directory, base = os.path.split(path)
        self._directory = directory or "."
        base = os.fsdecode(os.fsencode(base)[:200])  # the longest names would not take what is put round them
        self._temporary = os.path.join(self._directory, f"{_PREFIX}{base}{os.urandom(6).hex()}")
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.file = os.fdopen(descriptor, "wb")

    def commit(self) -> os.stat_result:
        """Make the new content durable and visible; return its stat. On failure the old file stays."""
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
        """Let root take the file away from nobody: of a user's store he must go on reading the records."""
        if os.geteuid() != 0:
            return
        with suppress(OSError):  # there is none yet; or it is an owner that this user namespace does not know
            old, new = os.lstat(self.path), os.fstat(self.file.fileno())
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(self.file.fileno(), old.st_uid, old.st_gid)

    def abort(self) -> None:
        """Leave no trace."""
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
    """Replace the content of `path` with `data`, whole or not at all; return the new file's stat.

    Raises:
        OSError: it cannot be written; the error names it, or the temporary file.
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
        if error.filename is None:  # as on a full disk
            error.filename = path
        raise


def remove_abandoned(folder: str) -> float:
    """Delete temporary files that somebody began to write in the folder an hour ago or earlier, and never finished.

    Returns the time, in seconds since 1970, before which there can be no other to delete: looking costs 80 ms for
    100,000 files.
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
    """Make a rename or removal inside the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
