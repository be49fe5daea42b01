"""Graph drivers: how the files of layers lie on disk.

To add a driver, write a subclass of `base.Driver` and add its `DriverInfo` to `_INFOS`. Opening a store imports the
module of its driver, which therefore imports late what only some of its methods need.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore.drivers.info import DriverInfo
from layerstore.drivers.options import IGNORE_CHOWN_ERRORS, IMAGE_STORES, DriverOptions
from layerstore.drivers.overlay import OVERLAY
from layerstore.errors import NotSupported, StoreMissing
from layerstore.records.layout import Layout, drivers_in

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


def _load_vfs() -> type[Driver]:
    from layerstore.drivers.vfs import VfsDriver

    return VfsDriver


_INFOS: Final = (
    OVERLAY,
    DriverInfo("vfs", frozenset({IGNORE_CHOWN_ERRORS}), _load_vfs),
)

DRIVERS: Final = {info.name: info for info in _INFOS}
"""The drivers by name, the best first."""

OPTIONS: Final = frozenset(option for info in _INFOS for option in info.options)
"""The names of the options of all drivers."""


def make_driver(layout: Layout, options: DriverOptions | None = None) -> Driver:
    """Return the driver of a store. Does not touch the disk."""
    return DRIVERS[layout.driver].load().make(layout.graph_root, options or DriverOptions())


def best_driver(graph_root: str | os.PathLike[str]) -> str:
    """Return the name of the best driver that works for this user, for a new store at `graph_root`."""
    return next(name for name, info in DRIVERS.items() if info.load().works(graph_root))


def choose_driver(graph_root: str | Path, asked: str | None, *, must_exist: bool) -> str:
    """Return the driver of the store to open at `graph_root`.

    That is the driver `asked` for, or else the best driver that has a store there. "" stands for a new store whose
    driver is yet to be found with `best_driver`.

    Raises:
        NotSupported: The driver is not in `DRIVERS`.
        StoreMissing: There is no such store, and `must_exist` is true.
    """
    found, known = drivers_in(graph_root), ", ".join(DRIVERS)
    if asked is None:
        usable = known_drivers_in(graph_root)
        if usable:
            return usable[0]
        if found:
            raise NotSupported(f"{graph_root} holds a store of driver {found[0]!r}; supported drivers are {known}")
        if must_exist:
            raise StoreMissing(graph_root, "give --root, or make one with `layertui demo`")
        return ""
    if asked not in DRIVERS:
        raise NotSupported(f"driver {asked!r} is not supported; supported drivers are {known}")
    if must_exist and asked not in found:
        there = f"it has {', '.join(found)}" if found else ""
        raise StoreMissing(os.path.join(graph_root, f"{asked}-layers"), there)
    return asked


def known_drivers_in(graph_root: str | os.PathLike[str]) -> list[str]:
    """Return the drivers of `DRIVERS` that have a store at `graph_root`, the best first."""
    found = drivers_in(os.fspath(graph_root))
    return [name for name in DRIVERS if name in found]


def current_name(name: str) -> str:
    """Return the name of a driver that storage.conf may call by a former name."""
    return next((info.name for info in _INFOS if name in info.former_names), name)


def parse_options(driver: str, options: Mapping[str, str]) -> DriverOptions:
    """Read the options of a driver, and skip those that name another driver.

    Raises:
        NotSupported: An option is unknown, or its value is invalid.
    """
    found = DriverOptions()
    for option, value in options.items():
        owner, dot, key = option.rpartition(".")
        owner = current_name(owner)
        allowed = DRIVERS[owner].options if owner in DRIVERS else OPTIONS
        if key not in allowed and key not in IMAGE_STORES:
            raise NotSupported(f"the {owner or driver} driver has no option {key!r}")
        if (dot and owner != driver) or (key not in DRIVERS[driver].options and key not in IMAGE_STORES):
            continue
        found = found.adding(key, value)
    return found
