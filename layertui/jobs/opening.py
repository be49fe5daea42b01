"""The jobs of the first screen. What reads a store is imported in their threads, once that screen is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from layertui.jobs.runner import Job

if TYPE_CHECKING:
    from layerstore.config.detect import DriverStore
    from layerstore.store import LayerStore
    from layertui.model.query import Listing

    OpenStore = Callable[[], LayerStore]


@dataclass(frozen=True, slots=True)
class DriverChoice:
    """A graph root that may have the stores of several drivers.

    `named` is the driver that the configuration names; `ask` is False where the user has named one.
    """

    graph_root: str
    open: Callable[[str], LayerStore]
    named: str | None = None
    ask: bool = True


@dataclass(eq=False, repr=False)
class StoreOpened(Message):
    """The store is open, and this is what is in it."""

    store: LayerStore
    listing: Listing


@dataclass(eq=False, repr=False)
class DriversFound(Message):
    """These are the stores of one graph root."""

    stores: Sequence[DriverStore]


@dataclass(eq=False, repr=False)
class LockSeen(Message):
    """This lock of the store is held by these processes now, as far as the system tells; `path` is "" if none is."""

    path: str = ""
    holders: Sequence[str] = ()


def lock_job(graph_root: str) -> Job:
    """Find out which lock of the store keeps readers waiting, and who holds it."""

    def work(job: Job) -> Message:
        from layerstore.records.locks import busy_lock  # noqa: PLC0415 - see above

        del job
        busy = busy_lock(graph_root)
        return LockSeen(busy.path, busy.holders) if busy is not None else LockSeen()

    return Job("look who has the lock", work, quiet=True, key="lock")


def drivers_job(graph_root: str, *, if_several: bool = False) -> Job:
    """Find the stores of one graph root; with `if_several` say nothing of one alone: counting its layers takes time."""

    def work(job: Job) -> Message:
        from layerstore.records.layout import DRIVERS, drivers_in  # noqa: PLC0415 - see above

        del job
        if if_several and len(set(DRIVERS).intersection(drivers_in(graph_root))) < 2:
            return DriversFound(())
        from layerstore.config.detect import driver_stores  # noqa: PLC0415 - see above

        return DriversFound(driver_stores(graph_root))

    return Job("look for stores", work, quiet=True, key="drivers")


def open_job(open_store: OpenStore) -> Job:
    """Open the store and read it for the first time."""

    def work(job: Job) -> Message:
        from layertui.jobs.read import read_view  # noqa: PLC0415 - the same
        from layertui.model.query import build_listing  # noqa: PLC0415 - see above

        del job
        store = open_store()
        return StoreOpened(store, build_listing(read_view(store, {})))

    return Job("open the store", work, quiet=True, key="open")
