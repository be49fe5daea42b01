"""Names inside a root folder, resolved by descriptors so that none leads out of it.

A name of a tar means what it would mean to a process whose root the folder is: a leading "/" is the root, "." and ".."
are taken out of the name as text (a name that climbs above the root is refused), symbolic links in the middle are
followed from the root, and the last part is never followed. Every step is an openat(2) with O_NOFOLLOW on a folder that
is open already, so a link that is put in the way meanwhile makes the step fail instead of leading it elsewhere.
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
"""How many symbolic links one name may go through: the kernel's own limit."""

_CACHED_FOLDERS = 256
_SPECIAL = frozenset({b"", b".", b".."})


def components(name: bytes) -> list[bytes]:
    """Split a name into its parts, "." and ".." resolved as text; empty for the root.

    Raises:
        BadArchive: it holds a NUL byte, or climbs above the root.
        OSError: ENAMETOOLONG, it is longer than a path can be.
    """
    if b"\0" in name:
        raise BadArchive("the name holds a NUL byte", entry=os.fsdecode(name))
    if len(name) >= PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fsdecode(name))
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
            elif not name.startswith(b"/"):
                raise BadArchive("the name leads out of the layer", entry=os.fsdecode(name))
        elif part not in _SPECIAL:
            parts.append(part)
    return parts


