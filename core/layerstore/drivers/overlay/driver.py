"""The overlay driver: each layer keeps what it changed, and the kernel stacks them where one is mounted.

The layout is that of containers/storage's drivers/overlay: `<graph root>/overlay/<ID>` holds `diff` (the layer's own
files), `merged` (where it is mounted), `work` (the kernel's), `link` and `lower` (see `overlay_links`), and for a first
layer `empty`, which a mount of it has below. `overlay/tempdirs` is for what is being deleted.

Looking at a layer changes nothing on disk, and what compares layers mounts them where nobody else sees it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path

from layerstore.archive.compare import changes_size
from layerstore.archive.entry import TarEntry
from layerstore.archive.idshift import shifted
from layerstore.archive.unpack import unpack
from layerstore.drivers.copytree import copy_tree
from layerstore.drivers.naive import NaiveDiffs
from layerstore.drivers.overlay.changes import upper_changes
from layerstore.drivers.overlay.folders import PRIVATE, make_folder, movable, recover, refuse_composefs, staging
from layerstore.drivers.overlay.mount_options import OverlayMounting
from layerstore.drivers.overlay.pack import pack_upper
from layerstore.drivers.overlay.places import is_parent
from layerstore.drivers.overlay.probe import check_file_system
from layerstore.drivers.overlay.whiteouts import OverlayWhiteouts, without_root
from layerstore.drivers.staging import NO_ROOM
from layerstore.errors import NotSupported
from layerstore.idmap import NO_MAPS, IDMappings, Owner
from layerstore.linux.atomic import exchange_folders
from layerstore.linux.folders import remove_path
from layerstore.model import Change, ShouldStop

_ROOT_MODE = 0o555


class OverlayDriver(OverlayMounting, NaiveDiffs):
    """Layers as folders of changes below `graph_root`; see `Driver` for the contract.

    Making the object touches nothing on disk. `mount_options` are those of `storage.conf` (mountopt), such as "nodev";
    `mount_program` is its mount_program. `image_stores` are the graph roots of additional image stores: a layer that is
    not below `graph_root` is looked for there, in their order, and can be looked at and built upon, never changed.
    Mounting takes root, a user namespace, or fuse-overlayfs, which is used where it is named, where the store is made
    for it, or where the kernel does not let an ordinary user mount. All else takes none of them, but for owners and
    devices of files.
    """

    # Making and removing

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
        """Make an empty layer on top of its parent. On any failure nothing of it is left behind.

        Raises:
            NotSupported: the file system cannot hold an overlay; the parent has 500 layers below it; or there are
                options, and this driver has none.
            FileNotFoundError: the parent has no folder.
            FileExistsError: the layer has one already; it stays as it is.
            StoreCorrupt: the parent's folder is damaged.
        """
        del writable, mount_label, should_stop
        if options:
            raise NotSupported(f"overlay layers have no options here, and one was given {', '.join(sorted(options))}")
        if not parent:
            self._make(layer_id, "", None, maps.root)
            return
        like = os.stat(self.diff_root(parent))
        self._make(layer_id, self._links.below_child_of(parent), like, maps.root)

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Make a second layer with the same parent and content. On any failure nothing of it is left.

        Raises:
            FileNotFoundError: `layer_id` has no folder.
            FileExistsError: `new_id` has one already; it stays as it is.
            Cancelled: `should_stop` said so.
        """
        source = self.diff_root(layer_id)
        refuse_composefs(layer_id, source.parent)
        lowers = self._links.repair(self._links.lowers(layer_id))
        owner = os.stat(source.parent)
        target = self._make(new_id, self._links.text(lowers), os.stat(source), (owner.st_uid, owner.st_gid))
        try:
            os.chmod(target, PRIVATE)  # its owner could not write to it otherwise; the copy sets the mode in the end
            copy_tree(source, target, should_stop=should_stop)
        except BaseException:
            self.remove(new_id)
            raise

    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the files of two layers, in one step where the file system can; see `exchange_folders`.

        Names and places stay, so whoever is based on a layer stays based on it.

        Raises:
            LayerInUse: one of them is mounted.
        """
        one, other = self.diff_root(layer_id), self.diff_root(new_id)
        self._refuse_mounted(layer_id)
        self._refuse_mounted(new_id)
        with movable(one), movable(other):
            exchange_folders(one, other)

    def remove(self, layer_id: str) -> None:
        """Delete the layer's files; a layer without files is no error.

        A crash leaves all of it or none; a part, where the disk is too full to move it aside.

        Raises:
            LayerInUse: it is mounted.
        """
        folder = self._folder(layer_id)
        if not os.path.lexists(folder):
            return
        self._refuse_mounted(layer_id)
        # The link goes first: the layer could be found without it, but not it without the layer.
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
        """Delete what an interrupted `remove` left aside, unless a live process is at it."""
        recover(self.home)

    def _make(self, layer_id: str, lower: str, like: os.stat_result | None, owner: Owner) -> Path:
        """Make the folders of a layer; return the one for its files, with owner and mode of `like`.

        `owner` is that of a container's root: it owns the layer's folder, and all in it where `like` is None.
        """
        folder = self._folder(layer_id)
        if not self._checked:
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
        """Unpack a diff into the layer; return the bytes of the files in it. On failure the layer is incomplete.

        An entry for the root itself is ignored, as by the peer.
        """
        del parent  # what is hidden there need not be known
        root = self.diff_root(layer_id)
        below = self._folders(self._chain(layer_id))
        whiteouts = OverlayWhiteouts(self._marks, below, should_stop)
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

        From the layer it is based on it is told by what the layer holds, from any other by comparing all files; only
        then do owners, and so the maps, matter.
        """
        lowers = self._chain(layer_id)
        if self._marks.fuse or not is_parent(lowers, parent):
            return super().changes(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        return upper_changes(self.diff_root(layer_id), self._folders(lowers), self._marks, should_stop=should_stop)

    def diff(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> Generator[bytes]:
        """Yield a tar of the changes, with whiteouts for what was deleted, in pieces of up to 1 MiB."""
        lowers = self._chain(layer_id)
        if self._marks.fuse:
            yield from super().diff(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        elif is_parent(lowers, parent):
            root = self.diff_root(layer_id)
            yield from pack_upper(root, self._folders(lowers), self._marks, maps=maps, should_stop=should_stop)
        elif parent:
            yield from super().diff(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        else:
            with self._visible(layer_id) as root:
                yield from pack_upper(root, (), self._marks, maps=maps, should_stop=should_stop)

    def diff_size(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Return the bytes of the files that `changes` adds or modifies, hard links counted once."""
        if self._marks.fuse or not is_parent(self._chain(layer_id), parent):
            return super().diff_size(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
        changes = self.changes(layer_id, parent, should_stop=should_stop)
        return changes_size(self.diff_root(layer_id), changes, should_stop=should_stop)
