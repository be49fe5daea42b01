"""Wasted bytes: files in the layers of a chain that a later layer replaces or deletes.

All layers are walked together, folder by folder, so memory depends on the waste and not on the number of files. With
overlay, each file of each layer costs one stat. With vfs, where every layer is a full copy of its parent, this means
the number of layers times the number of files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from layerstore.archive.compare import status_differs
from layerstore.content.union import Place, Union, trouble
from layerstore.drivers.base import Stack, WhiteoutFormat
from layerstore.errors import NoSuchFile, NotSupported
from layerstore.linux import xattrs
from layerstore.linux.folders import check_stop
from layerstore.model import ChangeKind, Progress, ShouldStop

_WHITEOUT = os.stat_result((stat.S_IFCHR, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"st_rdev": 0})
"""The status of a whiteout device. It stands for a whiteout that is marked by its name."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a layer does to a path. `size` is that of the regular file that it adds or replaces, else 0."""

    layer: str
    kind: ChangeKind
    size: int = 0


@dataclass(frozen=True, slots=True)
class WasteEntry:
    """A path with wasted bytes. `copies` are what the layers did to it, the lowest layer first."""

    path: str
    wasted: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class LayerWaste:
    """The waste of one layer.

    `total` are its bytes, `wasted` those that are not visible in the top layer, and `caused` the bytes of lower layers
    that this layer was the first to replace or delete.
    """

    layer: str
    total: int
    wasted: int
    caused: int


@dataclass(frozen=True, slots=True)
class WasteReport:
    """The waste of a chain: `entries` with the largest waste first, `layers` with the lowest layer first."""

    total: int
    wasted: int
    entries: tuple[WasteEntry, ...]
    layers: tuple[LayerWaste, ...]

    @property
    def efficiency(self) -> float:
        """The share of the bytes that are visible in the top layer: 1 - wasted / total, or 1 if there are no bytes."""
        return 1 - self.wasted / self.total if self.total else 1.0


