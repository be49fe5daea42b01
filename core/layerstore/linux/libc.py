"""System calls that Python does not wrap, called through the C library, and the constants they take.

Every function raises `OSError` with the kernel's error number, or ENOSYS if the C library lacks the function. The
numbers are from the kernel's headers linux/fcntl.h, linux/fs.h, linux/mount.h, linux/sched.h and sys/mount.h.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_uint, c_ulong
from typing import Any

AT_FDCWD = -100
RENAME_EXCHANGE = 2

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME = 0x1, 0x2, 0x4, 0x8, 0x400
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 0x1000, 0x4000, 0x40000, 0x80000
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOATIME = 1, 2, 4, 8, 0x10
MOVE_MOUNT_F_EMPTY_PATH = 4

# System calls added since Linux 5.1 have the same number on every architecture except Alpha.
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432


def renameat2(old_folder: int, old: bytes, new_folder: int, new: bytes, flags: int) -> None:
    """Rename a file, or exchange two with RENAME_EXCHANGE (renameat2(2))."""
    _checked(_function("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint), old_folder, old, new_folder, new, flags)


def mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    """Mount a file system or change a mount (mount(2)). The options must fit into one page."""
    _checked(_function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p), source, target, kind, flags, options)


def umount2(target: bytes, flags: int) -> None:
    """Unmount the topmost mount at a path (umount2(2))."""
    _checked(_function("umount2", c_char_p, c_int), target, flags)


def unshare(flags: int) -> None:
    """Move the calling thread out of namespaces or attributes that it shares with others (unshare(2))."""
    _checked(_function("unshare", c_int), flags)


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace open as `descriptor` (setns(2))."""
    _checked(_function("setns", c_int, c_int), descriptor, kind)


def open_by_handle_at(mount_descriptor: int, handle: bytes, flags: int) -> int:
    """Open a file by a `struct file_handle` and return its descriptor (open_by_handle_at(2))."""
    return _checked(_function("open_by_handle_at", c_int, c_char_p, c_int), mount_descriptor, handle, flags)


def fsopen(file_system: bytes, flags: int = FSOPEN_CLOEXEC) -> int:
    """Return a descriptor for configuring a new file system (fsopen(2), Linux 5.2)."""
    return _syscall(_FSOPEN, file_system, flags)


def fsconfig(context: int, command: int, key: bytes | None = None, value: bytes | None = None) -> None:
    """Configure the file system behind a descriptor of `fsopen` (fsconfig(2))."""
    _syscall(_FSCONFIG, context, command, key, value, 0)


def fsmount(context: int, attributes: int, flags: int = FSMOUNT_CLOEXEC) -> int:
    """Return a descriptor for the root of a new, detached mount (fsmount(2))."""
    return _syscall(_FSMOUNT, context, flags, attributes)


def move_mount(old_folder: int, old: bytes, new_folder: int, new: bytes, flags: int) -> None:
    """Attach or move a mount (move_mount(2))."""
    _syscall(_MOVE_MOUNT, old_folder, old, new_folder, new, flags)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    # syscall(2) is variadic, so nothing but the types of the arguments says how to pass them.
    converted = [c_long(value) if isinstance(value, int) else c_char_p(value) for value in arguments]
    return _checked(_function("syscall"), c_long(number), *converted)


def _checked(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@functools.cache
def _function(name: str, *types: Any) -> Callable[..., int]:
    """Return a function of the C library that takes arguments of these types."""
    try:
        function = getattr(_library(), name)
    except AttributeError:
        return _missing
    if types:
        function.argtypes = types
    else:
        function.restype = c_long
    typed: Callable[..., int] = function
    return typed


def _missing(*_: object) -> int:
    ctypes.set_errno(errno.ENOSYS)
    return -1


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
