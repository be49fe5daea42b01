"""Pack a folder tree, or the changes in it, into a tar.

The bytes are those that containers/storage writes for a layer without a tar-split (pkg/archive: TarWithOptions for a
base layer, ExportChanges for one with a parent). Names have no leading "/", and those of folders end in one. Owner
names are left out, times are truncated to seconds, further names of an inode become hard links, and sockets are
skipped.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Generator, Iterable, Iterator

from layerstore.archive import write
from layerstore.archive.root import Root
from layerstore.archive.whiteouts import PREFIX
from layerstore.archive.write import BLOCK, END, Header
from layerstore.errors import NotSupported
from layerstore.idmap import NO_MAPS, IDMappings, Owner, need_true_owners
from layerstore.linux import xattrs
from layerstore.linux.folders import FolderStack, check_stop, open_regular
from layerstore.model import Change, ChangeKind, ShouldStop

PIECE = 1 << 20
_SECOND = 1_000_000_000

_TYPES = {
    stat.S_IFREG: write.FILE,
    stat.S_IFLNK: write.SYMLINK,
    stat.S_IFCHR: write.CHAR,
    stat.S_IFBLK: write.BLOCK_DEVICE,
    stat.S_IFDIR: write.FOLDER,
    stat.S_IFIFO: write.FIFO,
}


def pack_tree(
    root: str | os.PathLike[str],
    *,
    packer: Packer | None = None,
    maps: IDMappings = NO_MAPS,
    should_stop: ShouldStop | None = None,
) -> Iterator[bytes]:
    """Yield a tar of everything below `root` in pieces of up to 1 MiB.

    A folder comes before its contents, and names are sorted by their bytes. Owners are translated to container IDs with
    `maps`. A custom `packer` decides how each file is written and uses its own `maps` and `should_stop`. The iterator
    holds descriptors until it is exhausted or closed.

    Raises:
        Cancelled: `should_stop` returned True.
        OSError: A file cannot be read, or changed while it was being read (ESTALE). The error names it.
        NotSupported: A file's attributes do not fit into a tar, or its owner is not mapped. The error names it.
    """
    packer = packer or Packer(should_stop, maps)
    with FolderStack(root) as stack:
        pending = [_sorted_names(stack.fd)]
        prefixes = [b""]
        while pending:
            if not pending[-1]:
                pending.pop()
                prefixes.pop()
                if pending:
                    stack.pop()
                continue
            name = pending[-1].pop()
            path = prefixes[-1] + name
            is_folder = yield from packer.add(stack.fd, name, path)
            if is_folder:
                packer.entered(stack.push(name), path)
                prefixes.append(path + b"/")
                pending.append(_sorted_names(stack.fd))
    yield packer.end()


def pack_changes(
    root: str | os.PathLike[str],
    changes: Iterable[Change],
    *,
    maps: IDMappings = NO_MAPS,
    should_stop: ShouldStop | None = None,
) -> Iterator[bytes]:
    """Yield a tar of the files below `root` that `changes` lists, sorted by the bytes of their paths.

    A deletion becomes a whiteout, an empty file with the current time. Everything else is as in `pack_tree`.
    """
    packer = Packer(should_stop, maps)
    with Root(root) as tree:
        for path, kind in sorted((os.fsencode(change.path), change.kind) for change in changes):
            name = path.removeprefix(b"/")
            if kind is ChangeKind.DELETE:
                yield from packer.add_whiteout(name)
            else:
                folder, base = tree.parent(name)
                yield from packer.add(folder, base, name)
    yield packer.end()


class Packer:
    """Writes entries into a buffer, which it yields when it is full."""

    def __init__(self, should_stop: ShouldStop | None, maps: IDMappings = NO_MAPS) -> None:
        need_true_owners(maps)
        self._should_stop = should_stop
        self._maps = maps
        self._buffer = bytearray()
        self._first_names: dict[int, bytes] = {}
        """Inode -> its first name, for inodes with more than one."""

    def entered(self, folder: int, path: bytes) -> None:
        """Handle a folder that was added and is now open. Its contents follow."""

    def end(self) -> bytes:
        """Return the rest of the buffer and the end of the archive."""
        self._buffer += END
        return bytes(self._buffer)

    def add_whiteout(self, name: bytes) -> Iterator[bytes]:
        """Add a whiteout for `name`."""
        folder, slash, base = name.rpartition(b"/")
        # containers/storage rounds this time to the nearest second, though it truncates all others.
        header = Header(folder + slash + PREFIX + base, write.FILE, mtime=round(time.time()))
        self._buffer += header.encode()
        yield from self._full()

    def add(self, folder: int, base: bytes, name: bytes) -> Generator[bytes, None, bool]:
        """Add the file `base` of an open folder under the name `name`, and return whether it is a folder."""
        check_stop(self._should_stop, "exporting")
        try:
            found = os.stat(base, dir_fd=folder, follow_symlinks=False)
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFSOCK:
                return False
            header = self._header(folder, base, name, found)
            self._buffer += header.encode()
            if header.type == write.FILE and header.size:
                yield from self._content(folder, base, found)
        except OSError as error:
            error.filename = os.fsdecode(name)
            raise
        except ValueError as error:
            raise NotSupported(f"cannot pack {os.fsdecode(name)!r}: {error}") from error
        yield from self._full()
        return kind == stat.S_IFDIR

    def _header(self, folder: int, base: bytes, name: bytes, found: os.stat_result) -> Header:
        mode = found.st_mode
        header = Header(
            name,
            _TYPES[stat.S_IFMT(mode)],
            stat.S_IMODE(mode),
            found.st_uid,
            found.st_gid,
            mtime=found.st_mtime_ns // _SECOND,
        )
        if stat.S_ISREG(mode):
            header.size = found.st_size
        elif stat.S_ISDIR(mode):
            header.name = name + b"/"
        elif stat.S_ISLNK(mode):
            header.linkname = os.readlink(base, dir_fd=folder)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            header.devmajor, header.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        target = xattrs.path_at(folder, os.fsdecode(base))
        if xattrs.names(target):
            for key, value in xattrs.read(target, xattrs.is_packed).items():
                header.records[xattrs.PAX_PREFIX + os.fsencode(key)] = value
        if found.st_nlink > 1 and not stat.S_ISDIR(mode):
            self._link(header, found.st_ino)
        if self._maps:
            header.uid, header.gid = self._owner(found)
        return header

    def _owner(self, found: os.stat_result) -> Owner:
        return self._maps.to_container(found.st_uid, found.st_gid)

    def _link(self, header: Header, inode: int) -> None:
        first = self._first_names.setdefault(inode, header.name)
        if first is not header.name:
            header.type = write.HARD_LINK
            header.linkname = first
            header.size = 0

    def _content(self, folder: int, base: bytes, found: os.stat_result) -> Iterator[bytes]:
        """Copy the content of the file that the header describes, whose size must not change."""
        descriptor = open_regular(folder, base, may_chmod=os.geteuid() != 0, found=found)
        try:
            left = found.st_size
            # Request one byte more than expected, to notice if the file grows.
            while piece := os.read(descriptor, min(left + 1, PIECE)):
                left -= len(piece)
                if left < 0:
                    raise OSError(errno.ESTALE, "the file grew while it was being read")
                if left == 0 and len(piece) < PIECE and len(self._buffer) + len(piece) <= PIECE:
                    self._buffer += piece
                    break
                yield from self._flush()
                yield piece
                check_stop(self._should_stop, "exporting")
            if left:
                raise OSError(errno.ESTALE, "the file shrank while it was being read")
        finally:
            os.close(descriptor)
        self._buffer += bytes(-found.st_size % BLOCK)

    def _full(self) -> Iterator[bytes]:
        if len(self._buffer) >= PIECE // 2:
            yield from self._flush()

    def _flush(self) -> Iterator[bytes]:
        for start in range(0, len(self._buffer), PIECE):
            yield bytes(self._buffer[start : start + PIECE])
        self._buffer.clear()


def _sorted_names(folder: int) -> list[bytes]:
    """Return the names in a folder in reverse order, to be popped."""
    return sorted((os.fsencode(name) for name in os.listdir(folder)), reverse=True)