def waste(
    stack: Stack,
    older: Sequence[tuple[str, str]] = (),
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> WasteReport:
    """Return the waste of the layer of `stack` and its parents.

    If each layer has a full copy, `older` are the IDs and folders of the parents, the nearest first.

    Bytes are the lengths of regular files. Hard links in one layer count once, and as wasted only if none of them is
    visible. Of N copies of a path, N - 1 are wasted, or all N if it is deleted in the end. A file whose mode or owner
    alone changed is a copy too: overlay copies it whole, and so does the tar of the layer. Files deleted with their
    folder count one by one.

    With vfs, the files of a layer are those that differ from the parent's copy in mode, owner, size or time. This is
    the size of its diff, not its size on disk. Attributes are not compared, and a new hard link to a parent's file
    counts as a copy.

    `progress` gets the bytes found so far.

    Raises:
        StoreAccess, UnusableFile: A folder cannot be read.
        NotSupported: A file or folder was moved by an overlay with redirect_dir or metacopy. The error names it.
        Cancelled: `should_stop` returned True.
    """
    walk = _CopiesWalk(stack, older) if stack.whiteouts is None else _DiffsWalk(stack, stack.whiteouts)
    return walk.run(progress, should_stop)


class _Found(NamedTuple):
    """A name in the folder of one layer. `depth` counts from the top. `hidden` is the depth that hides it, or -1."""

    depth: int
    status: os.stat_result
    hidden: int


@dataclass(slots=True)
class _Copy:
    """A file in one layer."""

    depth: int
    size: int
    hidden: int
    inode: tuple[int, int] | None = None
    """Depth and inode number of a file with hard links."""
    charged: int = 0
    """The number of its bytes that are wasted."""


@dataclass(slots=True)
class _Folder:
    """One folder in several layers: its places, each with the depth that hides it there, or -1."""

    path: str
    places: list[tuple[Place, int]] = field(default_factory=list)


class _Walk:
    """The state of one `waste`. There is a subclass for each way in which layers are kept on disk."""

    def __init__(self, stack: Stack, older: Sequence[tuple[str, str]]) -> None:
        folders = (*stack.folders, *older)
        self._ids = [layer for layer, _ in folders]
        self._union = Union(Stack(folders, stack.whiteouts))
        self._totals = [0] * len(folders)
        self._pending: list[tuple[str, list[_Copy]]] = []
        """Paths with a hidden copy."""
        self._inodes: dict[tuple[int, int], bool] = {}
        """Maps inodes with hard links to whether one of the names is visible."""

    def run(self, progress: Progress | None, should_stop: ShouldStop | None) -> WasteReport:
        """Walk all folders, and return the report."""
        folders = [_Folder("", [(Place(depth, ""), -1) for depth in range(len(self._ids))])]
        while folders:
            check_stop(should_stop, "looking for waste")
            folder = folders.pop()
            for name, found in self._scan(folder).items():
                path = f"{folder.path}/{name}"
                copies, inside = self._judge(path, found)
                self._count(path, copies)
                if inside.places:
                    folders.append(inside)
            if progress is not None:
                progress(sum(self._totals), None)
        return self._report()

    def _judge(self, path: str, found: list[_Found]) -> tuple[list[_Copy], _Folder]:
        """Return the copies of a name, found in these layers from the top, and the folders to walk next."""
        raise NotImplementedError

    def _scan(self, folder: _Folder) -> dict[str, list[_Found]]:
        """Return what the layers have in a folder, by name."""
        names: dict[str, list[_Found]] = {}
        for place, hidden in folder.places:
            with self._there(place), self._union.opened(place) as descriptor:
                self._entered(descriptor, place)
                with os.scandir(descriptor) as entries:
                    listed = list(entries)
                prefix = self._union.prefix
                hides = [entry.name for entry in listed if prefix and entry.name.startswith(prefix)]
                for entry in listed:
                    with suppress(FileNotFoundError):
                        if entry.name not in hides:
                            found = _Found(place.depth, entry.stat(follow_symlinks=False), hidden)
                            names.setdefault(entry.name, []).append(found)
                for name in hides:
                    names.setdefault(name.removeprefix(prefix), []).append(_Found(place.depth, _WHITEOUT, hidden))
        return names

    @contextmanager
    def _there(self, place: Place) -> Iterator[None]:
        """Ignore a folder that a running container deletes, but not the deletion of the layer."""
        try:
            with trouble(self._ids[place.depth], self._union.folders[place.depth], f"/{place.path}"):
                yield
        except NoSuchFile:
            return

    def _entered(self, descriptor: int, place: Place) -> None:
        """Check an open folder before it is scanned."""

    def _copy(self, found: _Found, hidden: int) -> _Copy:
        status = found.status
        if not stat.S_ISREG(status.st_mode):
            return _Copy(found.depth, 0, hidden)
        inode = (found.depth, status.st_ino) if status.st_nlink > 1 else None
        return _Copy(found.depth, status.st_size, hidden, inode)

    def _count(self, path: str, copies: list[_Copy]) -> None:
        for copy in copies:
            if copy.inode is None:
                self._totals[copy.depth] += copy.size
                continue
            if copy.inode not in self._inodes:
                self._totals[copy.depth] += copy.size
            self._inodes[copy.inode] = self._inodes.get(copy.inode, False) or copy.hidden < 0
        if any(copy.hidden >= 0 for copy in copies):
            self._pending.append((path, copies))

    def _report(self) -> WasteReport:
        wasted, caused = [0] * len(self._ids), [0] * len(self._ids)
        entries = []
        self._pending.sort(key=lambda item: os.fsencode(item[0]))
        for path, copies in self._pending:
            for copy in copies:
                if copy.hidden < 0 or (copy.inode is not None and self._inodes[copy.inode]):
                    continue
                if copy.inode is not None:
                    self._inodes[copy.inode] = True  # its other names do not count again
                wasted[copy.depth] += copy.size
                caused[copy.hidden] += copy.size
                copy.charged = copy.size
            charged = sum(copy.charged for copy in copies)
            if charged:
                entries.append(WasteEntry(path, charged, tuple(self._story(copies))))
        entries.sort(key=lambda entry: -entry.wasted)
        return WasteReport(sum(self._totals), sum(wasted), tuple(entries), tuple(self._by_layer(wasted, caused)))

    def _by_layer(self, wasted: list[int], caused: list[int]) -> Iterator[LayerWaste]:
        """Yield the waste of each layer, the lowest first. A layer can have several folders."""
        for layer in dict.fromkeys(reversed(self._ids)):
            at = [depth for depth, name in enumerate(self._ids) if name == layer]
            sums = (sum(figures[depth] for depth in at) for figures in (self._totals, wasted, caused))
            yield LayerWaste(layer, *sums)

    def _story(self, copies: list[_Copy]) -> Iterator[Copy]:
        """Yield what each layer did to a path, the lowest layer first."""
        hidden_by = -1
        for copy in sorted(copies, key=lambda copy: -copy.depth):
            if hidden_by > copy.depth:
                yield Copy(self._ids[hidden_by], ChangeKind.DELETE)
            kind = ChangeKind.MODIFY if hidden_by == copy.depth else ChangeKind.ADD
            yield Copy(self._ids[copy.depth], kind, copy.size)
            hidden_by = copy.hidden
        if hidden_by >= 0:
            yield Copy(self._ids[hidden_by], ChangeKind.DELETE)


class _DiffsWalk(_Walk):
    """Layers that hold only what they changed."""

    def __init__(self, stack: Stack, whiteouts: WhiteoutFormat) -> None:
        super().__init__(stack, ())
        self._whiteouts = whiteouts

    def _judge(self, path: str, found: list[_Found]) -> tuple[list[_Copy], _Folder]:
        is_whiteout = self._whiteouts.is_whiteout
        copies: list[_Copy] = []
        inside = _Folder(path)
        cover = above = -1
        """The lowest layer so far that hides everything of this name, and the lowest that has it as a folder."""
        for item in found:
            mode = item.status.st_mode
            place = Place(item.depth, path[1:])
            if is_whiteout(item.status):
                cover = item.depth
            elif stat.S_ISDIR(mode):
                inside.places.append((place, max(cover, item.hidden)))
                above = item.depth
                if item is not found[-1] and self._union.look(place, more=True).stop:
                    cover = item.depth
            else:
                copy = self._copy(item, max(cover, above, item.hidden))
                copies.append(copy)
                if self._holds_content(place, item):
                    cover = item.depth
                else:
                    copy.size = 0
        return copies, inside

    def _entered(self, descriptor: int, place: Place) -> None:
        if place.depth < len(self._ids) - 1:
            self._refuse_moved(f"/{place.path}", moved=self._whiteouts.redirect in xattrs.names(descriptor))

    def _holds_content(self, place: Place, item: _Found) -> bool:
        """Return whether the content of a file is in its own layer."""
        if place.depth == len(self._ids) - 1 or not stat.S_ISREG(item.status.st_mode) or not item.status.st_size:
            return True
        hit = self._union.look(place, more=True)
        self._refuse_moved(f"/{place.path}", moved=bool(hit.redirect))
        return not hit.metacopy

    @staticmethod
    def _refuse_moved(path: str, *, moved: bool) -> None:
        if moved:
            raise NotSupported(
                f"{path!r} was moved by an overlay mounted with redirect_dir=on, so its waste cannot be computed"
            )


class _CopiesWalk(_Walk):
    """Layers that hold full copies. What a layer changed is what differs from the layer below."""

    def _judge(self, path: str, found: list[_Found]) -> tuple[list[_Copy], _Folder]:
        copies: list[_Copy] = []
        inside = _Folder(path)
        by_depth = {item.depth: item for item in found}
        before: os.stat_result | None = None
        """The status of the last copy, None once it is deleted."""
        for depth in reversed(range(len(self._ids))):
            item = by_depth.get(depth)
            if item is not None and stat.S_ISDIR(item.status.st_mode):
                inside.places.append((Place(depth, path[1:]), -1))
                item = None
            if item is not None and before is not None and not status_differs(before, item.status):
                continue
            if before is not None:
                copies[-1].hidden = depth
            if item is not None:
                copies.append(self._copy(item, -1))
            before = None if item is None else item.status
        return copies, inside