class Root:
    """A root folder and the folders inside it that are open.

    Descriptors that a method returns belong to the tree; they are good until the second call after it, and none is
    good after `forget`. Up to 256 folders stay open, the longest unused going first, so that the many files of a
    folder cost one look-up. Not for use by several threads.

    With `may_chmod`, folders (and in `open_file` files) that this user owns but may not enter are made accessible
    while they are needed; `close` restores the modes, unless the folder is gone or was replaced. With `writable`,
    folders are made writable in the same way.
    """

    def __init__(
        self, root: str | bytes | os.PathLike[str], *, writable: bool = False, may_chmod: bool | None = None
    ) -> None:
        self.may_chmod = os.geteuid() != 0 if may_chmod is None else may_chmod
        self.owner: tuple[int, int] | None = None
        """The UID and GID that root gives to folders made on the way; by default they are root's."""
        self._needed = WRITE if writable else READ
        self._owed: dict[tuple[int, int], tuple[bytes, int]] = {}
        """Device and inode of a folder -> where it lies and the mode to give it in the end."""
        self.descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[bytes, int] = {}
        """Folders by the text before the last slash of a name, the longest unused first."""
        self._linked: set[bytes] = set()
        """Those of them that were reached through a symbolic link: they do not lie where the text says."""
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
        """Restore the modes that were changed and close every descriptor; calling it again does nothing."""
        if self.descriptor < 0:
            return
        try:
            self.settle()
        finally:
            self.forget()
            os.close(self.descriptor)
            self.descriptor = self._last_descriptor = -1

    def forget(self) -> None:
        """Close every folder but the root: one of them was removed or replaced."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._linked.clear()
        self._last = b""
        self._last_descriptor = self.descriptor

    def forget_linked(self) -> None:
        """Close the folders that were reached through a symbolic link: a link was removed or replaced."""
        for key in self._linked:
            descriptor = self._open.pop(key, -1)
            if descriptor >= 0:
                os.close(descriptor)
        if self._last in self._linked:
            self._last, self._last_descriptor = b"", self.descriptor
        self._linked.clear()

    def parent(self, name: bytes, *, create: bool = False) -> tuple[int, bytes]:
        """Return the open folder that `name` is in, and its last part; the root is (root, b".").

        With `create`, missing folders are made with mode 0755 and the owner of this process.

        Raises:
            BadArchive: the name leads out of the root or cannot be a name.
            OSError: a folder on the way is missing, is no folder, or cannot be opened; it names `name`.
        """
        if name.startswith(b"./"):
            name = name[2:]
        head, slash, base = name.rpartition(b"/")
        if b"\0" in name:
            raise BadArchive("the name holds a NUL byte", entry=os.fsdecode(name))
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
        # Only a name without a tail to be cleaned away may be found again by the text before its last slash.
        key = head if slash and name.endswith(b"/" + base) else b"/".join(parts)
        return self._folder(key, parts, name, create=create), base

    def folder(self, name: bytes) -> int:
        """Return the open folder `name`; the last part is followed, too.

        Raises:
            OSError: it is missing, no folder, or cannot be opened.
        """
        parts = components(name)
        return self._folder(b"/".join(parts), parts, name, create=False) if parts else self.descriptor

    def adopt(self, name: bytes, descriptor: int) -> None:
        """Keep `descriptor`, the just made folder `name`, open for what will be put into it."""
        key = name.removeprefix(b"./").rstrip(b"/")
        known = self._open.pop(key, -1)
        if known >= 0:
            os.close(known)
        self._open[key] = descriptor
        self._trim()
        if key == self._last:
            self._last_descriptor = descriptor

    def set_mode(self, name: bytes, descriptor: int, found: os.stat_result, mode: int) -> None:
        """Give the folder `name`, open as `descriptor` and with the status `found`, its mode.

        Where this user could not work in it with that mode it gets it only when the tree is closed, if the folder is
        still the same one by then.
        """
        now = mode | self._needed if self.may_chmod else mode
        if now != mode:
            self._owed[found.st_dev, found.st_ino] = (b"/".join(components(name)), mode)
        else:
            self._owed.pop((found.st_dev, found.st_ino), None)
        if stat.S_IMODE(found.st_mode) != now:
            os.fchmod(descriptor, now)

    def settle(self) -> None:
        """Set the modes that are owed, the deepest folders first."""
        owed, self._owed = self._owed, {}
        may_chmod, self.may_chmod = self.may_chmod, False
        try:
            for folder, (name, mode) in sorted(owed.items(), key=lambda item: item[1][0], reverse=True):
                self._settle_one(name, folder, mode)
        finally:
            self.may_chmod = may_chmod

    def open_file(self, name: bytes) -> int:
        """Open the regular file `name` for reading, without touching its access time where that is allowed.

        The caller closes the descriptor. Nothing but a regular file is ever opened: no device, fifo or socket.

        Raises:
            BadArchive: the name leads out of the root.
            OSError: it is missing, no regular file (EINVAL), or cannot be read.
        """
        folder, base = self.parent(name)
        try:
            return open_regular(folder, base, may_chmod=self.may_chmod)
        except OSError as error:
            error.filename = os.fsdecode(name)
            raise

    def _folder(self, key: bytes, parts: list[bytes], name: bytes, *, create: bool) -> int:
        """Return the folder of these parts, from the cache or by walking to it, and keep it under `key`."""
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
        """Return the open folder nearest to these parts and how many of them it stands for; none gives the root."""
        for count in range(len(parts), 0, -1):
            key = b"/".join(parts[:count])
            descriptor = self._open.get(key, -1)
            if descriptor >= 0 and key not in self._linked:
                return descriptor, count
        return self.descriptor, 0

    def enter(self, folder: int, name: bytes, path: list[bytes]) -> int:
        """Open the folder `name` of an open folder, lending bits that its owner lacks; `path` is where it lies."""
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
            if oldest == self._last:  # handed out by the call before this one
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
            return  # removed or replaced after its mode was lent
        if (found.st_dev, found.st_ino) == identity and stat.S_IMODE(found.st_mode) != mode:
            chmod_at(folder, base, mode)


class _Walk:
    """One look-up of a folder, step by step."""

    def __init__(self, tree: Root, *, create: bool) -> None:
        self._tree = tree
        self._create = create
        self.links = 0
        """How many symbolic links it went through."""
        self._borrowed = True
        """True while the folder where the walk stands belongs to the tree."""
        self._at = tree.descriptor
        self._path: list[bytes] = []

    def to(self, parts: list[bytes]) -> int:
        """Return a new descriptor of the folder that these parts lead to."""
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
        """How many of the name's own parts are left, below those of links on top of them."""
        while pending:
            part = pending.pop()
            # Only the name says what is to be made: a link to what is missing leads nowhere.
            create = self._create and len(pending) < own
            own = min(own, len(pending))
            if part == b"..":
                self._up()
            elif part not in _SPECIAL:
                pending.extend(self._step(part, create=create))

    def _step(self, part: bytes, *, create: bool) -> list[bytes]:
        """Go into `part`; where it is a symbolic link, return the parts to go on with instead, the first one last."""
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
        """Go to the folder above; the root is above itself. The way there is walked anew, for ".." could lead out."""
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
