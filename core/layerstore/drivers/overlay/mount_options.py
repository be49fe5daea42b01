"""Mounting the layers of an overlay store, for people on their folder `merged`, for comparisons aside."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from layerstore.drivers.overlay import fuse, mount
from layerstore.drivers.overlay.folders import PRIVATE, forget_volatile, with_rotated
from layerstore.drivers.overlay.links import MAX_LOWERS, Lower
from layerstore.drivers.overlay.mount import OverlayMount
from layerstore.drivers.overlay.places import OverlayPlaces
from layerstore.drivers.overlay.probe import check_file_system
from layerstore.drivers.overlay.whiteouts import has_whiteouts
from layerstore.errors import LayerInUse, NotSupported, StoreReadOnly


class OverlayMounting(OverlayPlaces):
    """The part of the overlay driver that mounts."""

    def works(self) -> bool:
        """Tell whether this user can keep overlay layers here and mount them; tries it, and leaves nothing behind."""
        if os.geteuid() != 0 and fuse.why_not(self._mount_program):
            return False
        made = not self.home.exists()
        try:
            os.makedirs(self.home, mode=PRIVATE, exist_ok=True)
            check_file_system(self.home, self._mounter)
        except (NotSupported, OSError):
            return False
        finally:
            if made:
                with contextlib.suppress(OSError):
                    self.home.rmdir()
        return True

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Mount the layer on its folder `merged`, unless it is mounted there already; return that folder.

        `volatile` is for containers' layers: a crash of the machine may lose what was written, and mounting is faster.

        Raises:
            FileNotFoundError: there is no such layer.
            StoreCorrupt: its folder, or one of a layer below, is damaged.
            StoreReadOnly: it lies in an image store.
            StoreAccess, NotSupported, OSError: it cannot be mounted here; the text says why.
        """
        if not self._is_ours(layer_id):
            raise StoreReadOnly(self._found(layer_id).parent.parent, "mount it", layer=layer_id)
        folder = self.diff_root(layer_id).parent
        merged = folder / "merged"
        if mount.is_mounted(merged):
            return merged
        lowers = self._links.repair(self._chain(layer_id))
        for name in ("merged", "work", *(() if lowers else ("empty",))):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder / name, PRIVATE)
        if not read_only:
            with contextlib.suppress(PermissionError):  # the kernel's own, in the way of nobody but the kernel
                forget_volatile(folder / "work")
        options = ("volatile",) if volatile and not read_only else ()
        overlay = self._overlay(layer_id, lowers, mount_label, read_only=read_only, options=options)
        self._mounter.attach(overlay, merged)
        return merged

    def put(self, layer_id: str) -> None:
        """End the mount; a layer that is not mounted is no error.

        Raises:
            LayerInUse: files in it are open, or it is somebody's working folder.
        """
        merged = self._folder(layer_id) / "merged"
        try:
            fuse.unmount(merged)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise LayerInUse(layer_id, mounts=(str(merged),)) from error
            raise

    def is_mounted(self, layer_id: str) -> bool:
        """Tell whether the layer is mounted, as far as this process can see."""
        return mount.is_mounted(self._folder(layer_id) / "merged")

    @contextlib.contextmanager
    def _visible(self, layer_id: str, *, read_only: bool = True) -> Iterator[Path]:
        """Have a layer's file system at hand, mounted aside unless there is an easier way."""
        del read_only
        diff, merged = self.diff_root(layer_id), self._found(layer_id) / "merged"
        lowers = self._chain(layer_id)
        if mount.is_mounted(merged):
            yield merged
        elif not lowers and not has_whiteouts(diff, named=self._marks.fuse):
            yield diff
        else:
            with self._mounter.aside(self._overlay(layer_id, lowers, "", read_only=True)) as path:
                yield path

    def _overlay(
        self, layer_id: str, lowers: list[Lower], label: str, *, read_only: bool, options: tuple[str, ...] = ()
    ) -> OverlayMount:
        own = layer_id if self._is_ours(layer_id) else str(self._found(layer_id))
        folders = list(with_rotated(self.home, f"{own}/diff"))
        for lower in lowers:
            folders += [lower.path, *list(with_rotated(self.home, lower.diff))[1:]]
        diff = folders.pop(0)
        upper, work = diff, f"{own}/work"
        options = (*self._mount_options, *options)
        if read_only and len(folders) < MAX_LOWERS:
            folders.insert(0, diff)
            upper = work = ""
        elif read_only:  # the layer itself would be one too many below
            options += ("ro",)
        if not lowers and os.path.isdir(self.home / own / "empty"):
            folders.append(f"{own}/empty")
        return OverlayMount(
            self.home, tuple(folders), upper, work, options, label, userxattr=self._marks.namespace == "user"
        )

    def _refuse_mounted(self, layer_id: str) -> None:
        merged = self._folder(layer_id) / "merged"
        if mount.is_mounted(merged):
            raise LayerInUse(layer_id, mounts=(str(merged),))
