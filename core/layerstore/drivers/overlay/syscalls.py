"""The steps of mounting an overlay. Each raises `OSError` with the kernel's error.

There are two ways. mount(2) takes all options in one page. fsopen(2) and the calls that belong to it, since Linux 5.2,
take each option in a call of its own.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import threading
from collections.abc import Callable

from layerstore.linux import libc

CANNOT = frozenset({errno.ENOSYS, errno.EPERM})
"""The errors of `open_context` if the kernel lacks fsopen(2) or a seccomp filter blocks it."""

STRING_MAX = 255
"""The most bytes that `set_option` accepts as a value."""

ATTRIBUTES = {
    "ro": libc.MOUNT_ATTR_RDONLY,
    "nosuid": libc.MOUNT_ATTR_NOSUID,
    "nodev": libc.MOUNT_ATTR_NODEV,
    "noexec": libc.MOUNT_ATTR_NOEXEC,
    "noatime": libc.MOUNT_ATTR_NOATIME,
}
"""The options that belong to the mount rather than the file system, with their bits for `create_mount`."""

_FLAGS = {
    "ro": libc.MS_RDONLY,
    "nosuid": libc.MS_NOSUID,
    "nodev": libc.MS_NODEV,
    "noexec": libc.MS_NOEXEC,
    "noatime": libc.MS_NOATIME,
}


def open_context(file_system: str) -> int:
    """Return a descriptor for configuring a new mount."""
    return libc.fsopen(file_system.encode())


def set_option(context: int, key: str, value: str | None = None) -> None:
    """Set an option of the file system, or a flag if there is no value."""
    if value is None:
        libc.fsconfig(context, libc.FSCONFIG_SET_FLAG, key.encode())
    else:
        libc.fsconfig(context, libc.FSCONFIG_SET_STRING, key.encode(), os.fsencode(value))


def create_mount(context: int, attributes: int) -> int:
    """Create the configured mount and return a descriptor of its root.

    The mount is detached. It disappears when the descriptor is closed, unless `move_mount` attaches it first.
    """
    libc.fsconfig(context, libc.FSCONFIG_CMD_CREATE)
    return libc.fsmount(context, attributes)


def move_mount(mount: int, target: str) -> None:
    """Attach a detached mount to a folder."""
    libc.move_mount(mount, b"", libc.AT_FDCWD, os.fsencode(target), libc.MOVE_MOUNT_F_EMPTY_PATH)


def messages(context: int) -> list[str]:
    """Return the kernel's messages about a configuration that failed."""
    found = []
    with contextlib.suppress(OSError):  # ENODATA marks the end
        while text := os.read(context, 4096):
            found.append(text.decode(errors="replace").strip().partition(" ")[2])
    return found


def mount(target: str, options: str, attributes: set[str], *, folder: int | None = None) -> None:
    """Mount an overlay the traditional way. Relative paths in `options` start at the open `folder`.

    The working folder belongs to the whole process. A thread that has left the shared one (CLONE_FS) can change its
    own.
    """
    flags = functools.reduce(lambda bits, name: bits | _FLAGS[name], attributes, 0)
    path, data = os.fsencode(target), os.fsencode(options)
    if folder is None:
        libc.mount(b"overlay", path, b"overlay", flags, data)
        return

    def work() -> None:
        libc.unshare(libc.CLONE_FS)
        os.fchdir(folder)
        libc.mount(b"overlay", path, b"overlay", flags, data)

    _in_thread(work)


def bind(folder: str) -> None:
    """Bind-mount a folder on itself, private, so that mounts inside it do not propagate to other namespaces."""
    path = os.fsencode(folder)
    libc.mount(path, path, None, libc.MS_BIND)
    libc.mount(None, path, None, libc.MS_PRIVATE)


def unmount(target: str, *, lazily: bool = False) -> None:
    """Unmount the topmost mount at a path.

    With `lazily`, the mount leaves the path at once and ends when nothing uses it any longer.
    """
    libc.umount2(os.fsencode(target), libc.UMOUNT_NOFOLLOW | (libc.MNT_DETACH if lazily else 0))


def _in_thread(work: Callable[[], None]) -> None:
    """Call `work` in a new thread, wait for it and raise its error, if any."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it again
            failure.append(error)

    thread = threading.Thread(target=run, name="layerstore-mount", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
