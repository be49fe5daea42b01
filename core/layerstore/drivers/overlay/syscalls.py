"""The system calls of mounting that Python has no name for, each raising `OSError` with what the kernel said.

Two ways lead to a mount: mount(2), whose options must fit into one page, and since Linux 5.2 fsopen(2) and its
relatives, where every option is a call of its own. See the man pages of both, and linux/mount.h for the numbers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import threading
from collections.abc import Callable

# The calls since Linux 5.1 have the same number on every architecture (but Alpha).
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432

_CLOSE_ON_EXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6  # FSCONFIG_*
_FROM_DESCRIPTOR = 4  # MOVE_MOUNT_F_EMPTY_PATH
_AT_FDCWD = -100
_CLONE_FS = 0x200
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_BIND, _PRIVATE = 0x1000, 0x40000  # MS_* of mount(2)

CANNOT = frozenset({errno.ENOSYS, errno.EPERM})
"""What `open_context` fails with where the call is unknown, to the kernel or to a filter of system calls."""

STRING_MAX = 255
"""How many bytes one option's value may have in `set_option`."""

ATTRIBUTES = {"ro": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "noatime": 0x10}
"""Options that belong to the mount and not to the file system: the bits for fsmount (MOUNT_ATTR_*)."""

_FLAGS = {"ro": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "noatime": 0x400}  # MS_* of mount(2)


def open_context(file_system: str) -> int:
    """Begin a mount; return a descriptor to configure it by."""
    return _syscall(_FSOPEN, file_system.encode(), _CLOSE_ON_EXEC)


def set_option(context: int, key: str, value: str | None = None) -> None:
    """Set one option; without a value it is a flag."""
    command = _SET_FLAG if value is None else _SET_STRING
    _syscall(_FSCONFIG, context, command, key.encode(), None if value is None else os.fsencode(value), 0)


def create_mount(context: int, attributes: int) -> int:
    """Make the mount that was configured; return a descriptor of its root.

    The mount is nowhere yet: it ends with the descriptor, unless `move_mount` puts it somewhere.
    """
    _syscall(_FSCONFIG, context, _CREATE, None, None, 0)
    return _syscall(_FSMOUNT, context, _CLOSE_ON_EXEC, attributes)


def move_mount(mount: int, target: str) -> None:
    """Put a mount on a folder."""
    _syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, os.fsencode(target), _FROM_DESCRIPTOR)


def messages(context: int) -> list[str]:
    """Return what the kernel has written down about a configuration that failed."""
    found = []
    with contextlib.suppress(OSError):  # ENODATA is the end
        while text := os.read(context, 4096):
            found.append(text.decode(errors="replace").strip().partition(" ")[2])
    return found


def mount(target: str, options: str, attributes: set[str], *, folder: int | None = None) -> None:
    """Put an overlay on a folder, the old way; relative paths in `options` count from the open `folder`.

    The working folder belongs to the whole process, so a thread of its own gets one of its own (CLONE_FS).
    """
    flags = functools.reduce(lambda bits, name: bits | _FLAGS[name], attributes, 0)
    arguments = (b"overlay", os.fsencode(target), b"overlay", ctypes.c_ulong(flags), os.fsencode(options))
    if folder is None:
        _checked(_libc().mount, *arguments)
        return

    def work() -> None:
        _checked(_libc().unshare, ctypes.c_int(_CLONE_FS))
        os.fchdir(folder)
        _checked(_libc().mount, *arguments)

    _in_thread(work)


def bind(folder: str) -> None:
    """Mount a folder on itself, so that what is mounted in it does not spread to other mount namespaces."""
    path = os.fsencode(folder)
    _checked(_libc().mount, path, path, None, ctypes.c_ulong(_BIND), None)
    _checked(_libc().mount, None, path, None, ctypes.c_ulong(_PRIVATE), None)


def unmount(target: str, *, lazily: bool = False) -> None:
    """End the topmost mount at a path. Lazily it only leaves the path, and ends when nobody uses it any more."""
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazily else 0)
    _checked(_libc().umount2, os.fsencode(target), ctypes.c_int(flags))


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    return _checked(_libc().syscall, ctypes.c_long(number), *converted)


def _checked(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _in_thread(work: Callable[[], None]) -> None:
    """Call `work` in a new thread, wait for it and raise what it raised."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
            failure.append(error)

    thread = threading.Thread(target=run, name="layerstore-mount", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
