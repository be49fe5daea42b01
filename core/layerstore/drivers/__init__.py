"""Graph drivers: how a layer's files lie on disk."""

from __future__ import annotations

from layerstore.drivers.base import Driver
from layerstore.layout import Layout


def make_driver(layout: Layout) -> Driver:
    """Return the driver of this store; nothing is made on disk yet."""
    if layout.driver == "overlay":
        from layerstore.drivers.overlay import OverlayDriver

        return OverlayDriver(layout.graph_root, layout.run_root)
    from layerstore.drivers.vfs import VfsDriver

    return VfsDriver(layout.graph_root)


def best_driver(graph_root: str) -> str:
    """Return the name of the best driver for a new store: overlay where it works for this user, else vfs."""
    from layerstore.drivers.overlay import OverlayDriver

    return "overlay" if OverlayDriver(graph_root).works() else "vfs"
