"""Graph drivers: how a layer's files lie on disk."""

from __future__ import annotations

from layerstore.drivers.base import Driver
from layerstore.layout import Layout


def make_driver(layout: Layout) -> Driver:
    """Return the driver of this store; nothing is made on disk yet."""
    from layerstore.drivers.vfs import VfsDriver

    return VfsDriver(layout.graph_root)
