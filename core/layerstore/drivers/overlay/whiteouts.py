"""Whiteouts on disk as the kernel's overlay reads them.

A character device 0/0 hides the file with the same name in the layers below. A folder whose attribute `overlay.opaque`
is "y" hides everything below it (Linux, Documentation/filesystems/overlayfs.rst). The attributes are in the `trusted`
namespace, or in `user` for mounts with `userxattr`, which need no privileges.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from layerstore.archive.entry import TarEntry
from layerstore.archive.root import Root, components
from layerstore.archive.whiteouts import OPAQUE, PREFIX, PlainWhiteouts
from layerstore.drivers.base import is_privileged
from layerstore.errors import NotSupported
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import ShouldStop

_RESERVED = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.override_")
_FUSE_OPAQUE = "user.fuseoverlayfs.opaque"


@dataclass(frozen=True, slots=True)
class Marks:
    """The attributes with which an overlay marks files. `namespace` is "trusted" or "user".

    With `fuse`, the marks of fuse-overlayfs count too: it reads the attributes of every namespace that it may see, and
    files called `.wh.NAME`.
    """

    namespace: str
    fuse: bool = False

    @staticmethod
    def is_whiteout(found: os.stat_result) -> bool:
        """Return whether a file is a whiteout."""
        return found.st_rdev == 0 and stat.S_ISCHR(found.st_mode)

    @property
    def prefix(self) -> str:
        """The prefix of a file whose name alone hides another file, "" if there are none."""
        return os.fsdecode(PREFIX) if self.fuse else ""

    @property
    def opaque(self) -> str:
        """The attribute of an opaque folder, which has the value "y"."""
        return f"{self.namespace}.overlay.opaque"

    @property
    def redirect(self) -> str:
        """The attribute of a file or folder that has another name in the layers below."""
        return f"{self.namespace}.overlay.redirect"

    @property
    def metacopy(self) -> str:
        """The attribute of a file whose content is in a layer below."""
        return f"{self.namespace}.overlay.metacopy"

    def is_opaque(self, target: int | str, names: Collection[str]) -> bool:
        """Return whether a folder hides what is below it.

        `target` is the folder as `xattrs.names` takes it, and `names` is what that returned.
        """
        marks = [name for name in self._opaques() if name in names]
        return bool(marks) and b"y" in xattrs.read(target, marks.__contains__).values()

    def _opaques(self) -> tuple[str, ...]:
        if not self.fuse:
            return (self.opaque,)
        return ("trusted.overlay.opaque", "user.overlay.opaque", _FUSE_OPAQUE)


is_whiteout = Marks.is_whiteout


def marks_of(home: Path, *, fuse: bool = False) -> Marks:
    """Return the marks of the store whose driver's folder is `home`."""
    return Marks("trusted" if is_privileged(home) else "user", fuse)


def has_whiteouts(upper: str | os.PathLike[str], *, named: bool = False, should_stop: ShouldStop | None = None) -> bool:
    """Return whether a layer's folder contains a whiteout, or with `named` a file called `.wh.NAME`."""
    with FolderStack(upper) as stack:
        pending = [_folders(stack.fd, named=named)]
        while pending:
            check_stop(should_stop, "looking for whiteouts")
            folders = pending[-1]
            if folders is None:
                return True
            if folders:
                stack.push(folders.pop())
                pending.append(_folders(stack.fd, named=named))
                continue
            pending.pop()
            if pending:
                stack.pop()
    return False


