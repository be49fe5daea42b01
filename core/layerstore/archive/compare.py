"""Find the differences between two folder trees by their metadata.

The rules are those of containers/storage (pkg/archive: changes.go, changes_linux.go, changes_unix.go). A file counts as
modified if its mode, owner, device number, modification time, size (except for folders), link target or one of some
extended attributes differs. The content is not compared. A file with the same inode in both trees is unchanged, and a
folder is modified if anything in it is. If the two layers have different ID maps, owners are compared as containers see
them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from layerstore.archive.root import Root
from layerstore.errors import Cancelled
from layerstore.idmap import NO_MAPS, IDMappings, Owner, Unmapped, need_true_owners
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import Change, ChangeKind, ShouldStop

_SECOND = 1_000_000_000

Listing = dict[str, "os.DirEntry[str]"]


def compare_trees(
    new_root: str | os.PathLike[str],
    old_root: str | os.PathLike[str] | None,
    *,
    new_maps: IDMappings = NO_MAPS,
    old_maps: IDMappings = NO_MAPS,
    should_stop: ShouldStop | None = None,
) -> list[Change]:
    """Return how the tree `new_root` differs from `old_root`, sorted by the bytes of the paths.

    If `old_root` is None, everything is new. `new_maps` and `old_maps` give the owners that containers see; an owner
    that is not mapped is compared as it is on disk. Every change has its size and mode. Symbolic links never lead out
    of either tree, and a file that disappears during the comparison counts as absent.

    Raises:
        Cancelled: `should_stop` returned True.
        NotSupported: The maps differ, but this user cannot see the host IDs they refer to.
        OSError: A folder or its attributes cannot be read.
    """
    with FolderStack(new_root) as new:
        if old_root is None:
            return _Comparison(new, None, None, should_stop).run()
        owners = None
        if new_maps != old_maps:
            need_true_owners(new_maps, old_maps)
            owners = _Owners(old_maps, new_maps)
        with FolderStack(old_root) as old:
            return _Comparison(new, old, owners, should_stop).run()


def changes_size(
    new_root: str | os.PathLike[str], changes: Iterable[Change], *, should_stop: ShouldStop | None = None
) -> int:
    """Return the size in bytes of the files that `changes` adds or modifies, counting hard links once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    with Root(new_root) as tree:
        for change in changes:
            check_stop(should_stop, "measuring a layer")
            if change.kind is ChangeKind.DELETE or stat.S_ISDIR(change.mode):
                continue
            folder, base = tree.parent(os.fsencode(change.path))
            found = os.stat(base, dir_fd=folder, follow_symlinks=False)
            identity = (found.st_dev, found.st_ino)
            if stat.S_ISDIR(found.st_mode) or identity in seen:
                continue
            if found.st_nlink > 1:
                seen.add(identity)
            total += found.st_size
    return total


class _Owners:
    """The owners in two layers with different maps, compared like statDifferent in changes_unix.go."""

    def __init__(self, old: IDMappings, new: IDMappings) -> None:
        self._old = old
        self._new = new

    def differ(self, before: Owner, now: Owner) -> bool:
        try:
            now = self._new.to_container(*now)
            before = self._old.to_container(*before)
        except Unmapped:
            pass
        return before != now


class Level:
    """A folder on the path from the root to where a comparison currently is."""

    __slots__ = ("mode", "path", "recorded")

    def __init__(self, path: str, mode: int, *, recorded: bool) -> None:
        self.path = path
        self.mode = mode
        self.recorded = recorded
        """True if the folder itself is among the changes, and for the root, which never is."""

    def record(self, changes: list[Change]) -> None:
        """Add the folder to the changes as modified, unless it is there already."""
        if not self.recorded:
            self.recorded = True
            changes.append(Change(self.path, ChangeKind.MODIFY, 0, self.mode))


class _Level(Level):
    __slots__ = ("has_old", "pending")

    def __init__(self, path: str, mode: int, *, has_old: bool, recorded: bool) -> None:
        super().__init__(path, mode, recorded=recorded)
        self.has_old = has_old
        self.pending: list[tuple[str, _Level]] = []
        """The subfolders still to visit."""


