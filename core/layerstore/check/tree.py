"""A comparison of a layer's folder with the headers of its tar."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from layerstore.archive.entry import TarEntry
from layerstore.archive.root import Root, components
from layerstore.archive.tarsplit.headers import headers
from layerstore.archive.whiteouts import META_PREFIX, OPAQUE, PREFIX
from layerstore.drivers.base import WhiteoutFormat
from layerstore.errors import BadArchive
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import IDMap, ShouldStop

_SECOND = 1_000_000_000
_MODE = 0o7777
_KEPT = 10
_CAPABILITY = "security.capability"
_TYPES = {
    b"0": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_WORDS = {
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What to expect of the files.

    Attributes:
        owners: Whether owners were set, which needs root.
        devices: Whether devices and capabilities were created, which needs root.
        uidmap: The map by which UIDs may have been changed.
        gidmap: The map by which GIDs may have been changed.
        whiteouts: How the layer marks what it hides, or None if it is a full copy.
        below: The folder of the parent's files, if the layer has a copy of them.
        added: Whether to look for files that the tar does not have.
        times: Whether times were kept. containers/storage does not keep all of them when it changes owners.
        may_chmod: See `Root`.
    """

    owners: bool
    devices: bool
    uidmap: tuple[IDMap, ...] = ()
    gidmap: tuple[IDMap, ...] = ()
    whiteouts: WhiteoutFormat | None = None
    below: str | None = None
    added: bool = True
    times: bool = True
    may_chmod: bool = False


@dataclass(slots=True)
class Faults:
    """The number of files with one kind of fault, and the first of these files with the reason for each.

    Files are compared from the end of the tar on, so the first ones are added last.
    """

    count: int = 0
    _last: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    def first(self) -> list[tuple[str, str]]:
        """Paths from the layer's root, each with the reason, or "" if that is obvious."""
        return list(self._last)

    def add(self, path: bytes, reason: str = "") -> None:
        """Count a file."""
        self.count += 1
        self._last.appendleft((f"/{os.fsdecode(path)}", reason))


@dataclass(slots=True)
class TreeFaults:
    """What `compare` found."""

    content: Faults = field(default_factory=Faults)
    added: Faults = field(default_factory=Faults)
    attributes: Faults = field(default_factory=Faults)
    times: Faults = field(default_factory=Faults)


class _Node:
    """What a name should be on disk. Hard links share one node."""

    __slots__ = ("capability", "gid", "linkname", "mode", "mtime", "size", "type", "uid")

    def __init__(self, entry: TarEntry) -> None:
        self.type = _TYPES.get(entry.type, 0)
        self.size = entry.size
        self.linkname = entry.linkname
        self.set(entry)

    def set(self, entry: TarEntry) -> None:
        """Set the attributes to those of an entry. The last hard link of an inode sets them too."""
        self.mode, self.uid, self.gid = entry.mode & _MODE, entry.uid, entry.gid
        self.mtime = entry.mtime_ns // _SECOND
        self.capability = entry.xattrs.get(_CAPABILITY.encode(), b"")


def compare(
    tar_split: str,
    folder: str,
    rules: Rules,
    *,
    damaged: Collection[str] = (),
    should_stop: ShouldStop | None = None,
) -> TreeFaults:
    """Compare the headers of a tar-split with the files below `folder`, without reading the content of files.

    Times are not reported for files with another size, nor for those in `damaged`, whose content is known to be wrong.

    Raises:
        StoreCorrupt, BadArchive: The tar-split is damaged.
        Cancelled: `should_stop` returned True.
        OSError: A folder cannot be read.
    """
    expected = _Expected()
    for entry in headers(tar_split):
        check_stop(should_stop, "checking a layer")
        expected.add(entry)
    comparison = _Comparison(rules, damaged, should_stop)
    with Root(folder, may_chmod=rules.may_chmod) as root:
        for name, node in reversed(expected.nodes.items()):  # of two entries for one file, the later counts
            check_stop(should_stop, "checking a layer")
            comparison.look(root, name, node)
    if rules.added:
        comparison.walk(folder)
    return comparison.faults


