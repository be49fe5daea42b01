"""On which footing an ordinary user opens a store: in Podman's namespace, in one of his own, or in none.

Decided before there is a screen, since a process with threads cannot enter a namespace. No screen in here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerstore.config.detect import known_drivers_in, mount_limits
from layerstore.config.rootless import Entered, Entry, enter, needed
from layerstore.errors import LayerStoreError

if TYPE_CHECKING:
    from layerstore import LayerStore, StorePlace

_MOUNT_NOTES = {
    Entry.JOINED: "Podman sees it, too; your shells outside do in `podman unshare`",
    Entry.OWN: "Only layertui and its shells ({layer.shell}) see it; it ends when layertui does",
}


@dataclass(slots=True)
class Footing:
    """What came of entering a namespace, and what follows from it."""

    entered: Entered
    no_mount: Mapping[str, str] = field(default_factory=dict)
    """Maps each driver whose layers must be mounted to why fuse-overlayfs cannot do that, "" if it can."""
    _stores: list[tuple[LayerStore, set[str]]] = field(default_factory=list)

    @property
    def mount_note(self) -> str:
        """Who sees a mount that is made from here; "" where everybody does."""
        return _MOUNT_NOTES.get(self.entered.how, "")

    def why_read_only(self, driver: str) -> str:
        """Return why a store of this driver can only be looked at, and the way out; "" if it can be changed."""
        reason = self.no_mount.get(driver, "")
        if self.entered.how is not Entry.UNAVAILABLE or not reason:
            return ""
        found = self.entered
        return f"{_sentence(found.reason)}: {found.hint}. Nor can fuse-overlayfs stand in: {reason}."

    def notice(self, driver: str) -> tuple[str, str]:
        """Return a title and a text for the user about what does not go as usual; "" for both where all does."""
        found, why = self.entered, self.why_read_only(driver)
        if why:
            return "Read-only", f"Layers can be looked at, not mounted or changed. {why}"
        if found.how is Entry.UNAVAILABLE and driver in self.no_mount:
            text = (
                "Layers are mounted by fuse-overlayfs, for reading only if Podman does not use it for this store, and "
            )
            text += "what belongs to other IDs cannot be read or deleted."
            return "No user namespace", f"{text} {_sentence(found.reason)}: {found.hint}."
        return "", ""

    def opened(self, store: LayerStore) -> None:
        """Note what is mounted already, so that `leave` leaves it alone."""
        if self.entered.how is Entry.OWN and not store.read_only:
            self._stores.append((store, _mounted_here(store)))

    def leave(self) -> list[str]:
        """End the mounts that would end with this process anyway, and take back their counts; return what failed."""
        failed = []
        while self._stores:
            store, before = self._stores.pop()
            try:
                left = _mounted_here(store) - before
            except (LayerStoreError, OSError) as error:
                failed.append(str(error))
                continue
            for layer_id in sorted(left):
                try:
                    store.unmount(layer_id, force=True)
                except (LayerStoreError, OSError) as error:
                    failed.append(str(error))
        return failed


def take_footing(place: StorePlace) -> Footing:
    """Enter a namespace if that helps with this store: for an ordinary user whose own it is.

    Must come before any thread. Raises what `enter` does.
    """
    if not needed() or not _is_own(place.graph_root):
        return Footing(Entered(Entry.NOT_NEEDED))
    entered = enter()
    if entered.how is not Entry.UNAVAILABLE:
        return Footing(entered)
    return Footing(entered, mount_limits(place.graph_root, place.options))


def driver_of(place: StorePlace) -> str:
    """Return the driver that will be opened."""
    if place.driver is not None:
        return place.driver
    return next(iter(known_drivers_in(place.graph_root)), "")


def _is_own(graph_root: str) -> bool:
    with suppress(OSError):
        return os.stat(graph_root).st_uid == os.geteuid()
    return False


def _mounted_here(store: LayerStore) -> set[str]:
    from layerstore.model import MountPlace  # noqa: PLC0415 - there is a store, and the module with it

    return {state.id for state in store.mounts() if state.place is MountPlace.HERE}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
