"""Mounting layers, counted in mountpoints.json so that several users of a mount do not end it for each other."""

from __future__ import annotations

import os
from pathlib import Path

from layerstore.errors import LayerUnknown
from layerstore.model import Layer, MountPoint
from layerstore.transaction import Transaction


def mount(tx: Transaction, layer: Layer, mount_label: str) -> Path:
    """Mount the layer, or count one more user of its mount (the seed's Mount)."""
    backend = tx.backend
    with backend.mounts_lock.write() as held:
        present = backend.mounts_file.load().by_id.get(layer.id)
        if present is not None and tx.driver.is_mounted(layer.id):
            backend.mounts_file.save(held, [MountPoint(layer.id, present.path, present.count + 1)])
            return Path(present.path)
        # A count that outlived its mount, as after a boot, counts for nothing.
        path = tx.driver.get(layer.id, mount_label=mount_label or layer.mount_label, volatile=layer.volatile)
        try:
            backend.mounts_file.save(held, [MountPoint(layer.id, os.path.normpath(path), 1)])
        except BaseException:
            tx.driver.put(layer.id)
            raise
        return path


def unmount(tx: Transaction, ref_or_path: str, *, force: bool) -> bool:
    """Count one user less, and unmount when it was the last or `force` says so; tell whether it is still mounted.

    A layer that is not mounted stays so and is no error.

    Raises:
        LayerUnknown: this is neither a layer nor the path of a mount.
    """
    backend = tx.backend
    with backend.mounts_lock.write() as held:
        table = backend.mounts_file.load()
        try:
            layer_id = tx.records.find(ref_or_path).id
        except LayerUnknown:
            at = table.at(ref_or_path)
            if at is None:
                raise
            layer_id = at.id
        present = table.by_id.get(layer_id)
        if present is not None and present.count > 1 and not force:
            backend.mounts_file.save(held, [MountPoint(layer_id, present.path, present.count - 1)])
            return True
        tx.driver.put(layer_id)
        if present is not None:
            backend.mounts_file.save(held, [MountPoint(layer_id, present.path, 0)])
        return False
