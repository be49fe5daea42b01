"""The file system of a layer as its container would see it, read folder by folder and without a mount.

The cost of a lookup depends on the folders that it reads, not on the size of the layer. See `union` for how layers are
combined.
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
from layerstore.drivers.base import Stack
from layerstore.errors import LayerStoreError
from layerstore.idmap import NO_MAPS, IDMappings, Owner, Unmapped
from layerstore.linux.folders import check_stop
from layerstore.model import ChangeKind, Progress, ShouldStop

_LOOKS = 30_000
"""The number of files of earlier layers that a listing may stat (some 60 ms) to find the layer of each vfs file."""

OnError = Callable[["FileEntry", LayerStoreError], None]
"""Called with a folder that cannot be read, and the error."""


class FileKind(Enum):
    """The type of a file."""

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

    `path` starts with "/"; bytes that are not UTF-8 are surrogate-escaped. `mode` is st_mode. `uid` and `gid` are
    mapped by the layer's ID maps; an ID without a mapping is that on disk. `size` is the length in bytes (0 for
    everything but files and symbolic links). `target` is that of a symbolic link, `device` are the numbers (major,
    minor) of a device. `links` is the number of hard links in the layer that has the file.

    `layer` is the ID of the topmost layer that has the file, or for a folder of the topmost layer that has something in
    it or changed it. `below` is true if a lower layer has the name too. Both can be None for vfs, where finding out
    may take long; `LayerFiles.stat` always does.
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
        """The last part of the path, or "/" for the root."""
        return self.path.rpartition("/")[2] or "/"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A layer that adds, modifies or deletes a path. `size` and `mode` are as in `FileEntry`, or 0 for a deletion."""

    layer: str
    kind: ChangeKind
    size: int = 0
    mode: int = 0


class LayerFiles:
    """The files of one layer. It is a snapshot of the chain of layers, not of their files.

    Nothing is locked, kept open or cached, so every call sees the current files. If the layer has been deleted, it
    raises an error. The methods are thread-safe. Paths are resolved as by a process with this root: symbolic links and
    ".." never lead out of it.

    With overlay, a file comes from the layer whose folder has it. With vfs every layer is a full copy, and a file comes
    from the last layer where it differs from the parent's copy in mode, owner, device, size or time. Attributes and
    content are not compared.

    Every method raises `NoSuchFile`, `StoreAccess` or `UnusableFile`, which name the path and the layer.
    """

    def __init__(
        self,
        stack: Stack,
        older: Sequence[tuple[str, str]] = (),
        *,
        maps: IDMappings = NO_MAPS,
        may_chmod: bool = False,
    ) -> None:
        """Create a view of the layer of `stack`, whose owners are mapped by `maps`.

        If each layer has a full copy, `older` are the IDs and folders of its parents, the nearest first. With
        `may_chmod`, a file that this user owns but may not read is made readable while it is opened.
        """
        self.layer = stack.folders[0][0]
        self.stack = stack
        self.maps = maps
        self.union = Union(stack, may_chmod=may_chmod)
        self._ids = [layer for layer, _ in stack.folders]
        self._older = older if stack.whiteouts is None else ()
        self._copies = Union(Stack((*stack.folders, *self._older)))
        self._may_chmod = may_chmod

    def list(self, path: str = "/") -> Sequence[FileEntry]:
        """Return the content of a folder: folders first, sorted by the bytes of the names. Follows a symbolic link."""
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
        """Return one file. If the path is a symbolic link, return the link, or with `follow` its target."""
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
        """Return up to `size` bytes of a regular file from `offset` on, b"" at its end. Follows symbolic links.

        Devices, FIFOs and sockets are never opened.
        """
        with self.trouble(path):
            node = self.union.resolve(path)
            if not stat.S_ISREG(node.status.st_mode):
                raise OSError(errno.EINVAL, f"it is a {_kind(node.status).value}, and only regular files have content")
            descriptor = self.union.open(node)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)

    def occurrences(self, path: str) -> Sequence[Occurrence]:
        """Return the layers that add, modify or delete a path, the lowest first.

        Symbolic links are not followed. A layer with a link or a file in place of one of the path's folders deletes it.
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
                elif self.union.whiteouts is not None or status_differs(there, status):
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
        """Yield everything below a folder, each folder before its content, in the order of `list`.

        `progress` gets the number of files so far, not of bytes. If a folder cannot be read, the walk raises its error,
        or passes it to `on_error` and goes on. With vfs, `layer` and `below` are None.

        Raises:
            Cancelled: `should_stop` returned True.
        """
        with self.trouble(path):
            top = self.union.resolve(path)
            levels = [(top, iter(self._children(top)))]
        done = 0
        while levels:
            check_stop(should_stop, "searching the files")
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
        """Yield the files of `walk` whose name, or path if `text` has a "/", contains the text. Ignores case."""
        wanted = text.casefold()
        for entry in self.walk(path, progress=progress, should_stop=should_stop, on_error=on_error):
            if wanted in (entry.path if "/" in wanted else entry.name).casefold():
                yield entry

    @contextmanager
    def kept(self) -> Iterator[LayerFiles]:
        """Yield a view for many lookups in a row by one thread. It keeps folders open until the block ends."""
        files = LayerFiles(self.stack, self._older, may_chmod=self._may_chmod)
        files.union = union = KeptUnion(self.stack, may_chmod=self._may_chmod)
        try:
            yield files
        finally:
            union.close()

    def trouble(self, path: str) -> AbstractContextManager[None]:
        """Turn an `OSError` of the block into an error that names the path and the layer."""
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
        """Return for names in a folder the layer that they come from, and whether its parent has the name too.

        Compares one copy after the other while they are the same. Both are None for names that need more stats than
        `budget` allows.
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
        """Return the status of names in a folder of one layer's copy."""
        found: dict[str, os.stat_result | None] = dict.fromkeys(names)
        with suppress(FileNotFoundError, NotADirectoryError), self._copies.opened(folder) as descriptor:
            for name in found:
                with suppress(FileNotFoundError):
                    found[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        return found

    def _history(self, names: Sequence[str]) -> Iterator[tuple[str, os.stat_result | None, bool]]:
        """Yield for each layer, the lowest first, the status of a path or None, and whether it hides what is below.

        A full copy hides everything.
        """
        whiteouts = self.union.whiteouts
        if whiteouts is None:
            folder, name = "/".join(names[:-1]), names[-1] if names else "."
            for index in reversed(range(len(self._copies.folders))):
                layer = self._older[index - 1][0] if index else self.layer
                yield layer, self._look(Place(index, folder), [name])[name], True
            return
        for index in reversed(range(len(self._ids))):
            hit = self.union.probe(Place(index, ""), names or ["."], more=True)
            if hit.status is not None and whiteouts.is_whiteout(hit.status):
                yield self._ids[index], None, True
            else:
                yield self._ids[index], hit.status, hit.stop


def _size(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else 0


def _kind(status: os.stat_result) -> FileKind:
    return _KINDS[stat.S_IFMT(status.st_mode)]
