"""The overlay driver: each layer holds only what it changed, and a mount stacks it on the layers below.

The layout is that of containers/storage's drivers/overlay. `<graph root>/overlay/<ID>` holds `diff` (the layer's own
files), `merged` (where it is mounted), `work` (for the kernel), `link` and `lower` (see `links`), and for a base layer
`empty`, which serves as the lower folder of its mount. `overlay/tempdirs` holds layers that are being deleted.

Reading a layer changes nothing on disk. Comparisons mount layers where no other process sees them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from layerstore.drivers.base import Stack, WhiteoutFormat
from layerstore.drivers.naive import NaiveDiffs
from layerstore.drivers.options import DriverOptions
from layerstore.drivers.overlay.folders import (
    PRIVATE,
    forget_volatile,
    make_folder,
    movable,
    recover,
    refuse_composefs,
    staging,
    with_rotated,
)
from layerstore.drivers.overlay.links import is_layer_name
from layerstore.drivers.overlay.mounted import elsewhere, overlay_mounts
from layerstore.drivers.overlay.places import Places, is_parent
from layerstore.drivers.staging import NO_ROOM
from layerstore.errors import LayerInUse, NotSupported, StoreReadOnly
from layerstore.idmap import NO_MAPS, IDMappings, Owner
from layerstore.linux.folders import FolderStack, remove_path
from layerstore.linux.mounttable import KernelMount, Place
from layerstore.model import Change, DiskUsage, Progress, ShouldStop

if TYPE_CHECKING:
    from layerstore.archive.entry import TarEntry
    from layerstore.drivers.overlay.fuse import Mounter
    from layerstore.drivers.survey import Survey

_ROOT_MODE = 0o555


class OverlayDriver(NaiveDiffs):
    """Layers as folders of changes below `graph_root`.

    `mount_options` and `mount_program` are those of `storage.conf` (mountopt, mount_program). `image_stores` are the
    graph roots of additional image stores. A layer that is not below `graph_root` is looked for there, in their order.
    Such a layer can be read and built upon, but not changed.

    Mounting needs root, a user namespace, or fuse-overlayfs. That program is used if `mount_program` names it, if the
    store is marked for it, or if the kernel does not let an ordinary user mount. Everything else needs no privileges,
    except to set owners and create devices.
    """

    name = "overlay"
    takes_mounts = True

    def __init__(
        self,
        graph_root: str | os.PathLike[str],
        *,
        mount_options: Sequence[str] = (),
        mount_program: str = "",
        ignore_chown_errors: bool = False,
        image_stores: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self.home = Path(os.path.abspath(graph_root)) / self.name
        self.ignore_chown_errors = ignore_chown_errors
        self._others = [Path(os.path.abspath(store)) / self.name for store in image_stores]
        self._places = Places(self.home, self._others, mount_program)
        self._links = self._places.links
        self._mount_options = tuple(mount_options)
        self._checked = False

    # Which driver to use

    @classmethod
    def make(cls, graph_root: str | os.PathLike[str], options: DriverOptions) -> Self:
        """Return the driver of a store with these options."""
        return cls(
            graph_root,
            mount_options=options.mount_options,
            mount_program=options.mount_program,
            ignore_chown_errors=options.ignore_chown_errors,
            image_stores=options.image_stores,
        )

    @classmethod
    def works(cls, graph_root: str | os.PathLike[str]) -> bool:
        """Return whether this user can store and mount layers below `graph_root`. Leaves nothing behind."""
        from layerstore.drivers.overlay.fuse import why_not
        from layerstore.drivers.overlay.probe import check_file_system

        if os.geteuid() != 0 and why_not():
            return False
        driver = cls(graph_root)
        made = not driver.home.exists()
        try:
            os.makedirs(driver.home, mode=PRIVATE, exist_ok=True)
            check_file_system(driver.home, driver._mounter)
        except (NotSupported, OSError):
            return False
        finally:
            if made:
                with contextlib.suppress(OSError):
                    driver.home.rmdir()
        return True

    @classmethod
    def why_not(cls, options: DriverOptions) -> str:
        """Return why an ordinary user outside a user namespace cannot mount layers, "" if they can."""
        from layerstore.drivers.overlay.fuse import why_not

        return why_not(options.mount_program)

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
        """Create an empty layer on top of its parent. A failure leaves nothing of it behind.

        Raises:
            NotSupported: The file system cannot hold an overlay, the parent has 500 layers below it, or options were
                given, and this driver has none.
            FileNotFoundError: The parent has no folder.
            FileExistsError: The layer already has a folder, which was not touched.
            StoreCorrupt: The parent's folder is damaged.
        """
        del writable, mount_label, should_stop
        if options:
            raise NotSupported(f"overlay layers take no options here: remove {', '.join(sorted(options))}")
        if not parent:
            self._make(layer_id, "", None, maps.root)
            return
        like = os.stat(self.diff_root(parent))
        self._make(layer_id, self._links.below_child_of(parent), like, maps.root)

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Create a second layer with the same parent and content. A failure leaves nothing of it behind.

        Raises:
            FileNotFoundError: `layer_id` has no folder.
            FileExistsError: `new_id` already has a folder, which was not touched.
            Cancelled: `should_stop` returned True.
        """
        from layerstore.drivers.copytree import copy_tree

        source = self.diff_root(layer_id)
        refuse_composefs(layer_id, source.parent)
        lowers = self._links.repair(self._links.lowers(layer_id))
        owner = os.stat(source.parent)
        target = self._make(new_id, self._links.text(lowers), os.stat(source), (owner.st_uid, owner.st_gid))
        try:
            os.chmod(target, PRIVATE)  # its owner might not be able to write to it; copy_tree sets the final mode
            copy_tree(source, target, should_stop=should_stop)
        except BaseException:
            self.remove(new_id)
            raise

    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the files of two layers, atomically if the file system allows it (see `exchange_folders`).

        Their links stay, so layers based on either of them stay based on it.

        Raises:
            LayerInUse: One of them is mounted.
        """
        from layerstore.linux.atomic import exchange_folders

        one, other = self.diff_root(layer_id), self.diff_root(new_id)
        self._refuse_mounted(layer_id)
        self._refuse_mounted(new_id)
        with movable(one), movable(other):
            exchange_folders(one, other)

    def remove(self, layer_id: str) -> None:
        """Delete the files of the layer, if there are any.

        A crash leaves the whole layer or none of it, or a part of it if the disk is too full to move it aside.

        Raises:
            LayerInUse: The layer is mounted.
        """
        folder = self.folder_of(layer_id)
        if not os.path.lexists(folder):
            return
        self._refuse_mounted(layer_id)
        # The link goes first: a layer without its link can still be found, a link without its layer cannot.
        link = self._links.path(layer_id)
        try:
            with staging(self.home) as aside:
                if link is not None:
                    os.rename(link, aside / f"0-{link.name}")
                os.rename(folder, aside / f"1-{layer_id}")
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if link is not None:
                link.unlink(missing_ok=True)
            remove_path(folder)

    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside, unless a live process is working on it."""
        recover(self.home)

    def _make(self, layer_id: str, lower: str, like: os.stat_result | None, owner: Owner) -> Path:
        """Create the folders of a layer, and return the one for its files, which gets the owner and mode of `like`.

        `owner` is the root user of a container. It owns the layer's folder, and everything in it if `like` is None.
        """
        folder = self.folder_of(layer_id)
        if not self._checked:
            from layerstore.drivers.overlay.probe import check_file_system

            os.makedirs(self.home, mode=PRIVATE, exist_ok=True)
            check_file_system(self.home, self._mounter)
            self._checked = True
        os.mkdir(folder, PRIVATE)
        try:
            diff = folder / "diff"
            make_folder(folder, PRIVATE, owner)
            owner, mode = (owner, _ROOT_MODE) if like is None else ((like.st_uid, like.st_gid), like.st_mode)
            make_folder(diff, stat.S_IMODE(mode), owner)
            self._links.make(layer_id)
            for name in ("work", "merged", *(() if lower else ("empty",))):
                make_folder(folder / name, PRIVATE, owner)
            self._links.write_lower(layer_id, lower)
        except BaseException:
            self.remove(layer_id)
            raise
        return diff

    # Mounting

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Mount the layer on its folder `merged`, unless it is mounted there, and return that folder.

        `volatile` is for the layers of containers. It makes mounting faster, but a crash of the machine may lose what
        was written.

        Raises:
            FileNotFoundError: The layer has no folder.
            StoreCorrupt: Its folder, or the folder of a layer below, is damaged.
            StoreReadOnly: The layer is in an image store.
            StoreAccess, NotSupported, OSError: It cannot be mounted; the text says why.
        """
        from layerstore.drivers.overlay.mount_options import mount_of

        if not self._places.is_own(layer_id):
            raise StoreReadOnly(self._places.found(layer_id).parent.parent, "mount it", layer=layer_id)
        folder = self.diff_root(layer_id).parent
        merged = folder / "merged"
        if _is_mounted(merged):
            return merged
        lowers = self._links.repair(self._places.chain(layer_id))
        for name in ("merged", "work", *(() if lowers else ("empty",))):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder / name, PRIVATE)
        if not read_only:
            with contextlib.suppress(PermissionError):  # the kernel made it for itself, and can still mount
                forget_volatile(folder / "work")
        options = (*self._mount_options, *(("volatile",) if volatile and not read_only else ()))
        overlay = mount_of(self._places, layer_id, lowers, label=mount_label, read_only=read_only, options=options)
        self._mounter.attach(overlay, merged)
        return merged

    def put(self, layer_id: str) -> None:
        """Unmount the layer. Does nothing if it is not mounted.

        Raises:
            LayerInUse: A process has open files or its working folder in it.
        """
        from layerstore.drivers.overlay import fuse

        merged = self.folder_of(layer_id) / "merged"
        try:
            fuse.unmount(merged)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise LayerInUse(layer_id, mounts=(str(merged),)) from error
            raise

    def is_mounted(self, layer_id: str) -> bool:
        """Return whether the layer is mounted in this mount namespace."""
        return _is_mounted(self.folder_of(layer_id) / "merged")

    def kernel_mounts(self) -> Mapping[str, KernelMount]:
        """Return the mounts of layers in this mount namespace, by layer ID."""
        return overlay_mounts(self._real_home)

    def mounted_elsewhere(self, layer_ids: Collection[str]) -> Mapping[str, int]:
        """Return which of these layers are mounted in another mount namespace, each with the PID of a process there."""
        return elsewhere(self._real_home, layer_ids)

    def place_of(self, layer_id: str) -> Place:
        """Return the layer's mount, as a place where processes can be."""
        home = self._real_home
        kernel = overlay_mounts(home).get(layer_id)
        device = kernel.device if kernel is not None else ""
        return Place(f"{home}/{layer_id}/merged", device, f"{home}/{layer_id}/diff")

    @contextlib.contextmanager
    def _visible(self, layer_id: str, *, read_only: bool = True) -> Iterator[Path]:
        """Make a layer's file system visible until the block ends, mounting it only if necessary."""
        from layerstore.drivers.overlay.mount_options import mount_of
        from layerstore.drivers.overlay.whiteouts import has_whiteouts

        del read_only
        diff, merged = self.diff_root(layer_id), self._places.found(layer_id) / "merged"
        lowers = self._places.chain(layer_id)
        if _is_mounted(merged):
            yield merged
        elif not lowers and not has_whiteouts(diff, named=self._places.marks.fuse):
            yield diff
        else:
            overlay = mount_of(self._places, layer_id, lowers, options=self._mount_options)
            with self._mounter.aside(overlay) as path:
                yield path

    @property
    def _mounter(self) -> Mounter:
        from layerstore.drivers.overlay.fuse import Mounter

        return Mounter(self.home, self._places.mount_program, self._places.marks)

    @property
    def _real_home(self) -> str:
        return os.path.realpath(self.home)

    def _refuse_mounted(self, layer_id: str) -> None:
        merged = self.folder_of(layer_id) / "merged"
        if _is_mounted(merged):
            raise LayerInUse(layer_id, mounts=(str(merged),))

    # Diffs

    def apply_diff(
        self,
        layer_id: str,
        parent: str,
        entries: Iterable[TarEntry],
        *,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Unpack a diff into the layer and return the bytes of its files. A failure leaves the layer incomplete.

        An entry for the root itself is ignored, as in containers/storage.
        """
        from layerstore.archive.idshift import shifted
        from layerstore.archive.unpack import unpack
        from layerstore.drivers.overlay.whiteouts import OverlayWhiteouts, without_root

        del parent  # whiteouts are kept whether the parent has the file or not
        root = self.diff_root(layer_id)
        below = self._places.folders(self._places.chain(layer_id))
        whiteouts = OverlayWhiteouts(self._places.marks, below, should_stop)
        kept = without_root(entries)
        size = unpack(
            root,
            shifted(kept, maps) if maps else kept,
            owner=maps.root if maps else None,
            whiteouts=whiteouts,
            ignore_chown_errors=self.ignore_chown_errors,
            should_stop=should_stop,
        )
        whiteouts.finish(root)
        return size

    def changes(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> list[Change]:
        """Return how `layer_id` differs from `parent`, sorted by path.

        If it is based on `parent`, the changes are read from its own folder. Otherwise all files are compared, and only
        then do owners, and so the maps, matter.
        """
        from layerstore.drivers.overlay.changes import upper_changes

        lowers, marks = self._places.chain(layer_id), self._places.marks
        if marks.fuse or not is_parent(lowers, parent):
            return super().changes(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        return upper_changes(self.diff_root(layer_id), self._places.folders(lowers), marks, should_stop=should_stop)

    def diff(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> Generator[bytes]:
        """Yield a tar of the changes, in pieces of up to 1 MiB. It has whiteouts for deleted files."""
        from layerstore.drivers.overlay.pack import pack_upper

        lowers, marks = self._places.chain(layer_id), self._places.marks
        if marks.fuse:
            yield from super().diff(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        elif is_parent(lowers, parent):
            root, folders = self.diff_root(layer_id), self._places.folders(lowers)
            yield from pack_upper(root, folders, marks, maps=maps, should_stop=should_stop)
        elif parent:
            yield from super().diff(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        else:
            with self._visible(layer_id) as root:
                yield from pack_upper(root, (), marks, maps=maps, should_stop=should_stop)

    def diff_size(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Return the size in bytes of the files that `changes` adds or modifies. Hard links count once."""
        from layerstore.archive.compare import changes_size

        if self._places.marks.fuse or not is_parent(self._places.chain(layer_id), parent):
            return super().diff_size(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        changes = self.changes(layer_id, parent, should_stop=should_stop)
        return changes_size(self.diff_root(layer_id), changes, should_stop=should_stop)

    # Where a layer is

    @property
    def layers_folder(self) -> Path:
        """The folder whose subfolders are named after layers."""
        return self.home

    def is_layer_name(self, name: str) -> bool:
        """Return whether a name in `layers_folder` can be that of a layer."""
        return is_layer_name(name)

    def folder_of(self, layer_id: str) -> Path:
        """Return the folder of a layer of this store, whether it exists or not.

        Raises:
            UnusableID: No folder can have this name, or it is reserved.
        """
        return self._places.folder(layer_id)

    def exists(self, layer_id: str) -> bool:
        """Return whether the layer has a folder, in this store or in an image store."""
        return os.path.lexists(self._places.found(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs of all folders of layers, sorted."""
        try:
            with os.scandir(self.home) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(filter(is_layer_name, found))

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder of the layer's own files. Raises the errors of `Places.diff_root`."""
        return self._places.diff_root(layer_id)

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the folders that can hold files of the layer's tar. Raises the errors of `Places.diff_folders`."""
        return self._places.diff_folders(layer_id, parent)

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the allocated bytes and the inodes of the layer's own files.

        Files that containers/storage moved aside to map owners again are included. `progress` gets the bytes counted so
        far.
        """
        from layerstore.linux.usage import measure

        size = inodes = 0
        for folder in with_rotated(self.home, str(self.diff_root(layer_id))):
            with FolderStack(folder) as stack:
                part = DiskUsage(*measure(stack, progress, should_stop))
            size, inodes = size + part.size, inodes + part.inodes
        return DiskUsage(size, inodes)

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return "diff" (the layer's own files), "merged" (where it is mounted), "work" and, if it is valid, "link".

        "diff1" and so on are folders that containers/storage moved aside for copies with other owners. "composefs" is
        the image with the file names, if the layer has one.
        """
        return self._places.paths(layer_id)

    def stack(self, layer_id: str) -> Stack:
        """Return the folders of the layer and of the layers below it. Raises the errors of `get` about them."""
        return Stack(self._places.stack(layer_id), self._places.marks)

    @property
    def whiteouts(self) -> WhiteoutFormat:
        """How layers mark what they hide."""
        return self._places.marks

    # Facts and checks

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver, for people to read."""
        from layerstore.drivers.overlay.fuse import PROGRAM
        from layerstore.drivers.overlay.mount import file_system_of

        marks = self._places.marks
        return [
            ("Layers", str(len(self.list_layers()))),
            ("Folder", str(self.home)),
            ("Backing Filesystem", file_system_of(self.home) or "unknown"),
            ("Attributes", f"{marks.namespace}.overlay"),
            ("Mount Options", ",".join(self._mount_options) or "none"),
            ("Mount Program", (self._places.mount_program or PROGRAM) if marks.fuse else "none"),
        ]

    def survey(self) -> Survey:
        """Return a new survey of the layers' folders and links, for check and repair."""
        from layerstore.drivers.overlay.check import OverlaySurvey

        return OverlaySurvey(self.home, self._others)


def _is_mounted(merged: Path) -> bool:
    from layerstore.drivers.overlay.mount import is_mounted

    return is_mounted(merged)
