"""A tar of a layer's own folder, with the whiteouts that tars use.

The bytes are those that containers/storage writes for an overlay layer without tar-split (pkg/archive: TarWithOptions
with its overlayWhiteoutConverter). A whiteout keeps its owner and time. An opaque folder is followed by `.wh..wh..opq`
with the owner and permissions of the folder and no time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Sequence

from layerstore.archive import write
from layerstore.archive.pack import Packer, pack_tree
from layerstore.archive.whiteouts import OPAQUE, PREFIX
from layerstore.archive.write import Header
from layerstore.drivers.overlay.changes import inside, look, refuse_redirect
from layerstore.drivers.overlay.whiteouts import Marks, is_whiteout
from layerstore.errors import NotSupported
from layerstore.idmap import NO_MAPS, IDMappings, Owner, Unmapped
from layerstore.linux import xattrs
from layerstore.model import ShouldStop

_PERMISSIONS = 0o777


def pack_upper(
    upper: str | os.PathLike[str],
    lowers: Sequence[str],
    marks: Marks,
    *,
    maps: IDMappings = NO_MAPS,
    should_stop: ShouldStop | None = None,
) -> Iterator[bytes]:
    """Yield a tar of the layer with files in `upper`, on top of the folders `lowers`, the topmost first.

    `upper` can also be a mounted overlay, which has no marks and is packed as it is. The order is that of
    `archive.pack.pack_tree`. Pieces are up to 1 MiB long.

    Raises:
        NotSupported: The content of a file or folder is in another layer (metacopy, redirect_dir), or as for
            `archive.pack.pack_tree`.
        Cancelled: `should_stop` returned True.
        OSError: A file cannot be read, or changed while it was read. The error names it.
    """
    return pack_tree(upper, packer=_UpperPacker(lowers, marks, maps, should_stop))


class _UpperPacker(Packer):
    """Converts whiteouts on disk to those of tars."""

    def __init__(self, lowers: Sequence[str], marks: Marks, maps: IDMappings, should_stop: ShouldStop | None) -> None:
        super().__init__(should_stop, maps)
        self._lowers = lowers
        self._marks = marks

    def add(self, folder: int, base: bytes, name: bytes) -> Generator[bytes, None, bool]:
        """Add a file as the base class does, unless its folder lists it but it does not exist.

        A mounted overlay lists whiteouts that hide nothing.
        """
        before = len(self._buffer)
        try:
            return (yield from super().add(folder, base, name))
        except FileNotFoundError:
            if len(self._buffer) != before:  # it existed when its header was written
                raise
            return False

    def entered(self, folder: int, path: bytes) -> None:
        """Add an opaque whiteout if the open folder hides something."""
        if not (refuse_redirect(folder, f"/{os.fsdecode(path)}", self._marks) and self._is_below(path)):
            return
        found = os.fstat(folder)
        header = Header(path + b"/" + OPAQUE, write.FILE, found.st_mode & _PERMISSIONS, *self._owner(found))
        self._buffer += header.encode()

    def _header(self, folder: int, base: bytes, name: bytes, found: os.stat_result) -> Header:
        if stat.S_ISREG(found.st_mode):
            self._refuse_metacopy(folder, base, name)
        header = super()._header(folder, base, name, found)
        if is_whiteout(found):
            # The kernel makes whiteouts hard links of one inode, so this header can have a link name. As in
            # containers/storage, the name stays (before 1.59 without `.wh.`, as here).
            above, slash, last = header.name.rpartition(b"/")
            header.name = above + slash + PREFIX + last
            header.type, header.mode = write.FILE, 0
        return header

    def _owner(self, found: os.stat_result) -> Owner:
        try:
            return super()._owner(found)
        except Unmapped:
            # The kernel creates whiteouts as root of the host, which maps rarely contain. containers/storage skips such
            # a whiteout, and so restores the deleted file.
            if is_whiteout(found):
                return 0, 0
            raise

    def _refuse_metacopy(self, folder: int, base: bytes, name: bytes) -> None:
        if self._marks.metacopy in xattrs.names(xattrs.path_at(folder, os.fsdecode(base))):
            raise NotSupported(
                f"{os.fsdecode(name)!r} was changed by an overlay mounted with metacopy=on, so a layer below has its "
                "content: mount the layer and write to the file there, which copies the content"
            )

    def _is_below(self, path: bytes) -> bool:
        """Return whether the path exists in the layers below."""
        folders: Sequence[str] = self._lowers
        *above, name = os.fsdecode(path).split("/")
        for part in above:
            folders = inside(folders, part)
        return look(folders, name) is not None
