"""Copying a tree on one host: everything that a file is, at the least cost that the file system offers.

Blocks are shared where the file system can (FICLONE), else copied inside the kernel; holes stay holes, names of one
inode stay names of one inode, and times are kept to the nanosecond.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat

from layerstore.archive import xattrs
from layerstore.archive.folders import READ, WRITE, FolderStack, check_stop, chmod_at, open_regular
from layerstore.archive.paths import Root
from layerstore.model import ShouldStop

logger = logging.getLogger(__name__)

_FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 16 << 20
_SMALL = 128 << 10
_BLOCK = 512
_CANNOT = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EBADF, errno.EPERM})


def copy_tree(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, should_stop: ShouldStop | None = None
) -> None:
    """Copy all that is in the folder `source` into the empty folder `target`, and the folder's own metadata.

    Owners and devices are copied as root only; sockets are copied, too. On an error the copy is left as far as it got.

    Raises:
        Cancelled: `should_stop` said so.
        OSError: something cannot be read or written; it is named.
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
        self._can_clone = self._can_copy_range = True
        self._first_names: dict[tuple[int, int], bytes] = {}
        """Device and inode of a file with several names -> the first of them that was copied."""

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
            self._finish_folder(statuses.pop())
            pending.pop()
            prefixes.pop()
            if pending:
                self._old.pop()
                self._new.pop()

    def _fill(self, prefix: str) -> list[tuple[str, os.stat_result]]:
        """Copy what is no folder from the one folder to the other; return the folders that are in it."""
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
        """Copy a file that is no folder; return whether there is a copy now."""
        if stat.S_ISREG(found.st_mode):
            self._regular(name, found)
            return True
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=self._old.fd), name, dir_fd=self._new.fd)
        else:
            try:
                os.mknod(name, found.st_mode, found.st_rdev, dir_fd=self._new.fd)
            except PermissionError as error:
                if error.errno != errno.EPERM or self._is_root:
                    raise
                logger.warning("device %r was left out: this user may not make it", name)
                return False
        self._finish_by_name(name, found)
        return True

    def _regular(self, name: str, found: os.stat_result) -> None:
        mode = stat.S_IMODE(found.st_mode)
        source = open_regular(self._old.fd, name, may_chmod=not self._is_root, found=found)
        try:
            target = os.open(name, _NEW_FILE, mode, dir_fd=self._new.fd)
            try:
                if found.st_size:
                    self._content(source, target, found)
                self._finish(source, target, found)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _content(self, source: int, target: int, found: os.stat_result) -> None:
        size = found.st_size
        if self._can_clone:
            try:
                fcntl.ioctl(target, _FICLONE, source)
                return
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._can_clone = False
        if found.st_blocks * _BLOCK < size:
            self._sparse(source, target, size)
        elif size <= _SMALL:
            _write(target, os.read(source, size))
        else:
            self._range(source, target, 0, size)

    def _sparse(self, source: int, target: int, size: int) -> None:
        """Copy the regions that hold data and leave the rest holes."""
        end = 0
        while end < size:
            try:
                start = os.lseek(source, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            end = os.lseek(source, start, os.SEEK_HOLE)
            self._range(source, target, start, end - start)
        os.ftruncate(target, size)

    def _range(self, source: int, target: int, offset: int, length: int) -> None:
        """Copy bytes at `offset` of the one file to the same place in the other."""
        end = offset + length
        while offset < end:
            check_stop(self._should_stop, "copying a layer")
            count = min(end - offset, _CHUNK)
            done = self._kernel_copy(source, target, offset, count) if self._can_copy_range else 0
            if not self._can_copy_range:
                done = os.pwrite(target, os.pread(source, min(count, 1 << 20), offset), offset)
            if done == 0:
                raise OSError(errno.ESTALE, "the file shrank while it was copied")
            offset += done

    def _kernel_copy(self, source: int, target: int, offset: int, count: int) -> int:
        try:
            return os.copy_file_range(source, target, count, offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self._can_copy_range = False
            return 0

    def _finish(self, source: int, target: int, found: os.stat_result) -> None:
        """Give a new file or folder, open as `target`, the owner, mode, attributes and times of the old one."""
        made = os.fstat(target)
        mode = stat.S_IMODE(found.st_mode)
        now = stat.S_IMODE(made.st_mode)
        if self._is_root and (made.st_uid != found.st_uid or made.st_gid != found.st_gid):
            os.fchown(target, found.st_uid, found.st_gid)
            now = -1 if mode & (stat.S_ISUID | stat.S_ISGID) else now
        if xattrs.names(source):
            if not self._is_root:
                os.fchmod(target, mode | stat.S_IWUSR)
                now = mode | stat.S_IWUSR
            for name, value in xattrs.read(source, xattrs.is_copied).items():
                xattrs.write(target, name, value)
        if now != mode:
            os.fchmod(target, mode)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _finish_folder(self, found: os.stat_result) -> None:
        self._finish(self._old.fd, self._new.fd, found)

    def _finish_by_name(self, name: str, found: os.stat_result) -> None:
        folder = self._new.fd
        made = os.stat(name, dir_fd=folder, follow_symlinks=False)
        is_link = stat.S_ISLNK(found.st_mode)
        chowned = self._is_root and (made.st_uid != found.st_uid or made.st_gid != found.st_gid)
        if chowned:
            os.chown(name, found.st_uid, found.st_gid, dir_fd=folder, follow_symlinks=False)
        if not is_link and (chowned or made.st_mode != found.st_mode):
            chmod_at(folder, name, stat.S_IMODE(found.st_mode))
        source = xattrs.path_at(self._old.fd, name)
        for key, value in xattrs.read(source, xattrs.is_copied).items():
            xattrs.write(xattrs.path_at(folder, name), key, value)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=folder, follow_symlinks=False)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
