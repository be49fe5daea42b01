"""Graph drivers: how a layer's files lie on disk."""

from __future__ import annotations

from collections.abc import Mapping

from layerstore.drivers.base import Driver
from layerstore.errors import NotSupported
from layerstore.layout import Layout


def make_driver(layout: Layout, options: Mapping[str, str] | None) -> Driver:
    """Return the driver of this store; nothing is made on disk yet.

    Raises:
        NotSupported: the driver is not known here, or an option is not.
    """
    if layout.driver == "vfs":
        from layerstore.drivers.vfs import VfsDriver

        return VfsDriver(layout.graph_root, options)
    raise NotSupported(f"stores of driver {layout.driver!r} cannot be opened yet; vfs can")
