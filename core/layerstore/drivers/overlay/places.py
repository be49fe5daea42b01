"""Where an overlay store keeps a layer's folders, its own and those of its image stores."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layerstore.drivers.overlay import fuse as overlay_fuse
from layerstore.drivers.overlay import mount
from layerstore.drivers.overlay.folders import composefs_blob, refuse_composefs, with_rotated
from layerstore.drivers.overlay.fuse import Mounter
from layerstore.drivers.overlay.links import Links, Lower, is_layer_name
from layerstore.drivers.overlay.whiteouts import Marks, marks_of
from layerstore.drivers.stack import Stack
from layerstore.errors import StoreCorrupt, UnusableID
from layerstore.linux.folders import FolderStack
from layerstore.linux.usage import measure
from layerstore.model import DiskUsage, Progress, ShouldStop
from layerstore.records.layout import file_name


class OverlayPlaces:
    """The part of the overlay driver that looks at layers where they lie. Nothing here changes a disk."""

    def __init__(
        self,
        graph_root: str | os.PathLike[str],
        run_root: str | os.PathLike[str] | None = None,
        *,
        mount_options: Sequence[str] = (),
        mount_program: str = "",
        ignore_chown_errors: bool = False,
        image_stores: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        del run_root  # the peer remembers there what the kernel can do, and finding out is quick
        self.home = Path(os.path.abspath(graph_root)) / "overlay"
        self._mount_options = tuple(mount_options)
        self._mount_program = mount_program
        self.ignore_chown_errors = ignore_chown_errors
        self._links = Links(self.home, [Path(os.path.abspath(store)) / "overlay" for store in image_stores])
        self._checked = False

    @property
    def name(self) -> str:
        """The name that stands in the store's paths."""
        return "overlay"

    def exists(self, layer_id: str) -> bool:
        """Tell whether there is a folder of this layer, here or in an image store."""
        return os.path.lexists(self._found(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs that there are folders of, sorted."""
        try:
            with os.scandir(self.home) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(filter(is_layer_name, found))

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder that holds the layer's own files.

        Raises:
            FileNotFoundError: there is no such layer.
            StoreCorrupt: there is, without this folder.
        """
        diff = self._existing(layer_id) / "diff"
        if not os.path.isdir(diff):
            raise StoreCorrupt(diff, "the folder of the layer's files is missing")
        return diff

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the folder of the layer's own files, and more where its files lie elsewhere, too.

        For a copy with other owners the peer moves its files aside below it, or makes it on top of the original.

        Raises:
            FileNotFoundError, StoreCorrupt: as `diff_root`.
            NotSupported: the files have no names but in a composefs image.
        """
        own = self.diff_root(layer_id)
        refuse_composefs(layer_id, own.parent)
        lowers = self._links.lowers(layer_id)
        parts = [str(own), *([] if is_parent(lowers, parent) else [lower.diff for lower in lowers])]
        return [self.home / folder for part in parts for folder in with_rotated(self.home, part)]

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the allocated bytes and the inodes of the layer's own files, and of those set aside for new owners.

        `progress` hears of the bytes counted so far.
        """
        size = inodes = 0
        for folder in with_rotated(self.home, str(self.diff_root(layer_id))):
            with FolderStack(folder) as stack:
                part = measure(stack, progress, should_stop)
            size, inodes = size + part.size, inodes + part.inodes
        return DiskUsage(size, inodes)

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return "diff" (the layer's own files), "merged" (where it is mounted), "work" and, if good, "link".

        "diff1" and so on are files set aside for copies with other owners, "composefs" is the image with the files'
        names, for layers that have them.
        """
        folder = self._found(layer_id)
        names = ("diff", "merged", "work") if self._is_ours(layer_id) else ("diff",)
        found = {name: folder / name for name in names}
        found |= {Path(part).name: Path(part) for part in with_rotated(self.home, str(folder / "diff"))}
        if (blob := composefs_blob(folder)) is not None:
            found["composefs"] = blob
        link = self._links.path(layer_id)
        return found if link is None else {**found, "link": link}

    def stack(self, layer_id: str) -> Stack:
        """Return the folders of the layer's own files and of those below it; raises what `get` does for them."""
        layers = [(layer_id, str(self.diff_root(layer_id)))]
        layers += [(lower.layer, lower.diff) for lower in self._chain(layer_id)]
        folders = [(layer, part) for layer, diff in layers for part in with_rotated(self.home, diff)]
        whole = tuple((layer, str(self.home / part)) for layer, part in folders)
        return Stack(whole, self._marks, named_whiteouts=self._marks.fuse)

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver for people."""
        return [
            ("Layers", str(len(self.list_layers()))),
            ("Folder", str(self.home)),
            ("Backing Filesystem", mount.file_system_of(self.home) or "unknown"),
            ("Attributes", f"{self._marks.namespace}.overlay"),
            ("Mount Options", ",".join(self._mount_options) or "none"),
            ("Mount Program", (self._mount_program or overlay_fuse.PROGRAM) if self._marks.fuse else "none"),
        ]

    @property
    def _mounter(self) -> Mounter:
        return Mounter(self.home, self._mount_program, self._marks)

    @property
    def _marks(self) -> Marks:
        fuse = bool(self._mount_program) or overlay_fuse.is_flagged(self.home)
        return replace(marks_of(self.home), fuse=fuse)

    def _folder(self, layer_id: str) -> Path:
        """Return where a layer lies. Every path is made here, so that no ID can lead elsewhere.

        Raises:
            UnusableID: the ID cannot be a file's name, or is one that is not for layers.
        """
        if not is_layer_name(file_name(layer_id)):
            raise UnusableID(layer_id)
        return self.home / layer_id

    def _found(self, layer_id: str) -> Path:
        """Return where a layer lies, here or in an image store; here if it is nowhere."""
        return self._links.home_of(self._folder(layer_id).name) / layer_id

    def _is_ours(self, layer_id: str) -> bool:
        return self._found(layer_id) == self._folder(layer_id)

    def _existing(self, layer_id: str) -> Path:
        folder = self._found(layer_id)
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a layer must be a folder", str(folder))
        return folder

    def _chain(self, layer_id: str) -> list[Lower]:
        """Return the layers below, after making sure that this driver knows how they lie on disk."""
        self._existing(layer_id)
        lowers = self._links.lowers(layer_id)
        for layer in (layer_id, *(lower.layer for lower in lowers)):
            refuse_composefs(layer_id, self._found(layer))
        if self._marks.fuse:
            for folder in (self.diff_root(layer_id), *map(Path, self._folders(lowers))):
                overlay_fuse.refuse_forced(folder)
        return lowers

    def _folders(self, lowers: list[Lower]) -> list[str]:
        return [str(self.home / lower.diff) for lower in lowers]


def is_parent(lowers: list[Lower], parent: str) -> bool:
    """Tell whether the first of the layers below, or nothing where there are none, is `parent`."""
    return lowers[0].layer == parent if lowers else not parent
