"""The store's verbs that mount layers and tell of their mounts."""

from __future__ import annotations

import os
from pathlib import Path

from layerstore.model import MountState
from layerstore.operations import mount as mounting
from layerstore.operations.transaction import Backend


class MountVerbs:
    """The part of `LayerStore` that mounts."""

    _backend: Backend

    def mount(self, ref: str, mount_label: str = "") -> Path:
        """Mount the layer, or count one more user of its mount; return where (Mount in layers.go).

        A mount that is there keeps the label that it has. With vfs the layer's own folder is what is returned. A crash
        half-way leaves a mount that nobody has counted, or a count without a mount; the next call takes either over.
        What is written to the mount becomes part of the layer, and its diff is then no longer the tar that came in.

        Raises:
            LayerUnknown, StoreReadOnly: there is no such layer, or it is not this store's.
            LayerInUse: it is mounted in another mount namespace.
            StoreCorrupt, StoreAccess, NotSupported, OSError: it cannot be mounted here; the text says why.
        """
        with self._backend.mounting("mount") as tx:
            return mounting.mount(tx, tx.records.find(ref), mount_label)

    def unmount(self, ref_or_path: str | os.PathLike[str], *, force: bool = False) -> bool:
        """Count one user less and unmount after the last; tell if it is still mounted (Unmount in layers.go).

        With `force` it is unmounted whatever the count. A layer that is not mounted is no error; a count that outlived
        its mount goes.

        Raises:
            LayerUnknown: this is neither a layer nor the path of a mount.
            LayerInUse: processes are in it, or it is mounted in another mount namespace; nothing was changed.
        """
        with self._backend.mounting("unmount") as tx:
            return mounting.unmount(tx, os.fspath(ref_or_path), force=force)

    def mounts(self) -> list[MountState]:
        """Return every mount of a layer that mountpoints.json or the kernel knows of, and where it really is.

        Mounts in other mount namespaces are found as far as this user may look into them.
        """
        with self._backend.reading():
            return list(mounting.survey(self._backend).values())

    def mount_users(self, ref: str) -> mounting.MountUsers:
        """Return who uses the layer's mount; looks at every process that this user may see.

        Raises:
            LayerUnknown: there is no such layer.
        """
        with self._backend.reading() as records:
            return mounting.users(self._backend, records.find(ref).id, self._backend.references(records))

    def clear_stale_mounts(self, ref: str | None = None) -> list[MountState]:
        """Take away what mountpoints.json says of mounts that the kernel does not have; return them.

        `ref` is a layer, and may be the ID of one whose record is gone; by default all.

        Raises:
            LayerUnknown: there is neither such a layer nor such a line.
        """
        with self._backend.writing("clear stale mounts") as tx:
            return mounting.clear_stale(tx, ref)
