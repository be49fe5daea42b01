"""The overlay driver: layers as folders that the kernel or fuse-overlayfs stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.drivers.info import DriverInfo
from layerstore.drivers.options import IGNORE_CHOWN_ERRORS, MOUNT_OPTIONS, MOUNT_PROGRAM

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


def _load() -> type[Driver]:
    from layerstore.drivers.overlay.driver import OverlayDriver

    return OverlayDriver


OVERLAY = DriverInfo(
    "overlay", frozenset({MOUNT_OPTIONS, MOUNT_PROGRAM, IGNORE_CHOWN_ERRORS}), _load, former_names=("overlay2",)
)
