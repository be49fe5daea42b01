"""Walking a tree by descriptors: no path is looked up twice, no symbolic link is followed, no depth is too much.

Recursion would end at Python's limit, whole paths at the kernel's PATH_MAX, and a descriptor a level at the process's
limit; a layer can be nested deeper than all three. `FolderStack` keeps the nearest levels open and comes back to the
others through "..", checking that it arrives where it came from.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from types import TracebackType
from typing import Self

from layerstore.errors import Cancelled
from layerstore.model import ShouldStop

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = 0o500
WRITE = 0o700
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LEVELS = 64


def check_stop(should_stop: ShouldStop | None, what: str) -> None:
    """Raise `Cancelled` when `should_stop` says so."""
    if should_stop is not None and should_stop():
        raise Cancelled(what)


def chmod_at(folder: int, name: bytes | str, mode: int) -> None:
    """Set the mode of `name` in the open folder without following it.

    Linux has no such call for all kinds of files, so the file is pinned with O_PATH and reached through /proc.
    """
    pin = os.open(name, _PIN, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{pin}", mode)
    finally:
        os.close(pin)


def lend(folder: int, name: bytes | str, needed: int) -> os.stat_result | None:
    """Give the owner of `name` the bits of `needed` that its mode withholds from him.

    Returns the status from before, or None where there is nothing to be gained: then the caller's error stands.
    """
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if before.st_uid != os.geteuid() or stat.S_ISLNK(before.st_mode) or before.st_mode & needed == needed:
        return None
    chmod_at(folder, name, stat.S_IMODE(before.st_mode) | needed)
    return before


def open_folder(folder: int, name: bytes | str, needed: int = READ) -> tuple[int, int | None]:
    """Open the folder `name` of an open folder, lending its owner the bits of `needed` that he lacks.

    Returns the descriptor and, when the mode was changed for it, the mode to restore.

    Raises:
        NotADirectoryError: it is something else; a symbolic link counts as that.
        OSError: it cannot be opened.
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
    """Make a folder of mode 0755 that belongs to this process, whatever umask, setgid bit or ACL say."""
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
    """Open the regular file `name` of an open folder for reading; see `paths.Root.open_file`.

    `found` is its status where the caller has it; it must still be the same file then.

    Raises:
        OSError: EINVAL, it is no regular file; ESTALE, it is another file than `found`; or it cannot be read.
    """
    # The type is looked at first: opening a device can have effects, and opening a fifo could wait.
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
        raise OSError(errno.ESTALE, "the file was replaced while it was read")
    return descriptor


def _open_quietly(folder: int, name: bytes | str) -> int:
    try:
        return os.open(name, _OPEN_FILE | os.O_NOATIME, dir_fd=folder)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # only the owner, or root, may leave the access time alone
            raise
        return os.open(name, _OPEN_FILE, dir_fd=folder)


class FolderStack:
    """The open folders from a root down to where a walk stands.

    `push` goes down, `pop` comes back up and restores the mode of a folder that had to be made accessible. Closing
    restores and closes whatever is left. Not for use by several threads.
    """

    def __init__(self, root: str | bytes | os.PathLike[str], *, needed: int = READ, parent: int | None = None) -> None:
        self._needed = needed
        first, restore = open_folder(parent, os.fsencode(root), needed) if parent is not None else _open_root(root)
        self._descriptors = [first]
        self._restore: list[int | None] = [restore]
        self._left: list[tuple[int, int]] = []
        """Device and inode of the levels from the root down that are closed for now."""

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
                with contextlib.suppress(OSError):  # the walk has failed for a reason of its own
                    self._reopen_parent()
            self._drop(self._descriptors.pop(), self._restore.pop())
            del self._left[len(self._descriptors) :]

    @property
    def fd(self) -> int:
        """The folder where the walk stands."""
        return self._descriptors[-1]

    @property
    def depth(self) -> int:
        """How many folders lie below the root; 0 at the root."""
        return len(self._descriptors) - 1

    def push(self, name: bytes | str) -> int:
        """Go down into `name`; return its descriptor."""
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
        """Come back up to the folder that holds this one.

        Raises:
            OSError: ESTALE, somebody moved the folder while it was walked.
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
            raise OSError(errno.ESTALE, "a folder was moved while it was walked")
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
    """Delete what is at a path, as `remove_tree` does."""
    parent, name = os.path.split(os.path.abspath(path))
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(descriptor, name)
    finally:
        os.close(descriptor)


def remove_tree(folder: int, name: bytes | str, *, should_stop: ShouldStop | None = None) -> None:
    """Delete `name` in the open folder, and all below it; what is not there is no error.

    Folders that their owner may not write are made writable first.

    Raises:
        Cancelled: half-way, when `should_stop` says so.
        OSError: something cannot be deleted.
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
    """Delete everything below the folder where the stack stands."""
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
    """Delete what is no folder; return the names of the folders."""
    folders: list[str] = []
    with os.scandir(folder) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if is_folder:
            folders.append(name)
        else:
            os.unlink(name, dir_fd=folder)
    return folders
