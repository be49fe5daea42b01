"""The vfs driver: each layer is a folder with all its files, those of its parents included.

The layout is that of containers/storage's drivers/vfs: `<graph root>/vfs/dir/<ID>`, and `vfs/tempdirs` for what is
being deleted. It works on every file system and needs no privileges, at the cost of a full copy for each layer.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from layerstore.drivers import staging as tempdirs
from layerstore.drivers.copytree import copy_tree
from layerstore.drivers.naive import NaiveDiffs
from layerstore.drivers.stack import Stack
from layerstore.errors import NotSupported
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.linux.atomic import exchange_folders
from layerstore.linux.folders import FolderStack, remove_path
from layerstore.linux.usage import measure
from layerstore.model import DiskUsage, Progress, ShouldStop
from layerstore.records.layout import file_name

_ROOT_MODE = 0o555


class VfsDriver(NaiveDiffs):
    """Layers as plain folders below `graph_root`; see `Driver` for the contract.

    Making the object touches nothing on disk. Layers of a first layer's mode (0555, as with the peer) can be unpacked
    into by their owner without being root: see `archive.paths.Root`. A layer that is not below `graph_root` is looked
    for in the `image_stores`, graph roots too, in their order; it can be looked at and copied from, never changed.
    """

    def __init__(
        self,
        graph_root: str | os.PathLike[str],
        *,
        ignore_chown_errors: bool = False,
        image_stores: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self.home = Path(graph_root) / "vfs"
        self.ignore_chown_errors = ignore_chown_errors
        self._others = [Path(store) / "vfs" for store in image_stores]

    @property
    def name(self) -> str:
        """The name that stands in the store's paths."""
        return "vfs"

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
        """Make the layer as a full copy of its parent. On any failure nothing of the layer is left behind.

        Raises:
            NotSupported: there are options; this driver has none.
            FileNotFoundError: the parent has no folder.
            FileExistsError: the layer has one already; it stays as it is.
            Cancelled: `should_stop` said so.
        """
        del writable, mount_label  # the files lie there the same way whoever is to use them
        if options:
            raise NotSupported(f"vfs layers have no options, and one was given {', '.join(sorted(options))}")
        self._make(layer_id, parent, maps, should_stop)

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Make a second layer with the same content. On any failure nothing of it is left.

        Raises:
            FileNotFoundError: `layer_id` has no folder.
            FileExistsError: `new_id` has one already; it stays as it is.
            Cancelled: `should_stop` said so.
        """
        self._make(new_id, layer_id, NO_MAPS, should_stop)

    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the folders of two layers, in one step where the file system can; see `exchange_folders`."""
        exchange_folders(self.get(layer_id), self.get(new_id))

    def _make(self, layer_id: str, source_id: str, maps: IDMappings, should_stop: ShouldStop | None) -> None:
        folder, owner = self._folder(layer_id), maps.root
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
        """Delete the layer's files; a layer without files is no error.

        A crash leaves all of it or none; a part, where the disk is too full to move it aside.
        """
        folder = self._folder(layer_id)
        if not os.path.lexists(folder):
            return
        try:
            with tempdirs.staging_folder(self._tempdirs) as staging:
                _rename_aside(folder, staging / f"0-{layer_id}")
        except OSError as error:
            if error.errno not in tempdirs.NO_ROOM:
                raise
            remove_path(folder)

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Return the layer's folder.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none; the error names it.
        """
        del mount_label, read_only, volatile
        folder = self._found(layer_id)
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a layer must be a folder", str(folder))
        return folder

    def put(self, layer_id: str) -> None:
        """Do nothing: there is no mount to end."""

    def is_mounted(self, layer_id: str) -> bool:
        """Tell whether the layer has its folder: that is where it can be seen, and it takes no mount."""
        return os.path.isdir(self._found(layer_id))

    def exists(self, layer_id: str) -> bool:
        """Tell whether there is a folder of this layer, here or in an image store."""
        return os.path.lexists(self._found(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs that there are folders of, sorted."""
        try:
            with os.scandir(self.home / "dir") as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder that holds the layer's files."""
        return self.get(layer_id)

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the layer's one folder."""
        del parent
        return [self.get(layer_id)]

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the allocated bytes and the inodes of the layer, its parents' files included.

        `progress` hears of the bytes counted so far.
        """
        with FolderStack(self.get(layer_id)) as stack:
            return DiskUsage(*measure(stack, progress, should_stop))

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return the layer's one folder, as "dir"."""
        return {"dir": self._found(layer_id)}

    def stack(self, layer_id: str) -> Stack:
        """Return the layer's one folder, which has everything."""
        return Stack(((layer_id, str(self.get(layer_id))),))

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver for people."""
        return [("Layers", str(len(self.list_layers()))), ("Folder", str(self.home / "dir"))]

    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside, unless a live process is at it."""
        tempdirs.recover(self._tempdirs)

    @property
    def _tempdirs(self) -> Path:
        return self.home / "tempdirs"

    def _folder(self, layer_id: str) -> Path:
        """Return where a layer lies. Every path is made here, so that no ID can lead elsewhere.

        Raises:
            UnusableID: the ID cannot be a file's name.
        """
        return self.home / "dir" / file_name(layer_id)

    def _found(self, layer_id: str) -> Path:
        """Return where a layer lies, here or in an image store; here if it is nowhere."""
        own = self._folder(layer_id)
        folders = (own, *(home / "dir" / own.name for home in self._others))
        return next((folder for folder in folders if os.path.lexists(folder)), own)


def _rename_aside(folder: Path, target: Path) -> None:
    """Rename a layer's folder; moving a folder elsewhere takes write permission on it, which its mode may withhold."""
    try:
        os.rename(folder, target)
    except PermissionError:
        before = os.lstat(folder)
        if not stat.S_ISDIR(before.st_mode) or before.st_uid != os.geteuid():
            raise
        os.chmod(folder, stat.S_IMODE(before.st_mode) | stat.S_IRWXU)
        os.rename(folder, target)