class _Comparison:
    """The state of one `compare_trees`, which walks both trees at once and without recursion."""

    def __init__(
        self, new: FolderStack, old: FolderStack | None, owners: _Owners | None, should_stop: ShouldStop | None
    ) -> None:
        self._new = new
        self._old = old
        self._owners = owners
        self._should_stop = should_stop
        self._changes: list[Change] = []
        self._levels = [_Level("", 0, has_old=old is not None, recorded=True)]

    def run(self) -> list[Change]:
        levels = self._levels
        self._scan(levels[0])
        while levels:
            if self._should_stop is not None and self._should_stop():
                raise Cancelled("comparing layers")
            level = levels[-1]
            if level.pending:
                self._enter(*level.pending.pop())
                continue
            levels.pop()
            if levels:
                self._new.pop()
                if level.has_old and self._old is not None:
                    self._old.pop()
        self._changes.sort(key=by_path)
        return self._changes

    def _enter(self, name: str, level: _Level) -> None:
        self._new.push(name)
        if level.has_old and self._old is not None:
            self._old.push(name)
        self._levels.append(level)
        self._scan(level)

    def _scan(self, level: _Level) -> None:
        """Compare the contents of a folder in both trees and collect the subfolders to visit."""
        new_fd = self._new.fd
        new = _listing(new_fd)
        if not level.has_old or self._old is None:
            for name, entry in new.items():
                self._added(level, name, entry)
            return
        old_fd = self._old.fd
        old = _listing(old_fd)
        same_device = os.fstat(new_fd).st_dev == os.fstat(old_fd).st_dev
        new_at, old_at = f"/proc/self/fd/{new_fd}/", f"/proc/self/fd/{old_fd}/"
        for name, entry in new.items():
            before = old.pop(name, None)
            if before is None:
                self._added(level, name, entry)
            elif not (same_device and before.inode() == entry.inode()):
                self._both(level, name, (entry, new_at), (before, old_at))
        for name, entry in old.items():
            self._deleted(level, f"{level.path}/{name}", entry)

    def _both(
        self, level: _Level, name: str, new: tuple[os.DirEntry[str], str], old: tuple[os.DirEntry[str], str]
    ) -> None:
        """Compare a name that exists in both trees."""
        now, before = _status(new[0]), _status(old[0])
        if now is None:
            if before is not None:
                self._deleted(level, f"{level.path}/{name}", old[0])
            return
        if before is None:
            self._added(level, name, new[0])
            return
        differs = status_differs(before, now, self._owners) or _rest_differs(old[1] + name, new[1] + name, now.st_mode)
        path = f"{level.path}/{name}"
        if differs:
            self._record(level, path, ChangeKind.MODIFY, now)
        if stat.S_ISDIR(now.st_mode):
            has_old = stat.S_ISDIR(before.st_mode)
            level.pending.append((name, _Level(path, now.st_mode, has_old=has_old, recorded=differs)))
        elif stat.S_ISDIR(before.st_mode) and now.st_mode & stat.S_IFDIR:
            self._deleted_inside(level, path, name)

    def _added(self, level: _Level, name: str, entry: os.DirEntry[str]) -> None:
        found = _status(entry)
        if found is None:
            return
        path = f"{level.path}/{name}"
        self._record(level, path, ChangeKind.ADD, found)
        if stat.S_ISDIR(found.st_mode):
            level.pending.append((name, _Level(path, found.st_mode, has_old=False, recorded=True)))

    def _deleted(self, level: _Level, path: str, entry: os.DirEntry[str]) -> None:
        found = _status(entry)
        if found is not None:
            self._record(level, path, ChangeKind.DELETE, found)

    def _deleted_inside(self, level: _Level, path: str, name: str) -> None:
        """Record the deletion of everything in a folder that has become a block device or a socket.

        containers/storage tests a single bit of the mode. Those types share it with folders, so it treats them alike.
        """
        assert self._old is not None
        self._old.push(name)
        try:
            for child, entry in _listing(self._old.fd).items():
                self._deleted(level, f"{path}/{child}", entry)
        finally:
            self._old.pop()

    def _record(self, level: _Level, path: str, kind: ChangeKind, found: os.stat_result) -> None:
        """Add a change, and mark the folders above it as modified."""
        mode = found.st_mode
        size = found.st_size if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else 0  # `length`, inlined for speed
        self._changes.append(Change(path, kind, size, mode))
        if level.recorded:
            return
        for above in reversed(self._levels):
            if above.recorded:
                break
            above.record(self._changes)


def by_path(change: Change) -> bytes:
    """Return the key that sorts changes by the bytes of their paths."""
    return os.fsencode(change.path)


def length(status: os.stat_result) -> int:
    """Return the size that a `Change` reports: that of a regular file or symbolic link, and 0 for anything else."""
    mode = status.st_mode
    return status.st_size if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else 0


def _listing(folder: int) -> Listing:
    with os.scandir(folder) as entries:
        return {entry.name: entry for entry in entries}


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def status_differs(before: os.stat_result, now: os.stat_result, owners: _Owners | None = None) -> bool:
    """Return whether two statuses of a file differ in a way that counts as a modification."""
    mode = before.st_mode
    return (
        mode != now.st_mode
        or _owner_differs(before, now, owners)
        or before.st_rdev != now.st_rdev
        or (before.st_mtime_ns != now.st_mtime_ns and not same_time(before.st_mtime_ns, now.st_mtime_ns))
        or (before.st_size != now.st_size and not stat.S_ISDIR(mode))
    )


def _owner_differs(before: os.stat_result, now: os.stat_result, owners: _Owners | None) -> bool:
    if owners is not None:
        return owners.differ((before.st_uid, before.st_gid), (now.st_uid, now.st_gid))
    return before.st_uid != now.st_uid or before.st_gid != now.st_gid


def same_time(one: int, other: int) -> bool:
    """Return whether two times in ns are equal, ignoring the fraction if one of them has none, as in most tars."""
    seconds, rest = divmod(one, _SECOND)
    other_seconds, other_rest = divmod(other, _SECOND)
    return seconds == other_seconds and (rest in {0, other_rest} or other_rest == 0)


def _rest_differs(before: str, now: str, mode: int) -> bool:
    """Compare what a status does not contain: link targets and extended attributes."""
    try:
        if stat.S_ISLNK(mode) and os.readlink(before) != os.readlink(now):
            return True
        names = xattrs.names(before), xattrs.names(now)
        if not (names[0] or names[1]):
            return False
        return xattrs.read(before, xattrs.is_compared) != xattrs.read(now, xattrs.is_compared)
    except FileNotFoundError:
        return True
