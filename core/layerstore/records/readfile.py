"""Reads files of a store, which may be hostile, and reports errors with line and column."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.errors import StoreAccess, StoreCorrupt

FileStamp = tuple[int, int, int]
"""Modification time in ns, inode and size. A file that is replaced gets a different stamp."""

_MISSING: FileStamp = (0, 0, -1)


def open_file(path: str | os.PathLike[str]) -> io.FileIO:
    """Open a regular file for reading, without ever blocking on a FIFO or a device.

    Raises:
        StoreCorrupt: It is not a regular file.
        OSError: It cannot be opened.
    """
    file = io.FileIO(path, opener=_nonblocking)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StoreCorrupt(path, "it is not a regular file", hint="remove it and restore a backup")
    return file


def _nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def file_stamp(path: str) -> FileStamp:
    """Return a stamp that changes when the file is replaced or removed."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return _MISSING
    except PermissionError as error:
        raise StoreAccess(path, "this user may not access it", "use sudo") from error
    return status.st_mtime_ns, status.st_ino, status.st_size


@contextmanager
def open_if_there(path: str) -> Iterator[io.FileIO | None]:
    """Open a file for reading, or yield None if it does not exist."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        yield None
        return
    except PermissionError as error:
        raise StoreAccess(path, "this user may not read it", "use sudo") from error
    with file:
        yield file


def read_if_there(path: str) -> bytes | None:
    """Return the content of a file, or None if it does not exist."""
    with open_if_there(path) as file:
        return None if file is None else file.read()


def corrupt(path: str, data: bytes, error: Exception) -> StoreCorrupt:
    """Turn a decoder's error into one with line and column, if the decoder reports a position."""
    reason = "values are nested too deeply" if isinstance(error, RecursionError) else str(error)
    line = column = 0
    offset = _offset(data, reason)
    if offset is not None:
        line = data.count(b"\n", 0, offset) + 1
        column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
    hint = "it was left unchanged; fix it by hand or restore a backup"
    return StoreCorrupt(path, reason, line=line, column=column, hint=hint)


def _offset(data: bytes, reason: str) -> int | None:
    if "truncated" in reason:
        return len(data)
    _, found, tail = reason.partition("(byte ")
    digits = tail.partition(")")[0]
    return int(digits) if found and digits.isdigit() else None
