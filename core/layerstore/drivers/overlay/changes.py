"""The changes of a layer, read from its own folder. The cost depends on the changes, not on the layers below.

The rules are those of containers/storage's OverlayChanges (pkg/archive: changes.go, changes_linux.go):

- A name is looked up in the layers below one by one. Symbolic links are followed, and opaque folders there are ignored.
- A folder with the size, mode and time of the one below is a change only if something was added or deleted in it.
  Modified files do not count.
- Opaque folders are deletions.

There is one difference. If a layer below has a file where an upper one has a folder, containers/storage fails. Here the
file hides what is below it.
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
    """Return how the layer with files in `upper` differs from the folders `lowers`, the topmost first.

    The changes are sorted by the bytes of their paths. All have size and mode, except deletions of files that are not
    below.

    Raises:
        NotSupported: A folder was moved by an overlay with `redirect_dir`. The error names it.
        Cancelled: `should_stop` returned True.
        OSError: A folder cannot be read.
    """
    with FolderStack(upper) as stack:
        return _UpperWalk(stack, marks, should_stop).run(list(lowers))


def look(folders: Sequence[str], name: str) -> os.stat_result | None:
    """Return the status of `name` in the first folder that has it, None if none has or a whiteout hides it."""
    for folder in folders:
        found = _status(f"{folder}/{name}")
        if found is not None:
            return None if is_whiteout(found) else found
    return None


def inside(folders: Sequence[str], name: str) -> list[str]:
    """Return the subfolders called `name` of these folders, down to one that something else hides."""
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
    """Return whether an open folder of a layer hides what is below it, and refuse one that was moved.

    Raises:
        NotSupported: The folder has another name in the layers below (redirect_dir).
    """
    names = xattrs.names(folder)
    if not names:
        return False
    if marks.redirect in names:
        raise NotSupported(
            f"{path!r} was moved by an overlay mounted with redirect_dir=on, so its content is not in the layer alone: "
            "mount the layer, copy the folder there, and delete the original"
        )
    return marks.is_opaque(folder, names)


class _Level(Level):
    """A folder on the path of the walk."""

    __slots__ = ("below", "pending")

    def __init__(self, path: str, mode: int, below: list[str], *, recorded: bool) -> None:
        super().__init__(path, mode, recorded=recorded)
        self.below = below
        """The same folder in the layers below, the topmost first."""
        self.pending: list[tuple[str, os.stat_result]] = []


class _UpperWalk:
    """The state of one `upper_changes`, which walks without recursion."""

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
        """Record the changed files of the current folder, and queue its subfolders."""
        with os.scandir(self._stack.fd) as entries:
            listed = list(entries)
        below = level.below
        for entry in listed:
            name = entry.name
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # a running container deleted it
            mode = found.st_mode
            if stat.S_ISDIR(mode):
                level.pending.append((name, found))
            elif found.st_rdev == 0 and stat.S_ISCHR(mode):
                self._deleted(level, name)
            else:
                kind = ChangeKind.MODIFY if below and look(below, name) is not None else ChangeKind.ADD
                self._record(Change(f"{level.path}/{name}", kind, length(found), mode))

    def _enter(self, name: str, found: os.stat_result) -> None:
        """Enter a subfolder, and record it if it changed."""
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
        """Record a deletion, with the size and mode of the deleted file."""
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
        """Record a change. Unless it is a modification, the folders above it count as modified too."""
        self._changes.append(change)
        if change.kind is ChangeKind.MODIFY:
            return
        # A recorded folder can be in one that is not recorded.
        for above in self._levels:
            above.record(self._changes)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself exists all the same
            return os.lstat(path)
        raise


def _folder_differs(before: os.stat_result, now: os.stat_result) -> bool:
    return (
        before.st_size != now.st_size
        or before.st_mode != now.st_mode
        or not same_time(before.st_mtime_ns, now.st_mtime_ns)
    )
