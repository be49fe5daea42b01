"""Resolve names inside a root folder so that none can lead outside.

A name in a tar means what it would mean after a chroot into the folder. A leading "/" is the root. "." and ".." are
resolved as text, and a name that climbs above the root is rejected. Symbolic links are followed inside the root, except
in the last part of a name. Every step is an openat(2) with O_NOFOLLOW on a folder that is already open. A link that
appears in the meantime therefore makes the step fail instead of redirecting it.
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Self

from layerstore.errors import BadArchive
from layerstore.linux.folders import OPEN_FOLDER, READ, WRITE, chmod_at, make_folder, open_folder, open_regular

PATH_MAX = 4096
MAX_LINKS = 40
"""The most symbolic links a name may go through, as in the kernel."""

_CACHED_FOLDERS = 256
_SPECIAL = frozenset({b"", b".", b".."})


def components(name: bytes) -> list[bytes]:
    """Split a name into its parts, with "." and ".." resolved as text. The root has no parts.

    Raises:
        BadArchive: The name contains a NUL byte or climbs above the root.
        OSError: The name is longer than a path may be (ENAMETOOLONG).
    """
    if b"\0" in name:
        raise BadArchive("the name contains a NUL byte", entry=os.fsdecode(name))
    if len(name) >= PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fsdecode(name))
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
            elif not name.startswith(b"/"):
                raise BadArchive("the name leads outside the layer", entry=os.fsdecode(name))
        elif part not in _SPECIAL:
            parts.append(part)
    return parts


class Root:
    """A root folder and a cache of open folders inside it.

    The cache holds up to 256 folders and evicts the least recently used one, so that the files of one folder cost a
    single lookup. A descriptor that a method returns belongs to this object. It stays valid until the second call after
    it, or until `forget`. Not thread-safe.

    With `may_chmod`, folders (and files, in `open_file`) that this user owns but may not access are made accessible
    while they are needed. `close` restores their modes, except for folders that were deleted or replaced. With
    `writable`, folders are made writable in the same way.
    """

    def __init__(
        self, root: str | bytes | os.PathLike[str], *, writable: bool = False, may_chmod: bool | None = None
    ) -> None:
        self.may_chmod = os.geteuid() != 0 if may_chmod is None else may_chmod
        self.owner: tuple[int, int] | None = None
        """The UID and GID that missing parent folders get if this process is root. By default they belong to root."""
        self._needed = WRITE if writable else READ
        self._owed: dict[tuple[int, int], tuple[bytes, int]] = {}
        """Device and inode of a folder -> its path and the mode to restore at the end."""
        self.descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[bytes, int] = {}
        """The part of a name before its last slash -> open folder, least recently used first."""
        self._linked: set[bytes] = set()
        """The keys that were resolved through a symbolic link, so the folder is not where the key says."""
        self._last = b""
        self._last_descriptor = self.descriptor
        if self.may_chmod:
            try:
                self._lend_root()
            except OSError:
                os.close(self.descriptor)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Restore modes and close every descriptor. A second call has no effect."""
        if self.descriptor < 0:
            return
        try:
            self.settle()
        finally:
            self.forget()
            os.close(self.descriptor)
            self.descriptor = self._last_descriptor = -1

    def forget(self) -> None:
        """Close every folder except the root, because one of them was deleted or replaced."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._linked.clear()
        self._last = b""
        self._last_descriptor = self.descriptor

    def forget_linked(self) -> None:
        """Close the folders that were reached through a symbolic link, because a link was deleted or replaced."""
        for key in self._linked:
            descriptor = self._open.pop(key, -1)
            if descriptor >= 0:
                os.close(descriptor)
        if self._last in self._linked:
            self._last, self._last_descriptor = b"", self.descriptor
        self._linked.clear()

    def parent(self, name: bytes, *, create: bool = False) -> tuple[int, bytes]:
        """Return the open folder that contains `name`, and the last part of the name. The root is (root, b".").

        With `create`, missing folders are created with mode 0755 and, unless `owner` is set, the owner of this process.

        Raises:
            BadArchive: The name is invalid or leads outside the root.
            OSError: A parent is missing, is not a folder or cannot be opened. The error names `name`.
        """
        if name.startswith(b"./"):
            name = name[2:]
        head, slash, base = name.rpartition(b"/")
        if b"\0" in name:
            raise BadArchive("the name contains a NUL byte", entry=os.fsdecode(name))
        if head == self._last and base not in _SPECIAL:
            return self._last_descriptor, base
        descriptor = self._open.pop(head, -1)
        if descriptor >= 0 and base not in _SPECIAL:
            self._open[head] = self._last_descriptor = descriptor
            self._last = head
            return descriptor, base
        if descriptor >= 0:
            self._open[head] = descriptor
        parts = components(name)
        if not parts:
            return self.descriptor, b"."
        base = parts.pop()
        # The text before the last slash is a valid cache key only if cleaning did not change the end of the name.
        key = head if slash and name.endswith(b"/" + base) else b"/".join(parts)
        return self._folder(key, parts, name, create=create), base

    def folder(self, name: bytes) -> int:
        """Return the open folder `name`. Unlike in `parent`, a symbolic link in the last part is followed.

        Raises:
            OSError: It is missing, is not a folder or cannot be opened.
        """
        parts = components(name)
        return self._folder(b"/".join(parts), parts, name, create=False) if parts else self.descriptor

    def adopt(self, name: bytes, descriptor: int) -> None:
        """Add the new folder `name`, open as `descriptor`, to the cache."""
        key = name.removeprefix(b"./").rstrip(b"/")
        known = self._open.pop(key, -1)
        if known >= 0:
            os.close(known)
        self._open[key] = descriptor
        self._trim()
        if key == self._last:
            self._last_descriptor = descriptor

    def set_mode(self, name: bytes, descriptor: int, found: os.stat_result, mode: int) -> None:
        """Set the mode of the folder `name`, which is open as `descriptor` and has the status `found`.

        If this user could not work in the folder with that mode, it is set when the tree is closed, provided that the
        name still refers to the same folder.
        """
        now = mode | self._needed if self.may_chmod else mode
        if now != mode:
            self._owed[found.st_dev, found.st_ino] = (b"/".join(components(name)), mode)
        else:
            self._owed.pop((found.st_dev, found.st_ino), None)
        if stat.S_IMODE(found.st_mode) != now:
            os.fchmod(descriptor, now)

    def settle(self) -> None:
        """Set the postponed modes, deepest folders first."""
        owed, self._owed = self._owed, {}
        may_chmod, self.may_chmod = self.may_chmod, False
        try:
            for folder, (name, mode) in sorted(owed.items(), key=lambda item: item[1][0], reverse=True):
                self._settle_one(name, folder, mode)
        finally:
            self.may_chmod = may_chmod

    def open_file(self, name: bytes) -> int:
        """Open the regular file `name` for reading, without updating its access time if that is permitted.

        The caller closes the descriptor. Devices, FIFOs and sockets are never opened.

        Raises:
            BadArchive: The name leads outside the root.
            OSError: It is missing, is not a regular file (EINVAL) or cannot be read.
        """
        folder, base = self.parent(name)
        try:
            return open_regular(folder, base, may_chmod=self.may_chmod)
        except OSError as error:
            error.filename = os.fsdecode(name)
            raise

    def _folder(self, key: bytes, parts: list[bytes], name: bytes, *, create: bool) -> int:
        """Return the folder with these parts, opening it if necessary, and cache it under `key`."""
        if not parts:
            descriptor = self.descriptor
        elif (descriptor := self._open.pop(key, -1)) >= 0:
            self._open[key] = descriptor
        else:
            try:
                walk = _Walk(self, create=create)
                descriptor = walk.to(parts)
            except OSError as error:
                error.filename = os.fsdecode(name)
                raise
            self._open[key] = descriptor
            if walk.links:
                self._linked.add(key)
            self._trim()
        self._last = key
        self._last_descriptor = descriptor
        return descriptor

    def nearest(self, parts: list[bytes]) -> tuple[int, int]:
        """Return the deepest cached folder on the way to these parts, or the root, and how many parts it covers."""
        for count in range(len(parts), 0, -1):
            key = b"/".join(parts[:count])
            descriptor = self._open.get(key, -1)
            if descriptor >= 0 and key not in self._linked:
                return descriptor, count
        return self.descriptor, 0

    def enter(self, folder: int, name: bytes, path: list[bytes]) -> int:
        """Open the subfolder `name` of an open folder, made accessible if necessary. `path` is its path in the tree."""
        if not self.may_chmod:
            return os.open(name, OPEN_FOLDER, dir_fd=folder)
        descriptor, restore = open_folder(folder, name, self._needed)
        if restore is not None:
            found = os.fstat(descriptor)
            self._owed.setdefault((found.st_dev, found.st_ino), (b"/".join(path), restore))
        return descriptor

    def _trim(self) -> None:
        while len(self._open) > _CACHED_FOLDERS:
            oldest = next(iter(self._open))
            descriptor = self._open.pop(oldest)
            if oldest == self._last:  # the previous call returned it, so it has to stay valid
                self._open[oldest] = descriptor
                continue
            os.close(descriptor)
            self._linked.discard(oldest)

    def _lend_root(self) -> None:
        found = os.fstat(self.descriptor)
        if found.st_uid == os.geteuid() and found.st_mode & self._needed != self._needed:
            os.fchmod(self.descriptor, stat.S_IMODE(found.st_mode) | self._needed)
            self._owed[found.st_dev, found.st_ino] = (b"", stat.S_IMODE(found.st_mode))

    def _settle_one(self, name: bytes, identity: tuple[int, int], mode: int) -> None:
        if not name:
            os.fchmod(self.descriptor, mode)
            return
        try:
            folder, base = self.parent(name)
            found = os.stat(base, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return  # it was deleted or replaced in the meantime
        if (found.st_dev, found.st_ino) == identity and stat.S_IMODE(found.st_mode) != mode:
            chmod_at(folder, base, mode)


class _Walk:
    """The lookup of one folder, step by step."""

    def __init__(self, tree: Root, *, create: bool) -> None:
        self._tree = tree
        self._create = create
        self.links = 0
        """The number of symbolic links followed so far."""
        self._borrowed = True
        """True while the current folder belongs to the tree's cache, so the walk must not close it."""
        self._at = tree.descriptor
        self._path: list[bytes] = []

    def to(self, parts: list[bytes]) -> int:
        """Return a new descriptor for the folder that these parts lead to."""
        self._at, count = self._tree.nearest(parts)
        self._path = parts[:count]
        try:
            self._follow(parts[count:])
            if self._borrowed:
                return os.dup(self._at)
            self._borrowed = True
            return self._at
        finally:
            self._stand(self._tree.descriptor, owned=False)

    def _follow(self, parts: list[bytes]) -> None:
        pending = parts[::-1]
        own = len(pending)
        """How many parts of the name itself are pending, below the parts of link targets."""
        while pending:
            part = pending.pop()
            # Create only what the name itself asks for, not the missing target of a link.
            create = self._create and len(pending) < own
            own = min(own, len(pending))
            if part == b"..":
                self._up()
            elif part not in _SPECIAL:
                pending.extend(self._step(part, create=create))

    def _step(self, part: bytes, *, create: bool) -> list[bytes]:
        """Enter `part`. If it is a symbolic link, return the parts of its target in reverse order instead."""
        where = [*self._path, part]
        try:
            descriptor = self._tree.enter(self._at, part, where)
        except NotADirectoryError:
            return self._link(part)
        except FileNotFoundError:
            if not create:
                raise
            make_folder(self._at, part)
            if self._tree.owner is not None and os.geteuid() == 0:
                os.chown(part, *self._tree.owner, dir_fd=self._at, follow_symlinks=False)
            descriptor = self._tree.enter(self._at, part, where)
        self._stand(descriptor, owned=True)
        self._path = where
        return []

    def _link(self, part: bytes) -> list[bytes]:
        try:
            target = os.readlink(part, dir_fd=self._at)
        except OSError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        self.links += 1
        if self.links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith(b"/"):
            self._stand(self._tree.descriptor, owned=False)
            self._path = []
        return target.split(b"/")[::-1]

    def _up(self) -> None:
        """Go to the parent, or stay at the root. This starts at the root again, because ".." could lead outside."""
        path = self._path[:-1]
        self._stand(self._tree.descriptor, owned=False)
        self._path = []
        for part in path:
            self._path.append(part)
            self._stand(self._tree.enter(self._at, part, self._path), owned=True)

    def _stand(self, descriptor: int, *, owned: bool) -> None:
        if not self._borrowed:
            os.close(self._at)
        self._at = descriptor
        self._borrowed = not owned
