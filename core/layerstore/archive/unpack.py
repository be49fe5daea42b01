"""Unpack a layer's diff into a folder, with one handler for each type of entry.

The rules are those of containers/storage's UnpackLayer (pkg/archive/diff.go): folders are merged, existing files are
replaced, whiteouts delete and missing parent folders are created. There are four differences. No entry can reach
outside the folder, even without a chroot (see `archive.root`). The umask has no effect. The group of a setgid folder
does not leak into its files. An owner who is not root can unpack read-only folders.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from layerstore.archive.entry import TarEntry
from layerstore.archive.root import Root, components
from layerstore.archive.whiteouts import (
    LINK_FOLDER,
    META_PREFIX,
    OPAQUE,
    PREFIX,
    PlainWhiteouts,
    Whiteouts,
    hidden_name,
    remove_entry,
)
from layerstore.errors import BadArchive
from layerstore.linux import xattrs
from layerstore.linux.folders import check_stop, chmod_at
from layerstore.model import ShouldStop

logger = logging.getLogger(__name__)

GLOBAL_HEADER = b"g"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE_BITS = 0o7777
_DEVICE_KINDS = {b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"6": stat.S_IFIFO}


def unpack(
    root: str | bytes | os.PathLike[str],
    entries: Iterable[TarEntry],
    *,
    whiteouts: Whiteouts | None = None,
    ignore_chown_errors: bool = False,
    owner: tuple[int, int] | None = None,
    should_stop: ShouldStop | None = None,
) -> int:
    """Unpack `entries` into the folder `root` and return the sum of their sizes in bytes.

    `whiteouts` decides what a whiteout does; by default it deletes. Modes, times (in ns) and extended attributes are
    always set, owners only if the process is root. Folders without an entry of their own get `owner`, if given. With
    `ignore_chown_errors`, a file keeps the owner it was created with if the kernel refuses the one in the entry, as it
    does in a user namespace that lacks this ID. After an error the folder holds whatever was unpacked so far. Two calls
    must not work on the same folder at the same time.

    Raises:
        BadArchive: An entry is invalid or would reach outside the folder. The error names it.
        Cancelled: `should_stop` returned True.
        OSError: The system refused an operation, for example because the disk is full. The error names the entry.
    """
    with Root(root, writable=True) as tree:
        tree.owner = owner
        unpacker = _Unpacker(tree, whiteouts or PlainWhiteouts(should_stop), should_stop)
        unpacker.ignore_chown_errors = ignore_chown_errors
        return unpacker.run(entries)


class _Unpacker:
    """The state of one `unpack`."""

    def __init__(self, tree: Root, whiteouts: Whiteouts, should_stop: ShouldStop | None) -> None:
        self._tree = tree
        self._whiteouts = whiteouts
        self._should_stop = should_stop
        self.ignore_chown_errors = False
        self._is_root = os.geteuid() == 0
        self._folder_times: dict[bytes, tuple[int, int]] = {}
        """Name -> inode and mtime in ns. Set at the end, because adding a file to a folder changes its mtime."""
        self._handlers: dict[bytes, Callable[[TarEntry, int, bytes], None]] = {
            b"0": self._regular,
            b"1": self._hard_link,
            b"2": self._symlink,
            b"3": self._device,
            b"4": self._device,
            b"5": self._folder,
            b"6": self._device,
        }

    def run(self, entries: Iterable[TarEntry]) -> int:
        total = 0
        handlers, should_stop = self._handlers, self._should_stop
        parent, added = self._tree.parent, self._whiteouts.added
        for entry in entries:
            if should_stop is not None:
                check_stop(should_stop, "unpacking")
            total += entry.size
            name = entry.name
            try:
                if PREFIX in name and self._is_special(entry):
                    continue
                handler = handlers.get(entry.type)
                if handler is None:
                    self._unknown(entry)
                    continue
                folder, base = parent(name, create=True)
                handler(entry, folder, base)
            except OverflowError as error:
                raise BadArchive("a number in the header is out of range", entry=os.fsdecode(name)) from error
            except OSError as error:
                raise _named(error, name) from error
            added(name)
        self._set_folder_times()
        return total

    def _unknown(self, entry: TarEntry) -> None:
        if entry.type != GLOBAL_HEADER:
            raise BadArchive(f"entries of type {entry.type!r} are not supported", entry=os.fsdecode(entry.name))

    def _is_special(self, entry: TarEntry) -> bool:
        """Apply a whiteout or skip bookkeeping of AUFS. Return False for any other entry."""
        parts = components(entry.name)
        if not parts or (parts[0].startswith(META_PREFIX) and parts != [OPAQUE]):
            return bool(parts)
        base = parts[-1]
        if not base.startswith(PREFIX):
            return False
        try:
            folder, _ = self._tree.parent(b"/".join(parts), create=True)
        except (FileNotFoundError, NotADirectoryError):
            return True  # some builders write whiteouts below whiteouts, where nothing can exist
        if base == OPAQUE:
            self._whiteouts.opaque(self._tree, folder, entry)
        else:
            self._whiteouts.whiteout(self._tree, folder, hidden_name(base, entry), entry)
        return True

    def _make(self, entry: TarEntry, folder: int, base: bytes, make: Callable[[int, bytes], int | None]) -> int:
        """Call `make` with the folder and the name. If the name exists, delete it and try again."""
        if base == b".":
            raise BadArchive("the root of a layer can only be a folder", entry=os.fsdecode(entry.name))
        try:
            return make(folder, base) or 0
        except FileExistsError:
            remove_entry(self._tree, folder, base, should_stop=self._should_stop)
        folder, base = self._tree.parent(entry.name, create=True)
        return make(folder, base) or 0

    def _regular(self, entry: TarEntry, folder: int, base: bytes) -> None:
        mode = entry.mode & _MODE_BITS
        try:
            descriptor = os.open(base, _NEW_FILE, mode, dir_fd=folder)
        except OSError:
            descriptor = self._make(entry, folder, base, lambda at, name: os.open(name, _NEW_FILE, mode, dir_fd=at))
        try:
            if entry.sparse is not None:
                _write_sparse(descriptor, entry)
            elif entry.size:
                for piece in entry.pieces():
                    _write(descriptor, piece)
                    if self._should_stop is not None:
                        check_stop(self._should_stop, "unpacking")
            found = os.fstat(descriptor)
            owned = not self._is_root or (found.st_uid == entry.uid and found.st_gid == entry.gid)
            if not owned or found.st_mode & _MODE_BITS != mode or entry.xattrs:
                self._finish(descriptor, entry, found, mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _finish(self, descriptor: int, entry: TarEntry, found: os.stat_result, mode: int) -> None:
        """Set owner, mode and attributes of a new file, in this order, because each step can undo the ones after it."""
        now = found.st_mode & _MODE_BITS
        if self._chown(descriptor, entry, found) and mode & (stat.S_ISUID | stat.S_ISGID):
            now = -1
        if entry.xattrs:
            # Unless the process is root, setting an attribute needs write permission.
            writable = mode | stat.S_IWUSR
            if not self._is_root and now != writable:
                os.fchmod(descriptor, writable)
                now = writable
            if now != mode and self._is_root:
                os.fchmod(descriptor, mode)
                now = mode
            self._set_xattrs(descriptor, entry)
        if now != mode:
            os.fchmod(descriptor, mode)

    def _chown(self, descriptor: int, entry: TarEntry, found: os.stat_result) -> bool:
        if self._is_root and (found.st_uid != entry.uid or found.st_gid != entry.gid):
            with self._tolerant():
                os.fchown(descriptor, entry.uid, entry.gid)
            return True
        return False

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Suppress a refused change of owner if `ignore_chown_errors` is set."""
        try:
            yield
        except OSError as error:
            if not self.ignore_chown_errors or error.errno not in {errno.EPERM, errno.EINVAL}:
                raise

    def _set_xattrs(self, target: int | str, entry: TarEntry) -> None:
        for name, value in entry.xattrs.items():
            if name not in xattrs.NEVER_SET and self._whiteouts.keeps_xattr(name):
                xattrs.write(target, name, value)

    def _folder(self, entry: TarEntry, folder: int, base: bytes) -> None:
        mode = entry.mode & _MODE_BITS
        if base == b".":
            descriptor = os.dup(self._tree.descriptor)
        else:
            folder = self._make_or_merge(entry, folder, base, mode | stat.S_IRWXU)
            descriptor = self._tree.enter(folder, base, components(entry.name))
        try:
            found = os.fstat(descriptor)
            if self._chown(descriptor, entry, found):
                found = os.fstat(descriptor)
            self._tree.set_mode(entry.name, descriptor, found, mode)
            if entry.xattrs:
                self._set_xattrs(descriptor, entry)
        except BaseException:
            os.close(descriptor)
            raise
        self._folder_times[entry.name] = (found.st_ino, entry.mtime_ns)
        if base == b".":
            os.close(descriptor)
        else:
            self._tree.adopt(entry.name, descriptor)

    def _make_or_merge(self, entry: TarEntry, folder: int, base: bytes, mode: int) -> int:
        """Create the folder, or reuse the existing one, and return its parent."""
        try:
            os.mkdir(base, mode, dir_fd=folder)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode):
                return folder
            remove_entry(self._tree, folder, base)
            folder, base = self._tree.parent(entry.name, create=True)
            os.mkdir(base, mode, dir_fd=folder)
        return folder

    def _symlink(self, entry: TarEntry, folder: int, base: bytes) -> None:
        if b"\0" in entry.linkname:
            raise BadArchive("the target of the link contains a NUL byte", entry=os.fsdecode(entry.name))
        self._make(entry, folder, base, lambda at, name: os.symlink(entry.linkname, name, dir_fd=at))
        self._finish_by_name(entry)

    def _hard_link(self, entry: TarEntry, folder: int, base: bytes) -> None:
        if components(entry.linkname)[:1] == [LINK_FOLDER]:
            raise BadArchive("hard links into .wh..wh.plnk (AUFS) are not supported", entry=os.fsdecode(entry.name))
        self._make(entry, folder, base, lambda _, name: self._link(entry, name))
        self._finish_by_name(entry)

    def _link(self, entry: TarEntry, base: bytes) -> None:
        try:
            source, target = self._tree.parent(entry.linkname)
            folder, _ = self._tree.parent(entry.name)
            if stat.S_ISDIR(os.stat(target, dir_fd=source, follow_symlinks=False).st_mode):
                reason = f"the target of the hard link, {os.fsdecode(entry.linkname)!r}, is a folder"
                raise BadArchive(reason, entry=os.fsdecode(entry.name))
            os.link(target, base, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError) as error:
            reason = f"the target of the hard link, {os.fsdecode(entry.linkname)!r}, is not in the layer"
            raise BadArchive(reason, entry=os.fsdecode(entry.name)) from error

    def _device(self, entry: TarEntry, folder: int, base: bytes) -> None:
        device = 0
        if entry.type != b"6":
            device = os.makedev(entry.devmajor, entry.devminor)
        mode = _DEVICE_KINDS[entry.type] | entry.mode & _MODE_BITS
        try:
            self._make(entry, folder, base, lambda at, name: os.mknod(name, mode, device, dir_fd=at))
        except PermissionError as error:
            if error.errno != errno.EPERM:
                raise
            logger.warning("skipping device %r: this user may not create devices", os.fsdecode(entry.name))
            return
        self._finish_by_name(entry)

    def _finish_by_name(self, entry: TarEntry) -> None:
        """Set the metadata that differs, for a file that cannot be opened or has other names."""
        folder, base = self._tree.parent(entry.name)
        found = os.stat(base, dir_fd=folder, follow_symlinks=False)
        is_link = stat.S_ISLNK(found.st_mode)
        mode = entry.mode & _MODE_BITS
        chowned = self._is_root and (found.st_uid != entry.uid or found.st_gid != entry.gid)
        if chowned:
            with self._tolerant():
                os.chown(base, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        if not is_link and (chowned or stat.S_IMODE(found.st_mode) != mode):
            chmod_at(folder, base, mode)
        if entry.xattrs:
            self._set_xattrs(xattrs.path_at(folder, os.fsdecode(base)), entry)
        if found.st_mtime_ns != entry.mtime_ns and not (is_link and entry.type == b"1"):
            os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)

    def _set_folder_times(self) -> None:
        for name, (inode, mtime_ns) in self._folder_times.items():
            try:
                folder, base = self._tree.parent(name)
                found = os.stat(base, dir_fd=folder, follow_symlinks=False)
                if found.st_ino == inode and stat.S_ISDIR(found.st_mode):
                    os.utime(base, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry removed or replaced it
            except OverflowError as error:
                raise BadArchive("a number in the header is out of range", entry=os.fsdecode(name)) from error


def _write(descriptor: int, piece: memoryview) -> None:
    """Write a whole piece, in as many calls as the system needs."""
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, piece[written:])


def _write_sparse(descriptor: int, entry: TarEntry) -> None:
    """Write the regions of a sparse file at their offsets, with holes in between."""
    assert entry.sparse is not None
    regions = iter(entry.sparse)
    offset, left = 0, 0
    for whole in entry.pieces():
        piece = whole
        while piece:
            while not left:
                region = next(regions, None)
                if region is None:
                    raise BadArchive("more data than the sparse map has room for", entry=os.fsdecode(entry.name))
                offset, left = region
            written = os.pwrite(descriptor, piece[:left], offset)
            piece = piece[written:]
            offset += written
            left -= written
    os.ftruncate(descriptor, entry.size)


def _named(error: OSError, name: bytes) -> OSError:
    """Return the error with the full name of the entry instead of its last part."""
    if error.filename is not None and not isinstance(error.filename, bytes):
        return error
    return OSError(error.errno, error.strerror, os.fsdecode(name))
