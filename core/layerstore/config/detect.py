"""Detects the stores below a graph root: each driver has its own, and all of them may be in use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from layerstore.drivers import DRIVERS, known_drivers_in, parse_options
from layerstore.errors import LayerStoreError
from layerstore.records.layout import Layout, drivers_in

__all__ = [
    "DriverStore",
    "driver_stores",
    "drivers_in",
    "known_drivers_in",
    "mount_limits",
    "preferred_driver",
]


@dataclass(frozen=True, slots=True)
class DriverStore:
    """The store of one driver below a graph root.

    Attributes:
        driver: The name of the driver.
        path: The folder with the files of its layers.
        layers: The number of records, or None if they cannot be read.
        last_write: When records were last written, or None if they never were.
        known: Whether this package supports the driver.
    """

    driver: str
    path: str
    layers: int | None
    last_write: datetime | None
    known: bool


def driver_stores(graph_root: str | os.PathLike[str]) -> list[DriverStore]:
    """Return the stores below `graph_root`, sorted by driver. Takes no lock, so counts may be slightly off.

    Raises:
        StoreAccess: This user may not list the folder.
    """
    root = os.path.abspath(graph_root)
    return [_look(Layout(root, "", driver)) for driver in drivers_in(root)]


def mount_limits(graph_root: str | os.PathLike[str], options: Mapping[str, str]) -> dict[str, str]:
    """Return by driver why an ordinary user outside a user namespace cannot mount layers, "" if they can.

    Only drivers that have a store at `graph_root` and whose layers must be mounted are included.
    """
    found = {name: DRIVERS[name].load() for name in known_drivers_in(graph_root)}
    return {name: driver.why_not(parse_options(name, options)) for name, driver in found.items() if driver.takes_mounts}


def preferred_driver(stores: Sequence[DriverStore], named: str | None) -> str | None:
    """Return the driver to open first: the named one, else the one written last, or None if none is supported."""
    known = [store for store in stores if store.known]
    if any(store.driver == named for store in known):
        return named
    long_ago = datetime.fromtimestamp(0, UTC)
    return max(known, key=lambda store: store.last_write or long_ago).driver if known else None


def _look(layout: Layout) -> DriverStore:
    from layerstore.records.records import count_records

    try:
        layers: int | None = count_records(layout)
    except (LayerStoreError, OSError):
        layers = None
    times = [time for path in (layout.layers_json, layout.volatile_json) if (time := _written(path)) is not None]
    path = os.path.join(layout.graph_root, layout.driver)
    return DriverStore(layout.driver, path, layers, max(times, default=None), layout.driver in DRIVERS)


def _written(path: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    except OSError:
        return None
