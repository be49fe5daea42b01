"""Jobs of the first screen. Their threads import the modules that read a store, to keep the first frame fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layertui.jobs.runner import Job

if TYPE_CHECKING:
    from layerstore import DriverStore, LayerStore
    from layertui.model.query import Listing

OpenStore = Callable[[], "LayerStore"]
"""A function that opens the store, called in a thread."""


@dataclass(frozen=True, slots=True)
class DriverChoice:
    """A graph root that may hold stores of several drivers.

    Attributes:
        graph_root: The folder.
        open: Opens the store of a driver.
        named: The driver that the configuration names.
        ask: Whether to ask which store to open. False if the user has named a driver.
    """

    graph_root: str
    open: Callable[[str], LayerStore]
    named: str | None = None
    ask: bool = True


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An open store, and the list of its layers."""

    store: LayerStore
    listing: Listing


@dataclass(frozen=True, slots=True)
class BusyLock:
    """A lock that is held, "" for none, and the holders that this user can see."""

    path: str = ""
    holders: Sequence[str] = ()


def lock_job(graph_root: str) -> Job[BusyLock]:
    """Find the lock of the store that keeps readers waiting, and who holds it."""

    def work(job: Job[BusyLock]) -> BusyLock:
        from layerstore import busy_lock  # noqa: PLC0415 - see above

        del job
        busy = busy_lock(graph_root)
        return BusyLock(busy.path, busy.holders) if busy is not None else BusyLock()

    return Job("find the holder of the lock", work, quiet=True, key="lock")


def drivers_job(graph_root: str, *, if_several: bool = False) -> Job[Sequence[DriverStore]]:
    """Find the stores in one graph root. With `if_several`, return nothing if there is only one, to save time."""

    def work(job: Job[Sequence[DriverStore]]) -> Sequence[DriverStore]:
        from layerstore import driver_stores, known_drivers_in  # noqa: PLC0415 - see above

        del job
        if if_several and len(known_drivers_in(graph_root)) < 2:
            return ()
        return driver_stores(graph_root)

    return Job("look for stores", work, quiet=True, key="drivers")


def open_job(open_store: OpenStore) -> Job[OpenedStore]:
    """Open the store and read it for the first time."""

    def work(job: Job[OpenedStore]) -> OpenedStore:
        from layertui.jobs.read import read_view  # noqa: PLC0415 - see above
        from layertui.model.query import build_listing  # noqa: PLC0415 - see above

        del job
        store = open_store()
        return OpenedStore(store, build_listing(read_view(store, {})))

    return Job("open the store", work, quiet=True, key="open")
