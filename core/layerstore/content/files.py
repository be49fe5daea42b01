"""A layer's whole file system, as its container would see it, looked at folder by folder and without a mount.

A look-up costs what its own folders hold, whatever the size of the layer: nothing is read ahead. See `union` for how
the layers are put together.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

import msgspec

from layerstore.archive.compare import status_differs
from layerstore.content.union import KeptUnion, Node, Place, Union, trouble
from layerstore.drivers.overlay.whiteouts import is_whiteout
from layerstore.drivers.stack import Stack
from layerstore.errors import LayerStoreError
from layerstore.idmap import NO_MAPS, IDMappings, Owner, Unmapped
from layerstore.linux.folders import check_stop
from layerstore.model import ChangeKind, Progress, ShouldStop

_LOOKS = 30_000
"""How many files of earlier layers a listing may look at (some 60 ms) to tell which layer of vfs files come from."""

OnError = Callable[["FileEntry", LayerStoreError], None]
"""Called with a folder that cannot be read, and why."""


class FileKind(Enum):
    """What a file is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    CHAR = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


_KINDS = {
    stat.S_IFREG: FileKind.FILE,
    stat.S_IFDIR: FileKind.FOLDER,
    stat.S_IFLNK: FileKind.LINK,
    stat.S_IFCHR: FileKind.CHAR,
    stat.S_IFBLK: FileKind.BLOCK,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFSOCK: FileKind.SOCKET,
}


