"""Record locks on whole files that belong to an open file description (F_OFD_* in fcntl(2)).

They conflict with the POSIX record locks of other programs. Unlike those, they also exclude the threads of one process
from each other, and closing another descriptor of the file does not release them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

# struct flock of 64-bit Linux: type, whence, start, length (0: to the end), pid (0 for these locks).
_FLOCK = struct.Struct("hhqqi4x")


def try_lock(descriptor: int, kind: int) -> bool:
    """Acquire a lock of this kind (F_RDLCK or F_WRLCK) without waiting, and return whether that succeeded.

    The lock is released when the last descriptor of this open file description is closed.

    Raises:
        OSError: The file cannot be locked at all.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def is_free(descriptor: int) -> bool:
    """Return whether no other open file description has a lock on the file."""
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    found: int = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request))[0]
    return found == fcntl.F_UNLCK
