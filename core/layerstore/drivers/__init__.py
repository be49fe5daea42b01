"""Graph drivers: how a layer's files lie on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.drivers.options import DriverOptions
from layerstore.records.layout import Layout

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


def make_driver(layout: Layout, options: DriverOptions | None = None) -> Driver:
    """Return the driver of this store; nothing is made on disk yet."""
    options = options or DriverOptions()
    if layout.driver == "overlay":
        from layerstore.drivers.overlay.driver import OverlayDriver

        return OverlayDriver(
            layout.graph_root,
            layout.run_root,
            mount_options=options.mount_options,
            mount_program=options.mount_program,
            ignore_chown_errors=options.ignore_chown_errors,
            image_stores=options.image_stores,
        )
    from layerstore.drivers.vfs import VfsDriver

    return VfsDriver(
        layout.graph_root, ignore_chown_errors=options.ignore_chown_errors, image_stores=options.image_stores
    )


def best_driver(graph_root: str) -> str:
    """Return the name of the best driver for a new store: overlay where it works for this user, else vfs."""
    from layerstore.drivers.overlay.driver import OverlayDriver

    return "overlay" if OverlayDriver(graph_root).works() else "vfs"
