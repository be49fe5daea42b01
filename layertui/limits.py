"""What an ordinary user can do with a store, which depends on the user namespace that the browser runs in.

The namespace is entered before there is a screen, because a process with threads cannot enter one.
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
    Entry.JOINED: "Visible to Podman too; in your own shells, run `podman unshare` to see it",
    Entry.OWN: "Visible only to layertui and the shells that it starts ({layer.shell}), until layertui exits",
}


@dataclass(slots=True)
class Limits:
    """What a user namespace allows, or the lack of one prevents."""

    entered: Entered
    no_mount: Mapping[str, str] = field(default_factory=dict)
    """Maps each driver whose layers must be mounted to why fuse-overlayfs cannot do that, "" if it can."""
    _stores: list[tuple[LayerStore, set[str]]] = field(default_factory=list)

    @property
    def mount_note(self) -> str:
        """Who can see the mounts of this process, "" if every process can."""
        return _MOUNT_NOTES.get(self.entered.how, "")

    def read_only_reason(self, driver: str) -> str:
        """Return why a store of this driver must be opened read-only, with the remedy, or "" if it can be changed."""
        why_not = self.no_mount.get(driver, "")
        if self.entered.how is not Entry.UNAVAILABLE or not why_not:
            return ""
        found = self.entered
        return f"{_sentence(found.reason)}: {found.hint}. fuse-overlayfs cannot be used instead: {why_not}."

    def notice(self, driver: str) -> tuple[str, str]:
        """Return the title and the text of a message about the limits, "" for both if there are none."""
        found, reason = self.entered, self.read_only_reason(driver)
        if reason:
            return "Read-only", f"Layers can be viewed but not mounted or changed. {reason}"
        if found.how is Entry.UNAVAILABLE and driver in self.no_mount:
            text = (
                "fuse-overlayfs mounts the layers: read-only unless Podman uses it for this store too. "
                "Files that belong to other user or group IDs cannot be read or deleted."
            )
            return "No user namespace", f"{text} {_sentence(found.reason)}: {found.hint}."
        return "", ""

    def opened(self, store: LayerStore) -> None:
        """Remember which layers are mounted already, so that `leave` does not unmount them."""
        if self.entered.how is Entry.OWN and not store.read_only:
            self._stores.append((store, _mounted_here(store)))

    def leave(self) -> list[str]:
        """Unmount what this process has mounted in its own namespace, and return the errors.

        The mounts would end with the process, but their counts in mountpoints.json would remain.
        """
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


def enter_namespace(place: StorePlace) -> Limits:
    """Enter a user namespace if this is an ordinary user who owns the store, and return the remaining limits.

    Call this before any thread starts. Raises the errors of `layerstore.config.rootless.enter`.
    """
    if not needed() or not _is_own(place.graph_root):
        return Limits(Entered(Entry.NOT_NEEDED))
    entered = enter()
    if entered.how is not Entry.UNAVAILABLE:
        return Limits(entered)
    return Limits(entered, mount_limits(place.graph_root, place.options))


def driver_of(place: StorePlace) -> str:
    """Return the name of the driver that opening `place` will use, "" if there is no store."""
    if place.driver is not None:
        return place.driver
    return next(iter(known_drivers_in(place.graph_root)), "")


def _is_own(graph_root: str) -> bool:
    with suppress(OSError):
        return os.stat(graph_root).st_uid == os.geteuid()
    return False


def _mounted_here(store: LayerStore) -> set[str]:
    from layerstore.model import MountPlace  # noqa: PLC0415 - imported already when a store is open

    return {state.id for state in store.mounts() if state.place is MountPlace.HERE}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
