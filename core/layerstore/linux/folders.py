"""Walk and change folder trees through descriptors, without following symbolic links.

A tree can be nested deeper than Python's recursion limit, the kernel's PATH_MAX and the process's limit of open
descriptors allow. `FolderStack` therefore keeps only the innermost levels open. It returns to the others through ".."
and checks that it arrives in the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import Self

from layerstore.errors import Cancelled

ShouldStop = Callable[[], bool]
"""Polled during a long call. The call ends with `Cancelled` once it returns True."""

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = 0o500
WRITE = 0o700
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS = 64


def check_stop(should_stop: ShouldStop | None, what: str) -> None:
    """Raise `Cancelled` if `should_stop` returns True. `what` names the operation."""
    if should_stop is not None and should_stop():
        raise Cancelled(what)


def chmod_at(folder: int, name: bytes | str, mode: int) -> None:
    """Set the mode of `name` in an open folder without following symbolic links.

    Linux has no single call for this, so the file is opened with O_PATH and changed through /proc.
    """
    pin = os.open(name, _PIN, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{pin}", mode)
    finally:
        os.close(pin)


def lend(folder: int, name: bytes | str, needed: int) -> os.stat_result | None:
    """Add the mode bits `needed` to `name`, if this user owns it and they are missing.

    Returns the previous status, or None if nothing was changed.
    """
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if before.st_uid != os.geteuid() or stat.S_ISLNK(before.st_mode) or before.st_mode & needed == needed:
        return None
    chmod_at(folder, name, stat.S_IMODE(before.st_mode) | needed)
    return before


def open_folder(folder: int, name: bytes | str, needed: int = READ) -> tuple[int, int | None]:
    """Open the subfolder `name` of an open folder, adding the mode bits `needed` if its owner lacks them.

    Returns the descriptor and the mode to restore, which is None if the mode was not changed.

    Raises:
        NotADirectoryError: It is not a folder, or it is a symbolic link.
        OSError: It cannot be opened.
    """
    restore: int | None = None
    try:
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    except PermissionError:
        before = lend(folder, name, needed)
        if before is None:
            raise
        restore = stat.S_IMODE(before.st_mode)
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    if restore is None and os.geteuid() != 0:
        found = os.fstat(descriptor)
        if found.st_mode & needed != needed and found.st_uid == os.geteuid():
            restore = stat.S_IMODE(found.st_mode)
            os.fchmod(descriptor, restore | needed)
    return descriptor, restore


def make_folder(folder: int, name: bytes) -> None:
    """Create a folder with mode 0755 and the owner of this process, whatever the umask, setgid bits and ACLs are."""
    os.mkdir(name, 0o755, dir_fd=folder)
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        made = os.fstat(descriptor)
        if os.geteuid() == 0 and made.st_gid != os.getegid():
            os.fchown(descriptor, -1, os.getegid())
        if stat.S_IMODE(made.st_mode) != 0o755:
            os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)


def open_regular(folder: int, name: bytes | str, *, may_chmod: bool, found: os.stat_result | None = None) -> int:
    """Open the regular file `name` in an open folder for reading, without updating its access time if permitted.

    With `may_chmod`, a file that its owner may not read is made readable while it is opened. If `found`, the status of
    the file, is given, it must still be the same file.

    Raises:
        OSError: It is not a regular file (EINVAL), it is not the file of `found` (ESTALE), or it cannot be read.
    """
    # Check the type first, because opening a device can have side effects and opening a FIFO can block.
    if found is None:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    try:
        descriptor = _open_quietly(folder, name)
    except PermissionError:
        before = lend(folder, name, stat.S_IRUSR) if may_chmod else None
        if before is None:
            raise
        try:
            descriptor = _open_quietly(folder, name)
        finally:
            chmod_at(folder, name, stat.S_IMODE(before.st_mode))
    if not os.path.samestat(os.fstat(descriptor), found):
        os.close(descriptor)
        raise OSError(errno.ESTALE, "the file was replaced while it was being read")
    return descriptor


def _open_quietly(folder: int, name: bytes | str) -> int:
    try:
        return os.open(name, _OPEN_FILE | os.O_NOATIME, dir_fd=folder)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # only the owner and root may use O_NOATIME
            raise
        return os.open(name, _OPEN_FILE, dir_fd=folder)


class FolderStack:
    """The open folders from a root down to the current folder of a walk.

    `push` enters a subfolder. `pop` returns to the parent and restores the mode of the folder it leaves, if that had to
    be made accessible. `close` does this for all remaining folders. Not thread-safe.
    """

    def __init__(self, root: str | bytes | os.PathLike[str], *, needed: int = READ, parent: int | None = None) -> None:
        self._needed = needed
        first, restore = open_folder(parent, os.fsencode(root), needed) if parent is not None else _open_root(root)
        self._descriptors = [first]
        self._restore: list[int | None] = [restore]
        self._left: list[tuple[int, int]] = []
        """Device and inode of the levels, from the root down, that are closed for now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Restore modes and close everything."""
        while self._descriptors:
            if self._left and len(self._descriptors) == len(self._left) + 1:
                with contextlib.suppress(OSError):  # the walk itself has failed already
                    self._reopen_parent()
            self._drop(self._descriptors.pop(), self._restore.pop())
            del self._left[len(self._descriptors) :]

    @property
    def fd(self) -> int:
        """The descriptor of the current folder."""
        return self._descriptors[-1]

    @property
    def depth(self) -> int:
        """The depth of the current folder, 0 at the root."""
        return len(self._descriptors) - 1

    def push(self, name: bytes | str) -> int:
        """Enter the subfolder `name` and return its descriptor."""
        descriptor, restore = open_folder(self.fd, name, self._needed)
        self._descriptors.append(descriptor)
        self._restore.append(restore)
        if len(self._descriptors) > len(self._left) + _OPEN_LEVELS:
            index = len(self._left)
            found = os.fstat(self._descriptors[index])
            os.close(self._descriptors[index])
            self._descriptors[index] = -1
            self._left.append((found.st_dev, found.st_ino))
        return descriptor

    def pop(self) -> None:
        """Return to the parent folder.

        Raises:
            OSError: The folder was moved during the walk (ESTALE).
        """
        if len(self._descriptors) == len(self._left) + 1:
            self._reopen_parent()
        self._drop(self._descriptors.pop(), self._restore.pop())

    def _reopen_parent(self) -> None:
        index = len(self._left) - 1
        descriptor = os.open("..", OPEN_FOLDER, dir_fd=self.fd)
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != self._left[-1]:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "a folder was moved during the walk")
        self._descriptors[index] = descriptor
        self._left.pop()

    def _drop(self, descriptor: int, restore: int | None) -> None:
        if descriptor < 0:
            return
        try:
            if restore is not None:
                os.fchmod(descriptor, restore)
        finally:
            os.close(descriptor)


def _open_root(root: str | bytes | os.PathLike[str]) -> tuple[int, int | None]:
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), None


def remove_path(path: str | os.PathLike[str]) -> None:
    """Delete the file or folder tree at a path, like `remove_tree`."""
    parent, name = os.path.split(os.path.abspath(path))
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(descriptor, name)
    finally:
        os.close(descriptor)


def remove_tree(folder: int, name: bytes | str, *, should_stop: ShouldStop | None = None) -> None:
    """Delete `name` in an open folder and everything below it, if it exists.

    Folders that their owner may not write to are made writable first.

    Raises:
        Cancelled: `should_stop` returned True. Part of the tree is deleted.
        OSError: Something cannot be deleted.
    """
    try:
        os.unlink(name, dir_fd=folder)
        return
    except (FileNotFoundError, NotADirectoryError):
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
    with FolderStack(os.fsdecode(name), needed=WRITE, parent=folder) as stack:
        _empty(stack, should_stop)
    os.rmdir(name, dir_fd=folder)


def _empty(stack: FolderStack, should_stop: ShouldStop | None) -> None:
    """Delete everything below the current folder of the stack."""
    base = stack.depth
    pending = [_unlink_files(stack.fd)]
    inside: list[str] = []
    while True:
        check_stop(should_stop, "deleting files")
        if pending[-1]:
            child = pending[-1].pop()
            inside.append(child)
            stack.push(child)
            pending.append(_unlink_files(stack.fd))
            continue
        pending.pop()
        if stack.depth == base:
            return
        stack.pop()
        os.rmdir(inside.pop(), dir_fd=stack.fd)


def _unlink_files(folder: int) -> list[str]:
    """Delete everything in a folder except subfolders, and return the names of those."""
    folders: list[str] = []
    with os.scandir(folder) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if is_folder:
            folders.append(name)
        else:
            os.unlink(name, dir_fd=folder)
    return folders