class FileEntry(msgspec.Struct, frozen=True, gc=False):
    """A file as the layer's container would see it.

    `path` starts with "/"; bytes that are not UTF-8 are surrogate-escaped. `mode` is st_mode; `uid` and `gid` are those
    that the layer's ID maps have for the ones on this host's disk, or else these; `size` is the length in bytes (0 for
    all but files and symbolic links). `target` is a symbolic link's, `device` the numbers (major, minor) of a device.
    `links` counts an inode's names in the layer that has it.

    `layer` is the ID of the topmost layer that has the file; for a folder, of the topmost one that has something in it
    or changed it. `below` tells whether a lower layer has the name, too. Both are None where finding out would take
    long (vfs only): `LayerFiles.stat` always does.
    """

    path: str
    kind: FileKind
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    links: int
    target: str | None = None
    device: tuple[int, int] | None = None
    layer: str | None = None
    below: bool | None = None

    @property
    def name(self) -> str:
        """The last part of the path; "/" for the root."""
        return self.path.rpartition("/")[2] or "/"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A layer that says something of a path; `size` and `mode` as in `FileEntry`, 0 for a deletion."""

    layer: str
    kind: ChangeKind
    size: int = 0
    mode: int = 0


class LayerFiles:
    """The files of one layer; a snapshot of which layers make it up, not of what is in them.

    Nothing is locked, kept open or remembered, so every call sees the files as they are; a layer that was deleted
    meanwhile ends in an error. Any thread may call any method, several at once, too. Paths mean what they would to a
    process whose root this is: symbolic links and ".." never lead out of it.

    With overlay, what a layer's folder holds is what comes from it. With vfs every layer is a full copy, and a file
    comes from the last layer where it differs from the parent's copy in mode, owner, device, size or time; attributes
    and content are not compared.

    Every method raises `NoSuchFile`, `StoreAccess` (this user may not), or `UnusableFile`, with path and layer.
    """

    def __init__(
        self,
        stack: Stack,
        older: Sequence[tuple[str, str]] = (),
        *,
        maps: IDMappings = NO_MAPS,
        may_chmod: bool = False,
    ) -> None:
        """Look at the layer that `stack` makes up, and whose owners are mapped by `maps`.

        `older` are IDs and folders of its parents, the nearest first, where each has a full copy of its own. With
        `may_chmod`, a file that this user owns but may not read is made readable while it is opened.
        """
        self.layer = stack.folders[0][0]
        self.stack = stack
        self.maps = maps
        self.union = Union(stack, may_chmod=may_chmod)
        self._ids = [layer for layer, _ in stack.folders]
        self._older = older if stack.marks is None else ()
        self._copies = Union(Stack((*stack.folders, *self._older)))
        self._may_chmod = may_chmod

    def list(self, path: str = "/") -> Sequence[FileEntry]:
        """Return what is in a folder: folders first, by the bytes of the names. A link to a folder is followed."""
        with self.trouble(path):
            folder = self.union.resolve(path)
            if not folder.is_folder:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            found = self._children(folder)
            if not self._older:
                return [entry for _, entry in found]
            origins = self._origins(folder.path, {entry.name: node.status for node, entry in found}, _LOOKS)
            return [self._entry(node, origins[entry.name]) for node, entry in found]

    def stat(self, path: str, *, follow: bool = False) -> FileEntry:
        """Return one file; a symbolic link in the last part of the path itself, or with `follow` what it leads to."""
        with self.trouble(path):
            node = self.union.resolve(path, follow=follow)
            above, _, name = node.path.rpartition("/")
            if self._older:
                return self._entry(node, self._origins(above, {name or ".": node.status}, None)[name or "."])
            if name:
                node.below = self.union.has_below(self.union.resolve(above), name, node.places[0])
            else:
                node.below = len(node.places) > 1
            return self._entry(node)

    def read(self, path: str, offset: int = 0, size: int = 1 << 16) -> bytes:
        """Return up to `size` bytes of a regular file from `offset` on; b"" at its end. Symbolic links are followed.

        Devices, FIFOs and sockets are never opened.
        """
        with self.trouble(path):
            node = self.union.resolve(path)
            if not stat.S_ISREG(node.status.st_mode):
                raise OSError(errno.EINVAL, f"it is a {_kind(node.status).value}, and only files have a content")
            descriptor = self.union.open(node)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)

    def occurrences(self, path: str) -> Sequence[Occurrence]:
        """Return in which layers a path occurs, the lowest first.

        The path is taken as it stands: a layer that has a link or a file in the place of one of its folders deletes it.
        """
        names = [name for name in os.path.normpath(f"/{path}").split("/") if name]
        found = []
        there: os.stat_result | None = None
        with self.trouble(path):
            for layer, status, stop in self._history(names):
                if status is None and not stop:
                    continue
                if status is None:
                    if there is not None:
                        found.append(Occurrence(layer, ChangeKind.DELETE))
                elif there is None:
                    found.append(Occurrence(layer, ChangeKind.ADD, _size(status), status.st_mode))
                elif self.union.marks is not None or status_differs(there, status):
                    found.append(Occurrence(layer, ChangeKind.MODIFY, _size(status), status.st_mode))
                there = status
        return found

    def walk(
        self,
        path: str = "/",
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Iterator[FileEntry]:
        """Yield all that is below a folder, each folder before what is in it, in the order of `list`.

        `progress` hears of the number of files so far, not of bytes. A folder that cannot be read ends the walk with
        its error, or goes to `on_error`. With vfs, `layer` and `below` stay None.

        Raises:
            Cancelled: `should_stop` said so.
        """
        with self.trouble(path):
            top = self.union.resolve(path)
            levels = [(top, iter(self._children(top)))]
        done = 0
        while levels:
            check_stop(should_stop, "looking through the files")
            folder, rest = levels[-1]
            node, entry = next(rest, (None, None))
            if node is None or entry is None:
                levels.pop()
                continue
            yield entry
            done += 1
            if not node.is_folder:
                continue
            if progress is not None:
                progress(done, None)
            try:
                with self.trouble(node.path):
                    node = self.union.whole(folder, node)
                    levels.append((node, iter(self._children(node))))
            except LayerStoreError as error:
                if on_error is None:
                    raise
                on_error(entry, error)

    def search(
        self,
        text: str,
        path: str = "/",
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Iterator[FileEntry]:
        """Yield what `walk` does, but only names that hold the text, whatever its case; with a "/" in it, paths."""
        wanted = text.casefold()
        for entry in self.walk(path, progress=progress, should_stop=should_stop, on_error=on_error):
            if wanted in (entry.path if "/" in wanted else entry.name).casefold():
                yield entry

    @contextmanager
    def kept(self) -> Iterator[LayerFiles]:
        """Yield the same for many look-ups in a row by one thread: it keeps folders open until the end of the block."""
        files = LayerFiles(self.stack, self._older, may_chmod=self._may_chmod)
        files.union = union = KeptUnion(self.stack, may_chmod=self._may_chmod)
        try:
            yield files
        finally:
            union.close()

    def trouble(self, path: str) -> AbstractContextManager[None]:
        """Turn an `OSError` of a block into one that names the path and the layer."""
        return trouble(self.layer, self.union.folders[0], path)

    def _children(self, folder: Node) -> Sequence[tuple[Node, FileEntry]]:
        return [(node, self._entry(node)) for node in self.union.children(folder)]

    def _entry(self, node: Node, origin: tuple[str | None, bool | None] | None = None) -> FileEntry:
        status = node.status
        kind = _kind(status)
        if origin is None:
            origin = (None, None) if self._older else (self._ids[node.places[0].depth], node.below)
        target, device = None, None
        if kind is FileKind.LINK:
            target = self.union.readlink(node)
        elif kind in {FileKind.CHAR, FileKind.BLOCK}:
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
        return FileEntry(
            node.path,
            kind,
            status.st_mode,
            *self._owner(status),
            _size(status),
            status.st_mtime_ns,
            status.st_nlink,
            target,
            device,
            *origin,
        )

    def _owner(self, status: os.stat_result) -> Owner:
        try:
            return self.maps.to_container(status.st_uid, status.st_gid)
        except Unmapped:
            return status.st_uid, status.st_gid

    def _origins(
        self, folder: str, names: dict[str, os.stat_result], budget: int | None
    ) -> dict[str, tuple[str | None, bool | None]]:
        """Return for names in a folder the layer they come from, and whether its parent has the name, too.

        Goes from copy to copy as long as they are the same; gives up, with None, when that takes more looks than the
        budget allows.
        """
        found: dict[str, tuple[str | None, bool | None]] = {}
        layer, left = self.layer, dict(names)
        for index, (older, _) in enumerate(self._older, 1):
            if budget is not None:
                budget -= len(left)
                if budget < 0:
                    return {**found, **dict.fromkeys(left, (None, None))}
            before = self._look(Place(index, folder.strip("/")), left)
            for name, status in before.items():
                if status is None or status_differs(status, left[name]):
                    found[name] = (layer, status is not None)
                    del left[name]
            if not left:
                break
            layer = older
        return {**found, **dict.fromkeys(left, (layer, False))}

    def _look(self, folder: Place, names: Iterable[str]) -> dict[str, os.stat_result | None]:
        """Return the status of names in one folder of one layer's copy."""
        found: dict[str, os.stat_result | None] = dict.fromkeys(names)
        with suppress(FileNotFoundError, NotADirectoryError), self._copies.opened(folder) as descriptor:
            for name in found:
                with suppress(FileNotFoundError):
                    found[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        return found

    def _history(self, names: Sequence[str]) -> Iterator[tuple[str, os.stat_result | None, bool]]:
        """Yield what each layer says of a path, the lowest first: its status there, or whether it hides what is below.

        What is missing in a full copy is hidden.
        """
        if self.union.marks is None:
            folder, name = "/".join(names[:-1]), names[-1] if names else "."
            for index in reversed(range(len(self._copies.folders))):
                layer = self._older[index - 1][0] if index else self.layer
                yield layer, self._look(Place(index, folder), [name])[name], True
            return
        for index in reversed(range(len(self._ids))):
            hit = self.union.probe(Place(index, ""), names or ["."], more=True)
            if hit.status is not None and is_whiteout(hit.status):
                yield self._ids[index], None, True
            else:
                yield self._ids[index], hit.status, hit.stop


def _size(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else 0


def _kind(status: os.stat_result) -> FileKind:
    return _KINDS[stat.S_IFMT(status.st_mode)]
