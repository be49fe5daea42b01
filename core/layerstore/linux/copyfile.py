"""Copy single files with all their metadata, as cheaply as the file system allows.

The copy shares the blocks of the original if the file system supports it (FICLONE). Otherwise the kernel copies the
bytes. Holes are preserved, and so are times to the nanosecond.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable

from layerstore.linux import xattrs
from layerstore.linux.folders import ShouldStop, check_stop, chmod_at

_FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 16 << 20
_SMALL = 128 << 10
_BLOCK = 512
_CANNOT = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EBADF, errno.EPERM})
_SUID = stat.S_ISUID | stat.S_ISGID


class FileCopier:
    """Copies files into open folders.

    Args:
        should_stop: Polled between pieces of a file.
        what: The operation that a `Cancelled` error names.
        owners: Whether copies get the owners of the originals. This needs root.
        safe_modes: Whether a copy with a different owner loses its set-user-ID and set-group-ID bits.
        keeps: Returns whether to copy an extended attribute.
        copied: Called with the number of bytes in each piece.
    """

    def __init__(
        self,
        should_stop: ShouldStop | None,
        what: str,
        *,
        owners: bool,
        safe_modes: bool = False,
        keeps: Callable[[str], bool] = xattrs.is_copied,
        copied: Callable[[int], None] | None = None,
    ) -> None:
        self._should_stop = should_stop
        self._what = what
        self._owners = owners
        self._safe_modes = safe_modes
        self._keeps = keeps
        self._copied = copied
        self._is_root = os.geteuid() == 0
        self._can_clone = self._can_copy_range = True

    def regular(self, source: int, folder: int, name: str, found: os.stat_result, *, metadata: int = -1) -> None:
        """Copy the open regular file `source`, which has the status `found`, to a new file in an open folder.

        Extended attributes come from the descriptor `metadata`, or from `source` if it is negative.

        Raises:
            Cancelled: `should_stop` returned True. The new file is incomplete.
            OSError: It cannot be read or written, or it shrank (ESTALE).
        """
        target = os.open(name, _NEW_FILE, stat.S_IMODE(found.st_mode) & ~_SUID, dir_fd=folder)
        try:
            if found.st_size:
                self._content(source, target, found)
            self.finish(source if metadata < 0 else metadata, target, found)
        finally:
            os.close(target)

    def special(self, source: tuple[int, str], folder: int, name: str, found: os.stat_result) -> None:
        """Copy a symbolic link, a device, a FIFO or a socket. `source` is its open folder and its name there.

        Raises:
            OSError: This user may not create devices (EPERM), or the copy failed.
        """
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(source[1], dir_fd=source[0]), name, dir_fd=folder)
        else:
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=folder)
        self._finish_by_name(source, folder, name, found)

    def finish(self, source: int, target: int, found: os.stat_result) -> None:
        """Copy the owner, mode, attributes and times of `source` to the new file or folder `target`."""
        made = os.fstat(target)
        mode = self._mode(found, made)
        now = stat.S_IMODE(made.st_mode)
        if self._owners and (made.st_uid != found.st_uid or made.st_gid != found.st_gid):
            os.fchown(target, found.st_uid, found.st_gid)
            now = -1 if mode & _SUID else now
        if xattrs.names(source):
            if not self._is_root:
                os.fchmod(target, mode | stat.S_IWUSR)
                now = mode | stat.S_IWUSR
            for name, value in xattrs.read(source, self._keeps).items():
                xattrs.write(target, name, value)
        if now != mode:
            os.fchmod(target, mode)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _finish_by_name(self, source: tuple[int, str], folder: int, name: str, found: os.stat_result) -> None:
        made = os.stat(name, dir_fd=folder, follow_symlinks=False)
        chowned = self._owners and (made.st_uid != found.st_uid or made.st_gid != found.st_gid)
        mode = self._mode(found, made)
        if chowned:
            os.chown(name, found.st_uid, found.st_gid, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode) and (chowned or stat.S_IMODE(made.st_mode) != mode):
            chmod_at(folder, name, mode)
        for key, value in xattrs.read(xattrs.path_at(*source), self._keeps).items():
            xattrs.write(xattrs.path_at(folder, name), key, value)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=folder, follow_symlinks=False)

    def _mode(self, found: os.stat_result, made: os.stat_result) -> int:
        mode = stat.S_IMODE(found.st_mode)
        if self._safe_modes and not self._owners and not stat.S_ISDIR(found.st_mode):
            if made.st_uid != found.st_uid:
                mode &= ~stat.S_ISUID
            if made.st_gid != found.st_gid:
                mode &= ~stat.S_ISGID
        return mode

    def _content(self, source: int, target: int, found: os.stat_result) -> None:
        size = found.st_size
        if self._can_clone:
            try:
                fcntl.ioctl(target, _FICLONE, source)
                self._tell(size)
                return
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._can_clone = False
        if found.st_blocks * _BLOCK < size:
            self._sparse(source, target, size)
        elif size <= _SMALL:
            _write(target, os.read(source, size))
            self._tell(size)
        else:
            self._range(source, target, 0, size)

    def _sparse(self, source: int, target: int, size: int) -> None:
        """Copy the regions that contain data and leave holes in between."""
        end = 0
        while end < size:
            try:
                start = os.lseek(source, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # the rest is a hole
                    break
                raise
            end = os.lseek(source, start, os.SEEK_HOLE)
            self._range(source, target, start, end - start)
        os.ftruncate(target, size)

    def _range(self, source: int, target: int, offset: int, length: int) -> None:
        """Copy a range of bytes to the same offset in the other file."""
        end = offset + length
        while offset < end:
            check_stop(self._should_stop, self._what)
            count = min(end - offset, _CHUNK)
            done = self._kernel_copy(source, target, offset, count) if self._can_copy_range else 0
            if not self._can_copy_range:
                done = os.pwrite(target, os.pread(source, min(count, 1 << 20), offset), offset)
            if done == 0:
                raise OSError(errno.ESTALE, "the file shrank while it was being copied")
            offset += done
            self._tell(done)

    def _kernel_copy(self, source: int, target: int, offset: int, count: int) -> int:
        try:
            return os.copy_file_range(source, target, count, offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self._can_copy_range = False
            return 0

    def _tell(self, count: int) -> None:
        if self._copied is not None:
            self._copied(count)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
