"""Absent files in the form that the kernel's overlay reads: devices that are none, and folders that hide.

A character device 0/0 hides what has its name in the layers below; a folder whose attribute `overlay.opaque` is "y"
hides all that is below it (Linux, Documentation/filesystems/overlayfs.rst). The attributes are in the `trusted`
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
from layerstore.errors import NotSupported
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import ShouldStop

_CAP_SYS_ADMIN = 1 << 21
_WHOLE_RANGE = ["0", "0", "4294967295"]
_RESERVED = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.override_")
_FUSE_OPAQUE = "user.fuseoverlayfs.opaque"


@dataclass(frozen=True, slots=True)
class Marks:
    """The attributes by which an overlay marks files; `namespace` is "trusted" or "user".

    With `fuse` they are those that fuse-overlayfs reads, too, which takes all that it may see.
    """

    namespace: str
    fuse: bool = False

    @property
    def opaque(self) -> str:
        """Marks a folder that hides what is below it, with "y"."""
        return f"{self.namespace}.overlay.opaque"

    @property
    def redirect(self) -> str:
        """Marks a file or folder whose lower part lies elsewhere."""
        return f"{self.namespace}.overlay.redirect"

    @property
    def metacopy(self) -> str:
        """Marks a file whose content is still below."""
        return f"{self.namespace}.overlay.metacopy"

    def is_opaque(self, target: int | str, names: Collection[str]) -> bool:
        """Tell whether a folder, given as for `xattrs.names` and with what that says, hides what is below it."""
        marks = [name for name in self._opaques() if name in names]
        return bool(marks) and b"y" in xattrs.read(target, marks.__contains__).values()

    def _opaques(self) -> tuple[str, ...]:
        if not self.fuse:
            return (self.opaque,)
        return ("trusted.overlay.opaque", "user.overlay.opaque", _FUSE_OPAQUE)


def marks_of(home: Path) -> Marks:
    """Return the marks that a store uses: `user` for one of an ordinary user, or where this process is no real root."""
    try:
        owner = os.stat(home).st_uid
    except FileNotFoundError:
        owner = os.geteuid()
    return Marks("trusted" if owner == 0 and _is_real_root() else "user")


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether a file stands for the absence of one."""
    return found.st_rdev == 0 and stat.S_ISCHR(found.st_mode)


def has_whiteouts(upper: str | os.PathLike[str], *, named: bool = False, should_stop: ShouldStop | None = None) -> bool:
    """Tell whether a folder of a layer's files holds a whiteout anywhere; `named` ones, `.wh.NAME`, count if asked."""
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
    """Whiteouts of a tar, kept in a layer's own folder for the kernel to see.

    They are kept whether a layer below has the file or not, as with the peer. Unlike there, a name that is both hidden
    and put there again as a folder hides what is below it whatever the order, and an opaque root hides everything, for
    which the kernel has no mark. `below` are the folders of the layers below.

    With marks for fuse-overlayfs, where devices or attributes cannot be made, files called `.wh.NAME` and
    `.wh..wh..opq` take their place.
    """

    def __init__(self, marks: Marks, below: Sequence[str] = (), should_stop: ShouldStop | None = None) -> None:
        super().__init__(should_stop)
        self._marks = marks
        self._below = below
        self._hidden: list[bytes] = []

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Put a device in the place of the name, with the entry's owner and time."""
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
        """Mark the folder, and delete what was in it before this diff."""
        super().opaque(tree, folder, entry)
        path = b"/".join(components(entry.name)[:-1])
        if path:
            self.added(path)
        else:
            self._hide_all(tree)
        self._mark(tree.folder(path))

    def keeps_xattr(self, name: bytes) -> bool:
        """Refuse the overlay's own attributes: a tar could lead out of its layer by them."""
        return not name.startswith(_RESERVED)

    def finish(self, root: Path) -> None:
        """Mark the folders in the unpacked `root` that took the place of a whiteout, and let go of what hides names."""
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
                    continue  # taken away again by a later entry

    def _hide_all(self, tree: Root) -> None:
        """Hide every name that a root below has; those that are there already are looked at in the end."""
        names = {os.fsencode(name) for below in self._below for name in os.listdir(below)}
        for name in sorted(names):
            with contextlib.suppress(FileExistsError):
                self._make(tree.descriptor, name)
            self._hidden.append(name)

    def _make(self, folder: int, name: bytes) -> bytes:
        """Hide a name by a device, or where that cannot be by a file; return what this is called."""
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
                text = f"the attribute {self._marks.opaque} cannot be set here ({error.strerror})"
                raise NotSupported(f"{text}: use a store of the vfs driver") from error
            raise


def without_root(entries: Iterable[TarEntry]) -> Iterator[TarEntry]:
    """Leave out the entries for the layer's root that are named "." or "./": the peer does for overlay.

    Its owner and mode stay those of the layer below.
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
        text = "this system does not let an ordinary user hide files of a layer below (Linux 5.8 does)"
        raise NotSupported(f"{text}: use sudo, or a store of the vfs driver") from error


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _touch(folder: int, name: bytes) -> None:
    """Make an empty file, or take the one that is there."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))


def _folders(folder: int, *, named: bool) -> list[str] | None:
    """Return the folders in a folder; None if there is a whiteout among its files."""
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


def _is_real_root() -> bool:
    """Tell whether this process may set `trusted` attributes: that takes CAP_SYS_ADMIN outside of user namespaces."""
    with open("/proc/self/uid_map") as file:
        if file.read().split() != _WHOLE_RANGE:
            return False
    with open("/proc/self/status") as file:
        capabilities = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(capabilities, 16) & _CAP_SYS_ADMIN)
