"""The vfs driver: each layer is a folder with a full copy of its files, including those of its parents.

The layout is that of containers/storage's drivers/vfs: `<graph root>/vfs/dir/<ID>`, and `vfs/tempdirs` for layers that
are being deleted. The driver works on every file system and needs no privileges.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from layerstore.drivers import staging
from layerstore.drivers.base import Stack
from layerstore.drivers.naive import NaiveDiffs
from layerstore.drivers.options import DriverOptions
from layerstore.errors import NotSupported
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.linux.folders import FolderStack, remove_path
from layerstore.linux.mounttable import Place
from layerstore.model import DiskUsage, Progress, ShouldStop
from layerstore.records.layout import file_name

_ROOT_MODE = 0o555


class VfsDriver(NaiveDiffs):
    """Layers as plain folders below `graph_root`.

    The root folder of a base layer has mode 0555, as containers/storage gives it; `archive.root.Root` lets its owner
    unpack into it even without being root. A layer that is not below `graph_root` is looked for in the `image_stores`,
    in their order. Such a layer can be read and copied from, but not changed.
    """

    name = "vfs"
    copies_lower = True

    def __init__(
        self,
        graph_root: str | os.PathLike[str],
        *,
        ignore_chown_errors: bool = False,
        image_stores: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self.home = Path(graph_root) / self.name
        self.ignore_chown_errors = ignore_chown_errors
        self._others = [Path(store) / self.name for store in image_stores]

    @classmethod
    def make(cls, graph_root: str | os.PathLike[str], options: DriverOptions) -> Self:
        """Return the driver of a store with these options."""
        return cls(graph_root, ignore_chown_errors=options.ignore_chown_errors, image_stores=options.image_stores)

    # Creating and deleting layers

    def create(
        self,
        layer_id: str,
        parent: str,
        *,
        writable: bool = True,
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> None:
        """Create the layer as a full copy of its parent. A failure leaves nothing of it behind.

        Raises:
            NotSupported: Options were given, and this driver has none.
            FileNotFoundError: The parent has no folder.
            FileExistsError: The layer already has a folder, which was not touched.
            Cancelled: `should_stop` returned True.
        """
        del writable, mount_label  # files lie on disk the same way in either case
        if options:
            raise NotSupported(f"vfs layers take no options: remove {', '.join(sorted(options))}")
        self._make(layer_id, parent, maps, should_stop)

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Create a second layer with the same content. A failure leaves nothing of it behind.

        Raises:
            FileNotFoundError: `layer_id` has no folder.
            FileExistsError: `new_id` already has a folder, which was not touched.
            Cancelled: `should_stop` returned True.
        """
        self._make(new_id, layer_id, NO_MAPS, should_stop)

    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the folders of two layers, atomically if the file system allows it (see `exchange_folders`)."""
        from layerstore.linux.atomic import exchange_folders

        exchange_folders(self.get(layer_id), self.get(new_id))

    def _make(self, layer_id: str, source_id: str, maps: IDMappings, should_stop: ShouldStop | None) -> None:
        from layerstore.drivers.copytree import copy_tree

        folder, owner = self.folder_of(layer_id), maps.root
        source = self.get(source_id) if source_id else None
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.mkdir(folder, stat.S_IRWXU)
        try:
            if source is None:
                if maps and os.geteuid() == 0:
                    os.chown(folder, *owner)
                os.chmod(folder, _ROOT_MODE)
            else:
                copy_tree(source, folder, should_stop=should_stop)
        except BaseException:
            remove_path(folder)
            raise

    def remove(self, layer_id: str) -> None:
        """Delete the files of the layer, if there are any.

        A crash leaves the whole layer or none of it, or a part of it if the disk is too full to move it aside.
        """
        folder = self.folder_of(layer_id)
        if not os.path.lexists(folder):
            return
        try:
            with staging.staging_folder(self.temporary_folder) as aside:
                _rename_aside(folder, aside / f"0-{layer_id}")
        except OSError as error:
            if error.errno not in staging.NO_ROOM:
                raise
            remove_path(folder)

    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside, unless a live process is working on it."""
        staging.recover(self.temporary_folder)

    # Mounting

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Return the layer's folder.

        Raises:
            FileNotFoundError, NotADirectoryError: The layer has no folder.
        """
        del mount_label, read_only, volatile
        folder = self._found(layer_id)
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a layer must be a folder", str(folder))
        return folder

    def put(self, layer_id: str) -> None:
        """Do nothing, because layers are not mounted."""

    def is_mounted(self, layer_id: str) -> bool:
        """Return whether the layer has a folder. Its files are visible there without a mount."""
        return os.path.isdir(self._found(layer_id))

    def place_of(self, layer_id: str) -> Place:
        """Return the layer's folder, as a place where processes can be."""
        path = os.path.realpath(os.path.join(self.layers_folder, layer_id))
        try:
            number = os.stat(path).st_dev
        except OSError:
            return Place(path)
        return Place(path, f"{os.major(number)}:{os.minor(number)}", shared=True)

    # Where a layer is

    @property
    def layers_folder(self) -> Path:
        """The folder whose subfolders are named after layers."""
        return self.home / "dir"

    def is_layer_name(self, name: str) -> bool:
        """Return whether a name in `layers_folder` can be that of a layer."""
        return not name.startswith(".")

    def folder_of(self, layer_id: str) -> Path:
        """Return the folder of a layer of this store, whether it exists or not.

        Raises:
            UnusableID: No folder can have this name.
        """
        return self.layers_folder / file_name(layer_id)

    def exists(self, layer_id: str) -> bool:
        """Return whether the layer has a folder, in this store or in an image store."""
        return os.path.lexists(self._found(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs of all folders of layers, sorted."""
        try:
            with os.scandir(self.layers_folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder of the layer's files."""
        return self.get(layer_id)

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the layer's only folder."""
        del parent
        return [self.get(layer_id)]

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the allocated bytes and the inodes of the layer, including the files of its parents.

        `progress` gets the bytes counted so far.
        """
        from layerstore.linux.usage import measure

        with FolderStack(self.get(layer_id)) as stack:
            return DiskUsage(*measure(stack, progress, should_stop))

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return the layer's only folder, as "dir"."""
        return {"dir": self._found(layer_id)}

    def stack(self, layer_id: str) -> Stack:
        """Return the layer's only folder, which holds all its files."""
        return Stack(((layer_id, str(self.get(layer_id))),))

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver, for people to read."""
        return [("Layers", str(len(self.list_layers()))), ("Folder", str(self.layers_folder))]

    def _found(self, layer_id: str) -> Path:
        """Return the layer's folder in this store or in an image store. If neither exists, return the former."""
        own = self.folder_of(layer_id)
        folders = (own, *(home / "dir" / own.name for home in self._others))
        return next((folder for folder in folders if os.path.lexists(folder)), own)


def _rename_aside(folder: Path, target: Path) -> None:
    """Rename a layer's folder. This needs write permission on the folder, which its mode may deny to its owner."""
    try:
        os.rename(folder, target)
    except PermissionError:
        before = os.lstat(folder)
        if not stat.S_ISDIR(before.st_mode) or before.st_uid != os.geteuid():
            raise
        os.chmod(folder, stat.S_IMODE(before.st_mode) | stat.S_IRWXU)
        os.rename(folder, target)
