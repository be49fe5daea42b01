"""Packing a layer's own folder into a tar, what it hides turned back into whiteouts.

The bytes are those that containers/storage writes for an overlay layer without tar-split (pkg/archive: TarWithOptions
with its overlayWhiteoutConverter): a whiteout keeps owner and time, a folder that hides something is followed by
`.wh..wh..opq` with its owner, its permissions and no time.
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
    """Return the pieces of a tar of the layer whose files are in `upper`, on top of `lowers`, the topmost first.

    `upper` can be a mounted overlay, too, which has no marks and so comes out as it is. The order is that of
    `archive.pack.pack_tree`; pieces are up to 1 MiB.

    Raises:
        NotSupported: the content of a file, or of a folder, lies in another layer (metacopy, redirect_dir); or what
            `archive.pack.pack_tree` says.
        Cancelled: `should_stop` said so.
        OSError: a file cannot be read, or did not stay the same while it was; it is named.
    """
    return pack_tree(upper, packer=_UpperPacker(lowers, marks, maps, should_stop))


class _UpperPacker(Packer):
    """Writes whiteouts for what the overlay marks as gone."""

    def __init__(self, lowers: Sequence[str], marks: Marks, maps: IDMappings, should_stop: ShouldStop | None) -> None:
        super().__init__(should_stop, maps)
        self._lowers = lowers
        self._marks = marks

    def add(self, folder: int, base: bytes, name: bytes) -> Generator[bytes, None, bool]:
        """Add a file as the base class does, but for one that is not there although the folder lists it.

        An overlay shows whiteouts that hide nothing in that way.
        """
        before = len(self._buffer)
        try:
            return (yield from super().add(folder, base, name))
        except FileNotFoundError:
            if len(self._buffer) != before:  # it was there when its header was written
                raise
            return False

    def entered(self, folder: int, path: bytes) -> None:
        """Add a whiteout for all that the open folder hides, if there is something."""
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
            # The kernel makes whiteouts names of one inode, and what made the header a link stays in it: the peer
            # leaves the first name there, too (before 1.59 without `.wh.`, as here).
            above, slash, last = header.name.rpartition(b"/")
            header.name = above + slash + PREFIX + last
            header.type, header.mode = write.FILE, 0
        return header

    def _owner(self, found: os.stat_result) -> Owner:
        try:
            return super()._owner(found)
        except Unmapped:
            # The kernel makes whiteouts as the host's root, which maps rarely have. The peer leaves such a whiteout
            # out, and so brings back what was deleted.
            if is_whiteout(found):
                return 0, 0
            raise

    def _refuse_metacopy(self, folder: int, base: bytes, name: bytes) -> None:
        if self._marks.metacopy in xattrs.names(xattrs.path_at(folder, os.fsdecode(base))):
            raise NotSupported(
                f"{os.fsdecode(name)!r} was changed by an overlay mounted with metacopy=on: its content is in a layer "
                "below; write to it where it is mounted, which copies the content"
            )

    def _is_below(self, path: bytes) -> bool:
        """Tell whether a layer below shows something at the path."""
        folders: Sequence[str] = self._lowers
        *above, name = os.fsdecode(path).split("/")
        for part in above:
            folders = inside(folders, part)
        return look(folders, name) is not None
