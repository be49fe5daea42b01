"""Copy a tree on one host, with all attributes, holes and hard links."""

from __future__ import annotations

import errno
import logging
import os
import stat

from layerstore.archive.root import Root
from layerstore.linux.copyfile import FileCopier
from layerstore.linux.folders import READ, WRITE, FolderStack, check_stop, open_regular
from layerstore.model import ShouldStop

logger = logging.getLogger(__name__)


def copy_tree(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, should_stop: ShouldStop | None = None
) -> None:
    """Copy the content and the metadata of the folder `source` to the empty folder `target`.

    Owners and devices are copied only as root. Sockets are copied too. After an error, `target` holds a partial copy.

    Raises:
        Cancelled: `should_stop` returned True.
        OSError: A file cannot be read or written. The error names it.
    """
    with FolderStack(source, needed=READ) as old, FolderStack(target, needed=WRITE) as new, Root(target) as links:
        _Copy(old, new, links, should_stop).run()


class _Copy:
    """The state of one `copy_tree`."""

    def __init__(self, old: FolderStack, new: FolderStack, links: Root, should_stop: ShouldStop | None) -> None:
        self._old = old
        self._new = new
        self._links = links
        self._should_stop = should_stop
        self._is_root = os.geteuid() == 0
        self._files = FileCopier(should_stop, "copying a layer", owners=self._is_root)
        self._first_names: dict[tuple[int, int], bytes] = {}
        """Maps device and inode of a file with hard links to the first of its names that was copied."""

    def run(self) -> None:
        statuses = [os.fstat(self._old.fd)]
        prefixes = [""]
        pending = [self._fill("")]
        while pending:
            check_stop(self._should_stop, "copying a layer")
            if pending[-1]:
                name, found = pending[-1].pop()
                prefixes.append(f"{prefixes[-1]}{name}/")
                self._old.push(name)
                os.mkdir(name, stat.S_IRWXU, dir_fd=self._new.fd)
                self._new.push(name)
                statuses.append(found)
                pending.append(self._fill(prefixes[-1]))
                continue
            self._files.finish(self._old.fd, self._new.fd, statuses.pop())
            pending.pop()
            prefixes.pop()
            if pending:
                self._old.pop()
                self._new.pop()

    def _fill(self, prefix: str) -> list[tuple[str, os.stat_result]]:
        """Copy the files of the current folder, and return its subfolders."""
        folders: list[tuple[str, os.stat_result]] = []
        with os.scandir(self._old.fd) as entries:
            listed = list(entries)
        for entry in listed:
            check_stop(self._should_stop, "copying a layer")
            name = entry.name
            try:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    folders.append((name, found))
                elif found.st_nlink > 1:
                    self._file_with_names(name, prefix, found)
                else:
                    self._file(name, found)
            except OSError as error:
                error.filename = prefix + name
                raise
        return folders

    def _file_with_names(self, name: str, prefix: str, found: os.stat_result) -> None:
        identity = (found.st_dev, found.st_ino)
        first = self._first_names.get(identity)
        if first is None:
            if self._file(name, found):
                self._first_names[identity] = os.fsencode(prefix + name)
            return
        folder, base = self._links.parent(first)
        os.link(base, name, src_dir_fd=folder, dst_dir_fd=self._new.fd, follow_symlinks=False)

    def _file(self, name: str, found: os.stat_result) -> bool:
        """Copy a file that is not a folder, and return whether it was copied."""
        if stat.S_ISREG(found.st_mode):
            self._regular(name, found)
            return True
        try:
            self._files.special((self._old.fd, name), self._new.fd, name, found)
        except PermissionError as error:
            is_device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
            if error.errno != errno.EPERM or self._is_root or not is_device:
                raise
            logger.warning("skipped device %r: this user may not create devices", name)
            return False
        return True

    def _regular(self, name: str, found: os.stat_result) -> None:
        source = open_regular(self._old.fd, name, may_chmod=not self._is_root, found=found)
        try:
            self._files.regular(source, self._new.fd, name, found)
        finally:
            os.close(source)