class OverlayWhiteouts(PlainWhiteouts):
    """Converts the whiteouts of a tar to those that the kernel reads in a layer's folder.

    As in containers/storage, a whiteout is kept even if no layer below has the file. There are two differences. A name
    that the tar both deletes and adds as a folder becomes an opaque folder, whatever the order of its entries. An
    opaque root hides everything below, although the kernel has no mark for that. `below` are the folders of the layers
    below.

    If devices or attributes cannot be made and the marks are for fuse-overlayfs, files called `.wh.NAME` and
    `.wh..wh..opq` replace them.
    """

    def __init__(self, marks: Marks, below: Sequence[str] = (), should_stop: ShouldStop | None = None) -> None:
        super().__init__(should_stop)
        self._marks = marks
        self._below = below
        self._hidden: list[bytes] = []

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Hide the name with a device that has the owner and time of the entry."""
        path = b"/".join([*components(entry.name)[:-1], name])
        self._hidden.append(path)
        try:
            made = self._make(folder, name)
        except FileExistsError:
            if is_whiteout(os.stat(name, dir_fd=folder, follow_symlinks=False)):
                made = name
            else:
                super().whiteout(tree, folder, name, entry)
                folder, name = tree.parent(path, create=True)
                made = self._make(folder, name)
        if os.geteuid() == 0:
            os.chown(made, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(made, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
        self.added(b"/".join([*components(entry.name)[:-1], made]))

    def opaque(self, tree: Root, folder: int, entry: TarEntry) -> None:
        """Mark the folder as opaque, and delete what was in it before this diff."""
        super().opaque(tree, folder, entry)
        path = b"/".join(components(entry.name)[:-1])
        if path:
            self.added(path)
        else:
            self._hide_all(tree)
        self._mark(tree.folder(path))

    def keeps_xattr(self, name: bytes) -> bool:
        """Return False for the attributes of overlays, with which a tar could reach outside its layer."""
        return not name.startswith(_RESERVED)

    def finish(self, root: Path) -> None:
        """Mark folders below `root` that replaced a whiteout as opaque, and delete whiteouts of files that exist."""
        if not self._hidden:
            return
        with Root(root, writable=True) as tree:
            for path in self._hidden:
                try:
                    folder, name = tree.parent(path)
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if self._marks.fuse and not is_whiteout(found):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(PREFIX + name, dir_fd=folder)
                    if stat.S_ISDIR(found.st_mode):
                        self._mark(tree.folder(path))
                except (FileNotFoundError, NotADirectoryError):
                    continue  # deleted again by a later entry

    def _hide_all(self, tree: Root) -> None:
        """Hide every name in the roots of the layers below. `finish` handles the names that already exist here."""
        names = {os.fsencode(name) for below in self._below for name in os.listdir(below)}
        for name in sorted(names):
            with contextlib.suppress(FileExistsError):
                self._make(tree.descriptor, name)
            self._hidden.append(name)

    def _make(self, folder: int, name: bytes) -> bytes:
        """Hide a name with a device, or with a file if that is not possible. Return the name of that device or file."""
        try:
            _make_device(folder, name)
            return name
        except NotSupported:
            if not self._marks.fuse:
                raise
        if _is_there(folder, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        _touch(folder, PREFIX + name)
        return PREFIX + name

    def _mark(self, folder: int) -> None:
        try:
            os.setxattr(folder, self._marks.opaque, b"y")
        except OSError as error:
            if error.errno in {errno.ENOTSUP, errno.EPERM}:
                if self._marks.fuse:
                    _touch(folder, OPAQUE)
                    return
                text = f"cannot set the attribute {self._marks.opaque} on this file system ({error.strerror})"
                raise NotSupported(f"{text}: use a store of the vfs driver") from error
            raise


def without_root(entries: Iterable[TarEntry]) -> Iterator[TarEntry]:
    """Yield all entries except those for the root, named "." or "./", as containers/storage does for overlay.

    The root keeps the owner and mode of the layer below.
    """
    for entry in entries:
        name = entry.name
        if name[-1:] in b"./" and not name.startswith(b"/") and not components(name):
            continue
        yield entry


def _make_device(folder: int, name: bytes) -> None:
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        text = "this system does not let ordinary users create whiteouts (Linux 5.8 and later do)"
        raise NotSupported(f"{text}: use sudo, or a store of the vfs driver") from error


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _touch(folder: int, name: bytes) -> None:
    """Create an empty file unless it exists."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))


def _folders(folder: int, *, named: bool) -> list[str] | None:
    """Return the subfolders of a folder, or None if it contains a whiteout."""
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if named and os.fsencode(entry.name).startswith(PREFIX):
                return None
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif not (entry.is_file(follow_symlinks=False) or entry.is_symlink()) and is_whiteout(
                entry.stat(follow_symlinks=False)
            ):
                return None
    return folders
