"""The options of a store's driver: what `storage.conf`, `STORAGE_OPTS` and `--storage-opt` can say about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from layerstore.errors import NotSupported

KNOWN = frozenset({"mountopt", "mount_program", "ignore_chown_errors"})
"""What can be said of a driver, as "overlay.mountopt", or as "mountopt" for whichever driver it is."""

IMAGE_STORES = frozenset({"imagestore", "additionalimagestore", "additionalimagestores"})
"""The names under which image stores can be given; commas stand between several."""

_OF_VFS = frozenset({"ignore_chown_errors"})


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """The options of one store.

    mount_options: those of mount(8) for the layers' mounts, such as "nodev".
    mount_program: what mounts instead of the kernel, such as /usr/bin/fuse-overlayfs; "" for the kernel.
    ignore_chown_errors: whether files keep the wrong owner where the right one cannot be set.
    image_stores: the graph roots of the additional image stores.
    """

    mount_options: tuple[str, ...] = ()
    mount_program: str = ""
    ignore_chown_errors: bool = False
    image_stores: tuple[str, ...] = ()

    @classmethod
    def parse(cls, driver: str, options: Mapping[str, str]) -> DriverOptions:
        """Read the options for a driver; those that name another one are left out.

        Raises:
            NotSupported: an option is not known, or its value cannot be one.
        """
        found = cls()
        for option, value in options.items():
            owner, dot, key = option.rpartition(".")
            if (key not in KNOWN or (owner == "vfs" and key not in _OF_VFS)) and key not in IMAGE_STORES:
                raise NotSupported(f"the {owner or driver} driver has no option {key!r} here")
            if dot and owner not in {driver, f"{driver}2"}:
                continue
            found = found._with(driver, key, value)
        return found

    def _with(self, driver: str, key: str, value: str) -> DriverOptions:
        if key in IMAGE_STORES:
            return replace(self, image_stores=(*self.image_stores, *_stores(value)))
        if key == "ignore_chown_errors":
            return replace(self, ignore_chown_errors=_truth(key, value))
        if driver == "vfs":
            return self  # it does not mount
        if key == "mount_program":
            return replace(self, mount_program=value)
        return replace(self, mount_options=tuple(part for part in value.split(",") if part))


def _stores(value: str) -> list[str]:
    paths = [path for path in value.split(",") if path]
    for path in paths:
        if not os.path.isabs(path):
            raise NotSupported(f"the path of an image store must begin with a slash: {path!r}")
    return paths


def _truth(key: str, value: str) -> bool:
    words = {"": False, "0": False, "f": False, "false": False, "1": True, "t": True, "true": True}
    try:
        return words[value.lower()]
    except KeyError:
        raise NotSupported(f"{key} must be true or false, and is {value!r}") from None
