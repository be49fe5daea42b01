"""Two folders that change places."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def exchange_folders(one: Path, other: Path) -> None:
    """Let two folders of the same parent folder change places, in one step by renameat2(2).

    On a file system without that (NFS is one) it takes three renames, and a crash between them leaves the content of
    `one` beside them as `<name>.exchanged`, with nothing lost.

    Raises:
        OSError: one of them is missing or cannot be renamed; both are where they were.
    """
    code = _rename_exchange()(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if code == 0:
        return
    number = ctypes.get_errno()
    if number not in _CANNOT:
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    _exchange_by_steps(one, other)


def _exchange_by_steps(one: Path, other: Path) -> None:
    aside = one.with_name(f"{one.name}.exchanged")
    os.rename(one, aside)
    try:
        os.rename(other, one)
    except OSError:
        os.rename(aside, one)
        raise
    os.rename(aside, other)


@functools.cache
def _rename_exchange() -> Callable[[int, bytes, int, bytes, int], int]:
    """Return renameat2(2) of the C library, which Python has no name for."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library older than the call
        return _missing
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    function.restype = ctypes.c_int
    call: Callable[[int, bytes, int, bytes, int], int] = function
    return call


def _missing(*_: object) -> int:
    ctypes.set_errno(errno.ENOSYS)
    return -1
