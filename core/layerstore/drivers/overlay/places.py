"""Where an overlay store keeps the folders of a layer: its own, and those of its image stores. Changes nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore.drivers.overlay.folders import composefs_blob, is_flagged, refuse_composefs, with_rotated
from layerstore.drivers.overlay.links import Links, Lower, is_layer_name
from layerstore.errors import StoreCorrupt, UnusableID
from layerstore.records.layout import file_name

if TYPE_CHECKING:
    from layerstore.drivers.overlay.whiteouts import Marks


class Places:
    """The folders below `home`, and below the folders `others` of image stores, which are searched in their order.

    `mount_program` is the one that storage.conf names, "" for none.
    """

    def __init__(self, home: Path, others: Sequence[Path] = (), mount_program: str = "") -> None:
        self.home = home
        self.links = Links(home, others)
        self.mount_program = mount_program

    @property
    def marks(self) -> Marks:
        """The marks that the layers have."""
        from layerstore.drivers.overlay.whiteouts import marks_of

        return marks_of(self.home, fuse=bool(self.mount_program) or is_flagged(self.home))

    def folder(self, layer_id: str) -> Path:
        """Return the folder of a layer of this store, whether it exists or not.

        Raises:
            UnusableID: No folder can have this name, or it is reserved.
        """
        if not is_layer_name(file_name(layer_id)):
            raise UnusableID(layer_id)
        return self.home / layer_id

    def found(self, layer_id: str) -> Path:
        """Return the layer's folder in this store or in an image store. If neither exists, return the former."""
        return self.links.home_of(self.folder(layer_id).name) / layer_id

    def is_own(self, layer_id: str) -> bool:
        """Return whether the layer is in this store, and not in an image store."""
        return self.found(layer_id) == self.folder(layer_id)

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder of the layer's own files.

        Raises:
            FileNotFoundError: The layer has no folder.
            StoreCorrupt: The layer's folder lacks it.
        """
        diff = self._existing(layer_id) / "diff"
        if not os.path.isdir(diff):
            raise StoreCorrupt(diff, "the folder with the layer's files is missing")
        return diff

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the folder of the layer's own files, and the others that can hold files of its tar.

        For a copy with other owners, containers/storage moves files aside below it, or creates the copy on top of its
        original.

        Raises:
            FileNotFoundError, StoreCorrupt: As `diff_root`.
            NotSupported: The file names are in a composefs image.
        """
        own = self.diff_root(layer_id)
        refuse_composefs(layer_id, own.parent)
        lowers = self.links.lowers(layer_id)
        parts = [str(own), *([] if is_parent(lowers, parent) else [lower.diff for lower in lowers])]
        return [self.home / folder for part in parts for folder in with_rotated(self.home, part)]

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return the paths of a layer by name: see `OverlayDriver.paths`."""
        folder = self.found(layer_id)
        names = ("diff", "merged", "work") if self.is_own(layer_id) else ("diff",)
        found = {name: folder / name for name in names}
        found |= {Path(part).name: Path(part) for part in with_rotated(self.home, str(folder / "diff"))}
        if (blob := composefs_blob(folder)) is not None:
            found["composefs"] = blob
        link = self.links.path(layer_id)
        return found if link is None else {**found, "link": link}

    def stack(self, layer_id: str) -> tuple[tuple[str, str], ...]:
        """Return the folders of the layer's own files and of the layers below it, each with the ID of its layer."""
        layers = [(layer_id, str(self.diff_root(layer_id)))]
        layers += [(lower.layer, lower.diff) for lower in self.chain(layer_id)]
        folders = [(layer, part) for layer, diff in layers for part in with_rotated(self.home, diff)]
        return tuple((layer, str(self.home / part)) for layer, part in folders)

    def chain(self, layer_id: str) -> list[Lower]:
        """Return the layers below, the topmost first.

        Raises:
            NotSupported: The files of one of these layers are kept in a format that this driver cannot read.
        """
        self._existing(layer_id)
        lowers = self.links.lowers(layer_id)
        for layer in (layer_id, *(lower.layer for lower in lowers)):
            refuse_composefs(layer_id, self.found(layer))
        if self.marks.fuse:
            from layerstore.drivers.overlay.fuse import refuse_forced

            for folder in (self.diff_root(layer_id), *map(Path, self.folders(lowers))):
                refuse_forced(folder)
        return lowers

    def folders(self, lowers: Sequence[Lower]) -> list[str]:
        """Return the folders of the files of these layers."""
        return [str(self.home / lower.diff) for lower in lowers]

    def _existing(self, layer_id: str) -> Path:
        folder = self.found(layer_id)
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a layer must be a folder", str(folder))
        return folder


def is_parent(lowers: Sequence[Lower], parent: str) -> bool:
    """Return whether `parent` is the first of the layers below, or "" if there are none."""
    return lowers[0].layer == parent if lowers else not parent
