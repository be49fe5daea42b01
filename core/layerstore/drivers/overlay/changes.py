"""What a layer changed, told from its own folder: the cost is that of what changed, not of all there is below.

The rules are those of containers/storage's OverlayChanges (pkg/archive: changes.go, changes_linux.go), with three
things to know about them. A name is looked up in the layers below one by one, its links followed, and their opaque
folders do not count. A folder whose size, mode and time are those of the one below is no change, but becomes one with
something added or deleted in it; a file that is modified in it does not count for that. Folders that hide what is
below are deletions. Where a file below lies in the way of a folder the peer fails; here nothing is seen behind it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from layerstore.archive.compare import Level, by_path, length, same_time
from layerstore.drivers.overlay.whiteouts import Marks, is_whiteout
from layerstore.errors import NotSupported
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import Change, ChangeKind, ShouldStop


def upper_changes(
    upper: str | os.PathLike[str], lowers: Sequence[str], marks: Marks, *, should_stop: ShouldStop | None = None
) -> list[Change]:
    """Return how the layer whose files are in `upper` differs from what is in `lowers`, the topmost of them first.

    Sorted by the paths' bytes. Size and mode of every change are filled in, but for the deletion of what is not below.

    Raises:
        NotSupported: a folder was moved by an overlay with `redirect_dir`; it is named.
        Cancelled: `should_stop` said so.
        OSError: a folder cannot be read.
    """
    with FolderStack(upper) as stack:
        return _UpperWalk(stack, marks, should_stop).run(list(lowers))


def look(folders: Sequence[str], name: str) -> os.stat_result | None:
    """Return the status of `name` in the first of the folders that has it; None if none has, or a whiteout hides it."""
    for folder in folders:
        found = _status(f"{folder}/{name}")
        if found is not None:
            return None if is_whiteout(found) else found
    return None


def inside(folders: Sequence[str], name: str) -> list[str]:
    """Return the folders called `name` in these folders, down to where something else hides the rest."""
    found = []
    for folder in folders:
        path = f"{folder}/{name}"
        status = _status(path)
        if status is None:
            continue
        if not stat.S_ISDIR(status.st_mode):
            break
        found.append(path)
    return found


def refuse_redirect(folder: int, path: str, marks: Marks) -> bool:
    """Look at the marks of an open folder of a layer; return whether it hides what is below.

    Raises:
        NotSupported: what belongs in it lies elsewhere.
    """
    names = xattrs.names(folder)
    if not names:
        return False
    if marks.redirect in names:
        raise NotSupported(
            f"{path!r} was moved by an overlay mounted with redirect_dir=on: what is in it cannot be told from the "
            "layer alone; copy the folder where it is mounted, and delete the old one"
        )
    return marks.is_opaque(folder, names)


class _Level(Level):
    __slots__ = ("below", "pending")

    def __init__(self, path: str, mode: int, below: list[str], *, recorded: bool) -> None:
        super().__init__(path, mode, recorded=recorded)
        self.below = below
        """The same folder in the lower layers, topmost first."""
        self.pending: list[tuple[str, os.stat_result]] = []


class _UpperWalk:
    """The state of one `upper_changes`; it walks without recursion."""

    def __init__(self, stack: FolderStack, marks: Marks, should_stop: ShouldStop | None) -> None:
        self._stack = stack
        self._marks = marks
        self._should_stop = should_stop
        self._changes: list[Change] = []
        self._levels: list[_Level] = []

    def run(self, lowers: list[str]) -> list[Change]:
        levels = self._levels
        levels.append(_Level("", 0, lowers, recorded=True))
        refuse_redirect(self._stack.fd, "/", self._marks)
        self._scan(levels[0])
        while levels:
            check_stop(self._should_stop, "comparing layers")
            if levels[-1].pending:
                self._enter(*levels[-1].pending.pop())
                continue
            levels.pop()
            if levels:
                self._stack.pop()
        self._changes.sort(key=by_path)
        return self._changes

    def _scan(self, level: _Level) -> None:
        """Judge the files of the folder and note the folders to go on with."""
        with os.scandir(self._stack.fd) as entries:
            listed = list(entries)
        below = level.below
        for entry in listed:
            name = entry.name
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # a running container took it away
            mode = found.st_mode
            if stat.S_ISDIR(mode):
                level.pending.append((name, found))
            elif found.st_rdev == 0 and stat.S_ISCHR(mode):
                self._deleted(level, name)
            else:
                kind = ChangeKind.MODIFY if below and look(below, name) is not None else ChangeKind.ADD
                self._record(Change(f"{level.path}/{name}", kind, length(found), mode))

    def _enter(self, name: str, found: os.stat_result) -> None:
        """Judge a folder and go into it."""
        above = self._levels[-1]
        path = f"{above.path}/{name}"
        before = look(above.below, name)
        opaque = refuse_redirect(self._stack.push(name), path, self._marks)
        recorded = True
        if opaque and before is not None:
            self._deleted(above, name)
        elif before is None:
            self._record(Change(path, ChangeKind.ADD, 0, found.st_mode))
        elif not stat.S_ISDIR(before.st_mode) or _folder_differs(before, found):
            self._record(Change(path, ChangeKind.MODIFY, 0, found.st_mode))
        else:
            recorded = False
        level = _Level(path, found.st_mode, inside(above.below, name), recorded=recorded)
        self._levels.append(level)
        self._scan(level)

    def _deleted(self, level: _Level, name: str) -> None:
        """Record a deletion, with the size and the mode of what was there."""
        size: int | None = None
        mode = 0
        for folder in level.below:
            try:
                before = os.lstat(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            if not is_whiteout(before):
                mode, size = before.st_mode, length(before)
            break
        self._record(Change(f"{level.path}/{name}", ChangeKind.DELETE, size, mode))

    def _record(self, change: Change) -> None:
        """Add a change, and for one that is no modification also those of the folders on the way to it."""
        self._changes.append(change)
        if change.kind is ChangeKind.MODIFY:
            return
        # A folder that is recorded, as modified, can be in one that is not.
        for above in self._levels:
            above.record(self._changes)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself, which is there all the same
            return os.lstat(path)
        raise


def _folder_differs(before: os.stat_result, now: os.stat_result) -> bool:
    return (
        before.st_size != now.st_size
        or before.st_mode != now.st_mode
        or not same_time(before.st_mtime_ns, now.st_mtime_ns)
    )