class _Expected:
    """The result of unpacking a tar, by path, where None stands for a whiteout."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, _Node | None] = {}
        self._folders: set[bytes] = set()
        """The paths of folders that are not empty."""

    def add(self, entry: TarEntry) -> None:
        """Apply an entry."""
        try:
            parts = components(entry.name)
        except (BadArchive, OSError):
            return
        if not parts or entry.type == b"g":
            return
        base = parts[-1]
        if base == OPAQUE:
            self._put(parts, None)
            return
        if parts[0].startswith(META_PREFIX) or base.startswith(META_PREFIX):
            return
        if base.startswith(PREFIX):
            self._put([*parts[:-1], base[len(PREFIX) :]], None)
            return
        self._put(parts, self._node(entry))

    def _put(self, parts: list[bytes], node: _Node | None) -> None:
        path = b"/".join(parts)
        if path in self._folders and (node is None or node.type != stat.S_IFDIR):
            inside = path + b"/"
            for name in [name for name in self.nodes if name.startswith(inside)]:
                del self.nodes[name]
            self._folders.discard(path)
        self.nodes.pop(path, None)
        self.nodes[path] = node
        folder = path.rpartition(b"/")[0]
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition(b"/")[0]

    def _node(self, entry: TarEntry) -> _Node:
        if entry.type != b"1":
            return _Node(entry)
        target = self.nodes.get(b"/".join(components(entry.linkname)))
        if target is None:
            return _Node(entry)
        target.set(entry)
        return target


class _Comparison:
    def __init__(self, rules: Rules, damaged: Collection[str], should_stop: ShouldStop | None) -> None:
        self.faults = TreeFaults()
        self._damaged = {os.fsencode(path).lstrip(b"/") for path in damaged}
        self._rules = rules
        self._should_stop = should_stop
        self._seen: set[tuple[int, bytes]] = set()
        """The inode of a folder and a name in it, for every path of the tar."""
        self._used: set[int] = set()
        """The inodes of folders that have content in the tar. The folders themselves need not be in the tar."""

    def look(self, root: Root, name: bytes, node: _Node | None) -> None:
        """Compare one name."""
        try:
            folder, base = root.parent(name)
            inode = os.fstat(folder).st_ino
            if (inode, base) in self._seen:
                return
            self._used.add(inode)
            self._seen.add((inode, base))
            found = os.stat(base, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            if node is not None and not (node.type in {stat.S_IFCHR, stat.S_IFBLK} and not self._rules.devices):
                self.faults.content.add(name, "it is missing")
            return
        except BadArchive:
            return
        if node is None or not node.type:
            return  # a whiteout, or a hard link to a file of another layer
        self._compare(name, node, found, folder, base)

    def _compare(self, name: bytes, node: _Node, found: os.stat_result, folder: int, base: bytes) -> None:
        kind = stat.S_IFMT(found.st_mode)
        if kind != node.type:
            now = "a whiteout" if self._is_whiteout(found) else _WORDS.get(kind, "something else")
            self.faults.content.add(name, f"it is now {now} instead of {_WORDS[node.type]}")
            return
        if kind == stat.S_IFREG and found.st_size != node.size:
            self.faults.content.add(name, f"it has {found.st_size:,} bytes instead of {node.size:,}")
            self._damaged.add(name)
        if kind == stat.S_IFLNK and os.readlink(base, dir_fd=folder) != node.linkname:
            self.faults.content.add(name, f"its target was {os.fsdecode(node.linkname)!r}")
            self._damaged.add(name)
        reasons = []
        if node.capability and self._rules.devices and _capability(folder, base) != node.capability:
            reasons.append("its file capabilities changed")
        self._attributes(name, node, found, reasons)

    def _attributes(self, name: bytes, node: _Node, found: os.stat_result, reasons: list[str]) -> None:
        mode = stat.S_IMODE(found.st_mode)
        if node.type != stat.S_IFLNK and mode != node.mode:
            reasons.append(f"mode {mode:04o} instead of {node.mode:04o}")
        if self._rules.owners:
            for word, now, was, maps in (
                ("owner", found.st_uid, node.uid, self._rules.uidmap),
                ("group", found.st_gid, node.gid, self._rules.gidmap),
            ):
                if now not in {was, _mapped(was, maps)}:
                    reasons.append(f"{word} {now} instead of {was}")
        if reasons:
            self.faults.attributes.add(name, "; ".join(reasons))
        if name in self._damaged or not self._rules.times:
            return
        # containers/storage sets times before 1970 to 1970.
        if found.st_mtime_ns // _SECOND not in {node.mtime, max(node.mtime, 0)}:
            self.faults.times.add(name)

    def walk(self, folder: str) -> None:
        """Look for files that the tar does not have. A folder is added only if everything in it is."""
        with FolderStack(folder) as stack:
            levels = [_Level(b"", known=True)]
            self._scan(stack.fd, levels[0])
            while levels:
                check_stop(self._should_stop, "checking a layer")
                level = levels[-1]
                if level.pending:
                    name, known = level.pending.pop()
                    inner = _Level(level.path + name + b"/", known=known)
                    stack.push(name)
                    levels.append(inner)
                    self._scan(stack.fd, inner)
                    continue
                levels.pop()
                if not levels:
                    return
                stack.pop()
                if level.known:
                    levels[-1].known = True
                else:
                    self.faults.added.add(level.path[:-1], "a folder")

    def _scan(self, folder: int, level: _Level) -> None:
        inode = os.fstat(folder).st_ino
        level.known = level.known or inode in self._used
        with os.scandir(folder) as entries:
            listed = list(entries)
        for entry in listed:
            name = os.fsencode(entry.name)
            known = (inode, name) in self._seen or self._inherited(level.path + name)
            if entry.is_dir(follow_symlinks=False):
                level.pending.append((name, known))
            elif not known and not name.startswith(PREFIX):
                self.faults.added.add(level.path + name, self._reason(entry))

    def _reason(self, entry: os.DirEntry[str]) -> str:
        if entry.is_file(follow_symlinks=False) or entry.is_symlink():
            return ""
        return "a whiteout, which hides a file" if self._is_whiteout(entry.stat(follow_symlinks=False)) else ""

    def _is_whiteout(self, found: os.stat_result) -> bool:
        return self._rules.whiteouts is not None and self._rules.whiteouts.is_whiteout(found)

    def _inherited(self, path: bytes) -> bool:
        """Return whether the layer has the name only because it holds a copy of its parent."""
        below = self._rules.below
        return below is not None and os.path.lexists(os.path.join(os.fsencode(below), path))


class _Level:
    """A folder on the path of the walk. `known` is true if the folder belongs there."""

    __slots__ = ("known", "path", "pending")

    def __init__(self, path: bytes, *, known: bool) -> None:
        self.path = path
        self.known = known
        self.pending: list[tuple[bytes, bool]] = []


def _capability(folder: int, base: bytes) -> bytes:
    target = xattrs.path_at(folder, os.fsdecode(base))
    return xattrs.read(target, _CAPABILITY.__eq__).get(_CAPABILITY, b"")


def _mapped(value: int, maps: tuple[IDMap, ...]) -> int:
    """Return the ID on the host to which an ID in a container is mapped."""
    for part in maps:
        if part.container_id <= value < part.container_id + part.size:
            return part.host_id + value - part.container_id
    return value
