"""The overlay driver: each layer keeps what it changed, and the kernel stacks them where one is mounted.

The layout is that of containers/storage's drivers/overlay: `<graph root>/overlay/<ID>` holds `diff` (the layer's own
files), `merged` (where it is mounted), `work` (the kernel's), `link` and `lower` (see `overlay_links`), and for a first
layer `empty`, which a mount of it has below. `overlay/tempdirs` is for what is being deleted.

Looking at a layer changes nothing on disk, and what compares layers mounts them where nobody else sees it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from layerstore.archive.changes import changes_size
from layerstore.archive.folders import FolderStack
from layerstore.archive.read import TarEntry
from layerstore.archive.unpack import unpack
from layerstore.drivers import overlay_mount
from layerstore.drivers.copy import copy_tree
from layerstore.drivers.exchange import exchange_folders
from layerstore.drivers.measure import measure
from layerstore.drivers.naive import NaiveDiffs
from layerstore.drivers.overlay_changes import upper_changes
from layerstore.drivers.overlay_folders import (
    PRIVATE,
    forget_volatile,
    make_folder,
    movable,
    recover,
    staging,
    with_rotated,
)
from layerstore.drivers.overlay_links import MAX_LOWERS, Links, Lower, is_layer_name
from layerstore.drivers.overlay_mount import OverlayMount
from layerstore.drivers.overlay_pack import pack_upper
from layerstore.drivers.overlay_probe import check_file_system
from layerstore.drivers.overlay_whiteouts import Marks, OverlayWhiteouts, has_whiteouts, marks_of, without_root
from layerstore.errors import LayerInUse, NotSupported, StoreCorrupt, UnusableID
from layerstore.layout import file_name
from layerstore.model import Change, DiskUsage, Progress, ShouldStop

_ROOT_MODE = 0o555


class OverlayDriver(NaiveDiffs):
    """Layers as folders of changes below `graph_root`; see `Driver` for the contract.

    Making the object touches nothing on disk. `mount_options` are those of `storage.conf` (mountopt), such as "nodev".
    Mounting takes root, or a user namespace; all else does not, but for owners and devices of files.
    """

    def __init__(
        self,
        graph_root: str | os.PathLike[str],
        run_root: str | os.PathLike[str] | None = None,
        *,
        mount_options: Sequence[str] = (),
    ) -> None:
        del run_root  # the peer remembers there what the kernel can do, and finding out is quick
        self.home = Path(os.path.abspath(graph_root)) / "overlay"
        self._mount_options = tuple(mount_options)
        self._links = Links(self.home)
        self._checked = False

    @property
    def name(self) -> str:
        """The name that stands in the store's paths."""
        return "overlay"

    def works(self) -> bool:
        """Tell whether this user can keep overlay layers here and mount them; tries it, and leaves nothing behind."""
        if os.geteuid() != 0:
            return False
        made = not self.home.exists()
        try:
            os.makedirs(self.home, mode=PRIVATE, exist_ok=True)
            check_file_system(self.home, self._marks)
        except (NotSupported, OSError):
            return False
        finally:
            if made:
                with contextlib.suppress(OSError):
                    self.home.rmdir()
        return True

    # Making and removing

    def create(
        self,
        layer_id: str,
        parent: str,
        *,
        writable: bool = True,
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
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
            self._make(layer_id, "", None)
            return
        like = os.stat(self.diff_root(parent))
        self._make(layer_id, self._links.below_child_of(parent), like)

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Make a second layer with the same parent and content. On any failure nothing of it is left.

        Raises:
            FileNotFoundError: `layer_id` has no folder.
            FileExistsError: `new_id` has one already; it stays as it is.
            Cancelled: `should_stop` said so.
        """
        source = self.diff_root(layer_id)
        lowers = self._links.repair(self._links.lowers(layer_id))
        target = self._make(new_id, self._links.text(lowers), os.stat(source))
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
        """Delete the layer's files; a layer without files is no error. A crash leaves all of it or none.

        Raises:
            LayerInUse: it is mounted.
        """
        folder = self._folder(layer_id)
        if not os.path.lexists(folder):
            return
        self._refuse_mounted(layer_id)
        with staging(self.home) as aside:
            # The link goes first: the layer could be found without it, but not it without the layer.
            link = self._links.path(layer_id)
            if link is not None:
                os.rename(link, aside / f"0-{link.name}")
            os.rename(folder, aside / f"1-{layer_id}")

    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside, unless a live process is at it."""
        recover(self.home)

    def _make(self, layer_id: str, lower: str, like: os.stat_result | None) -> Path:
        """Make the folders of a layer; return the one for its files, with owner and mode of `like`."""
        folder = self._folder(layer_id)
        if not self._checked:
            os.makedirs(self.home, mode=PRIVATE, exist_ok=True)
            check_file_system(self.home, self._marks)
            self._checked = True
        os.mkdir(folder, PRIVATE)
        try:
            diff = folder / "diff"
            make_folder(folder, PRIVATE, None)
            make_folder(diff, _ROOT_MODE if like is None else stat.S_IMODE(like.st_mode), like)
            self._links.make(layer_id)
            for name in ("work", "merged", *(() if lower else ("empty",))):
                make_folder(folder / name, PRIVATE, like)
            self._links.write_lower(layer_id, lower)
        except BaseException:
            self.remove(layer_id)
            raise
        return diff

    # Mounting

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Mount the layer on its folder `merged`, unless it is mounted there already; return that folder.

        `volatile` is for containers' layers: a crash of the machine may lose what was written, and mounting is faster.

        Raises:
            FileNotFoundError: there is no such layer.
            StoreCorrupt: its folder, or one of a layer below, is damaged.
            StoreAccess, NotSupported, OSError: it cannot be mounted here; the text says why.
        """
        folder = self.diff_root(layer_id).parent
        merged = folder / "merged"
        if overlay_mount.is_mounted(merged):
            return merged
        lowers = self._links.repair(self._chain(layer_id))
        for name in ("merged", "work", *(() if lowers else ("empty",))):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder / name, PRIVATE)
        if not read_only:
            forget_volatile(folder / "work")
        options = ("volatile",) if volatile and not read_only else ()
        self._overlay(layer_id, lowers, mount_label, read_only=read_only, options=options).attach(merged)
        return merged

    def put(self, layer_id: str) -> None:
        """End the mount; a layer that is not mounted is no error.

        Raises:
            LayerInUse: files in it are open, or it is somebody's working folder.
        """
        merged = self._folder(layer_id) / "merged"
        try:
            overlay_mount.unmount(merged)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise LayerInUse(layer_id, mounts=(str(merged),)) from error
            raise

    def is_mounted(self, layer_id: str) -> bool:
        """Tell whether the layer is mounted, as far as this process can see."""
        return overlay_mount.is_mounted(self._folder(layer_id) / "merged")

    @contextlib.contextmanager
    def _visible(self, layer_id: str, *, read_only: bool = True) -> Iterator[Path]:
        """Have a layer's file system at hand, mounted aside unless there is an easier way."""
        del read_only
        diff, merged = self.diff_root(layer_id), self._folder(layer_id) / "merged"
        lowers = self._chain(layer_id)
        if overlay_mount.is_mounted(merged):
            yield merged
        elif not lowers and not has_whiteouts(diff):
            yield diff
        else:
            with self._overlay(layer_id, lowers, "", read_only=True).aside() as path:
                yield path

    def _overlay(
        self, layer_id: str, lowers: list[Lower], label: str, *, read_only: bool, options: tuple[str, ...] = ()
    ) -> OverlayMount:
        folders = list(with_rotated(self.home, f"{layer_id}/diff"))
        for lower in lowers:
            folders += [lower.path, *list(with_rotated(self.home, f"{lower.layer}/diff"))[1:]]
        diff = folders.pop(0)
        upper, work = diff, f"{layer_id}/work"
        options = (*self._mount_options, *options)
        if read_only and len(folders) < MAX_LOWERS:
            folders.insert(0, diff)
            upper = work = ""
        elif read_only:  # the layer itself would be one too many below
            options += ("ro",)
        if not lowers and os.path.isdir(self.home / layer_id / "empty"):
            folders.append(f"{layer_id}/empty")
        return OverlayMount(
            self.home, tuple(folders), upper, work, options, label, userxattr=self._marks.namespace == "user"
        )

    # Diffs

    def apply_diff(
        self, layer_id: str, parent: str, entries: Iterable[TarEntry], *, should_stop: ShouldStop | None = None
    ) -> int:
        """Unpack a diff into the layer; return the bytes of the files in it. On failure the layer is incomplete.

        An entry for the root itself is ignored, as by the peer.
        """
        del parent  # what is hidden there need not be known
        root = self.diff_root(layer_id)
        below = self._folders(self._chain(layer_id))
        whiteouts = OverlayWhiteouts(self._marks, below, should_stop)
        size = unpack(root, without_root(entries), whiteouts=whiteouts, should_stop=should_stop)
        whiteouts.finish(root)
        return size

    def changes(self, layer_id: str, parent: str, *, should_stop: ShouldStop | None = None) -> list[Change]:
        """Return how `layer_id` differs from `parent`, sorted by path.

        From the layer it is based on it is told by what the layer holds, from any other by comparing all files.
        """
        lowers = self._chain(layer_id)
        if not _is_parent(lowers, parent):
            return super().changes(layer_id, parent, should_stop=should_stop)
        return upper_changes(self.diff_root(layer_id), self._folders(lowers), self._marks, should_stop=should_stop)

    def diff(self, layer_id: str, parent: str, *, should_stop: ShouldStop | None = None) -> Generator[bytes]:
        """Yield a tar of the changes, with whiteouts for what was deleted, in pieces of up to 1 MiB."""
        lowers = self._chain(layer_id)
        if _is_parent(lowers, parent):
            root = self.diff_root(layer_id)
            yield from pack_upper(root, self._folders(lowers), self._marks, should_stop=should_stop)
        elif parent:
            yield from super().diff(layer_id, parent, should_stop=should_stop)
        else:
            with self._visible(layer_id) as root:
                yield from pack_upper(root, (), self._marks, should_stop=should_stop)

    def diff_size(self, layer_id: str, parent: str, *, should_stop: ShouldStop | None = None) -> int:
        """Return the bytes of the files that `changes` adds or modifies, hard links counted once."""
        if not _is_parent(self._chain(layer_id), parent):
            return super().diff_size(layer_id, parent, should_stop=should_stop)
        changes = self.changes(layer_id, parent, should_stop=should_stop)
        return changes_size(self.diff_root(layer_id), changes, should_stop=should_stop)

    # Looking

    def exists(self, layer_id: str) -> bool:
        """Tell whether there is a folder of this layer."""
        return os.path.lexists(self._folder(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs that there are folders of, sorted."""
        try:
            with os.scandir(self.home) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(filter(is_layer_name, found))

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder that holds the layer's own files, those that its tar-split names.

        Raises:
            FileNotFoundError: there is no such layer.
            StoreCorrupt: there is, without this folder.
        """
        diff = self._existing(layer_id) / "diff"
        if not os.path.isdir(diff):
            raise StoreCorrupt(diff, "the folder of the layer's files is missing")
        return diff

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the allocated bytes and the inodes of the layer's own files.

        `progress` hears of the bytes counted so far.
        """
        with FolderStack(self.diff_root(layer_id)) as stack:
            return measure(stack, progress, should_stop)

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return "diff" (the layer's own files), "merged" (where it is mounted), "work" and, if good, "link"."""
        folder = self._folder(layer_id)
        found = {name: folder / name for name in ("diff", "merged", "work")}
        link = self._links.path(layer_id)
        return found if link is None else {**found, "link": link}

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver for people."""
        return [
            ("Layers", str(len(self.list_layers()))),
            ("Folder", str(self.home)),
            ("Backing Filesystem", overlay_mount.file_system_of(self.home) or "unknown"),
            ("Attributes", f"{self._marks.namespace}.overlay"),
            ("Mount Options", ",".join(self._mount_options) or "none"),
        ]

    @property
    def _marks(self) -> Marks:
        return marks_of(self.home)

    def _folder(self, layer_id: str) -> Path:
        """Return where a layer lies. Every path is made here, so that no ID can lead elsewhere.

        Raises:
            UnusableID: the ID cannot be a file's name, or is one that is not for layers.
        """
        if not is_layer_name(file_name(layer_id)):
            raise UnusableID(layer_id)
        return self.home / layer_id

    def _existing(self, layer_id: str) -> Path:
        folder = self._folder(layer_id)
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a layer must be a folder", str(folder))
        return folder

    def _chain(self, layer_id: str) -> list[Lower]:
        """Return the layers below, after making sure that this driver knows how they lie on disk."""
        self._existing(layer_id)
        lowers = self._links.lowers(layer_id)
        for layer in (layer_id, *(lower.layer for lower in lowers)):
            if os.path.lexists(self.home / layer / "composefs-data"):
                raise NotSupported(f"layer {layer[:16]} lies in a composefs image, which is not supported")
        with contextlib.suppress(FileNotFoundError):
            if (self.home / ".has-mount-program").read_bytes().strip() == b"true":
                raise NotSupported(f"the layers at {self.home} are for fuse-overlayfs, which is not supported")
        return lowers

    def _folders(self, lowers: list[Lower]) -> list[str]:
        return [str(self.home / lower.layer / "diff") for lower in lowers]

    def _refuse_mounted(self, layer_id: str) -> None:
        merged = self._folder(layer_id) / "merged"
        if overlay_mount.is_mounted(merged):
            raise LayerInUse(layer_id, mounts=(str(merged),))


def _is_parent(lowers: list[Lower], parent: str) -> bool:
    return lowers[0].layer == parent if lowers else not parent
