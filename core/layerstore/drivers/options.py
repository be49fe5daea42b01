"""Driver options: what `storage.conf`, `STORAGE_OPTS` and `--storage-opt` can set for a store's driver."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Final

from layerstore.errors import NotSupported

MOUNT_OPTIONS: Final = "mountopt"
MOUNT_PROGRAM: Final = "mount_program"
IGNORE_CHOWN_ERRORS: Final = "ignore_chown_errors"
IMAGE_STORES: Final = frozenset({"imagestore", "additionalimagestore", "additionalimagestores"})
"""The options that name image stores, whatever the driver. Commas separate several paths."""


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """The options of one store.

    Attributes:
        mount_options: Options of mount(8) for the mounts of layers, such as "nodev".
        mount_program: The program that mounts instead of the kernel, such as /usr/bin/fuse-overlayfs, or "".
        ignore_chown_errors: Whether files keep the wrong owner if the right one cannot be set.
        image_stores: The graph roots of the additional image stores.
    """

    mount_options: tuple[str, ...] = ()
    mount_program: str = ""
    ignore_chown_errors: bool = False
    image_stores: tuple[str, ...] = ()

    def adding(self, key: str, value: str) -> DriverOptions:
        """Return these options with one more set.

        Raises:
            NotSupported: The value is invalid.
        """
        if key in IMAGE_STORES:
            return replace(self, image_stores=(*self.image_stores, *_stores(value)))
        if key == IGNORE_CHOWN_ERRORS:
            return replace(self, ignore_chown_errors=_truth(key, value))
        if key == MOUNT_PROGRAM:
            return replace(self, mount_program=value)
        return replace(self, mount_options=tuple(part for part in value.split(",") if part))


def _stores(value: str) -> list[str]:
    paths = [path for path in value.split(",") if path]
    for path in paths:
        if not os.path.isabs(path):
            raise NotSupported(f"the path of an image store must start with a slash: {path!r}")
    return paths


def _truth(key: str, value: str) -> bool:
    words = {"": False, "0": False, "f": False, "false": False, "1": True, "t": True, "true": True}
    try:
        return words[value.lower()]
    except KeyError:
        raise NotSupported(f"{key} must be true or false, not {value!r}") from None
