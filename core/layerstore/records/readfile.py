"""Reading the files of a store, which somebody else may have made: whole, and complained about with the place."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.errors import StoreAccess, StoreCorrupt

FileStamp = tuple[int, int, int]
"""Modification time in ns, inode and size: what changes when a file is replaced."""

_MISSING: FileStamp = (0, 0, -1)


def open_file(path: str | os.PathLike[str]) -> io.FileIO:
    """Open a regular file for reading. Nothing else is waited for, as a FIFO would be, or read without end.

    Raises:
        StoreCorrupt: it is another kind of file.
        OSError: it cannot be opened.
    """
    file = io.FileIO(path, opener=_without_waiting)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StoreCorrupt(path, "it is no regular file", hint="take it away and put a backup in its place")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def file_stamp(path: str) -> FileStamp:
    """Return what differs after the file was replaced or removed."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return _MISSING
    except PermissionError as error:
        raise StoreAccess(path, "this user may not look at it", "use sudo") from error
    return status.st_mtime_ns, status.st_ino, status.st_size


@contextmanager
def open_if_there(path: str) -> Iterator[io.FileIO | None]:
    """Open a file for reading; yield None where there is none."""
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
    """Return the content of a file, None where there is none."""
    with open_if_there(path) as file:
        return None if file is None else file.read()


def corrupt(path: str, data: bytes, error: Exception) -> StoreCorrupt:
    """Turn a decoder's complaint into one with the line and column, as far as it names a place."""
    reason = "its values are nested too deep" if isinstance(error, RecursionError) else str(error)
    line = column = 0
    offset = _offset(data, reason)
    if offset is not None:
        line = data.count(b"\n", 0, offset) + 1
        column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
    hint = "the file was left as it is; mend it by hand or put a backup in its place"
    return StoreCorrupt(path, reason, line=line, column=column, hint=hint)


def _offset(data: bytes, reason: str) -> int | None:
    if "truncated" in reason:
        return len(data)
    _, found, tail = reason.partition("(byte ")
    digits = tail.partition(")")[0]
    return int(digits) if found and digits.isdigit() else None
