"""What can be wrong with an overlay store's folders and links, and its repair.

`<ID>/link`, `l/<name>` and `<ID>/lower` must agree.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from layerstore.drivers.overlay.folders import PRIVATE
from layerstore.drivers.overlay.links import FOLDER, Links, is_layer_name
from layerstore.drivers.staging import hold, is_locked
from layerstore.drivers.survey import Below, Fault, FaultKind, Survey
from layerstore.errors import LayerStoreError, NotSupported, StoreCorrupt, UnusableID
from layerstore.linux.atomic import write_file
from layerstore.linux.folders import remove_path
from layerstore.records.layout import file_name
from layerstore.records.readfile import open_file

_STAGING = "staging"
_STAGING_LOCK = "staging.lock"
_SETTLED = 60.0
"""Seconds after which a staged folder without a change is no longer new."""

_FULL_ID = re.compile(r"[0-9a-f]{64}")
_PROBE = re.compile(r".*-check-?\d*|compat\d*|.*lower\d+|.*probe.*")
"""Short-lived folders in which containers/storage probes the kernel's features without a lock."""

_SHORT = 16


class OverlaySurvey(Survey):
    """An inspection of the folders and links below `home`. `others` are the driver's folders of image stores."""

    def __init__(self, home: Path, others: Sequence[Path] = ()) -> None:
        self._home = home
        self._links = _LinkSurvey(home, others)

    def is_layer(self, name: str) -> bool:
        """Return whether a folder among those of the layers holds a layer."""
        if _FULL_ID.fullmatch(name):
            return True
        return any(os.path.lexists(self._home / name / part) for part in ("diff", "link"))

    def is_probe(self, name: str) -> bool:
        """Return whether a folder among those of the layers is a short-lived probe of containers/storage."""
        return bool(_PROBE.fullmatch(name))

    def faults(self, layer_id: str, below: Callable[[], Below]) -> Iterator[Fault]:
        """Yield what is wrong with the folder of a layer."""
        folder, links = self._home / layer_id, self._links

        def fault(kind: FaultKind, text: str, name: str, repair: str | None = None) -> Fault:
            return Fault(kind, layer_id, text, str(self._home / name), repair)

        if not os.path.isdir(folder / "diff"):
            yield fault(FaultKind.NO_DIFF, "the folder with its files is missing", f"{layer_id}/diff")
            return
        if text := links.name_fault(layer_id):
            yield fault(FaultKind.LINK_FILE, text, f"{layer_id}/link", "rewrite the file `link`")
        elif text := links.link_fault(layer_id):
            yield fault(FaultKind.LINK_LOST, text, f"{FOLDER}/{links.name(layer_id)}", "recreate the link")
        chain, mapped = below()
        if chain is not None and (text := links.lower_fault(layer_id, None if mapped else chain)):
            repair = None if mapped else "rewrite the list from the records"
            yield fault(FaultKind.LOWER, text, f"{layer_id}/lower", repair)
        if not os.path.isdir(folder / "work"):  # the folder `merged` comes and goes with a container
            text = "the folder `work`, which a mount needs, is missing"
            yield fault(FaultKind.WORK_FOLDER, text, f"{layer_id}/work", "recreate the folder")

    def links(self) -> list[str]:
        """Return the entries of `l`."""
        return _listed(self._home / FOLDER)

    def stray_link(self, name: str, recorded: Callable[[str], bool]) -> Fault | None:
        """Return why an entry of `l` is stale, None if it is in use, gone, or belongs to a folder without a record."""
        stray = self._links.stray(name) or self._nameless_orphan(name, recorded)
        if stray is None:
            return None
        text = f"the link {FOLDER}/{name} is stale: {stray.reason}"
        path = str(self._home / FOLDER / name)
        return Fault(FaultKind.LINK_STRAY, stray.layer, text, path, "delete the link")

    def _nameless_orphan(self, name: str, recorded: Callable[[str], bool]) -> _Stray | None:
        """Return a link to a folder without record and `link` file, whose deletion would leave the link behind."""
        layer_id = self._links.leads_to(name)
        if layer_id is None or recorded(layer_id) or self._links.name(layer_id) is not None:
            return None
        if name in self._links.used_names:
            return None
        return _Stray(layer_id, f"it leads to folder {layer_id[:_SHORT]}, which has no record")

    def staged(self) -> list[str]:
        """Return the names of the folders in which containers/storage prepares layers."""
        return _listed(self._home / _STAGING)

    def abandoned(self, name: str) -> Fault | None:
        """Return the fault of a staged folder that an interrupted pull left, None if it is in use or gone."""
        path = self._home / _STAGING / name
        lock = path / _STAGING_LOCK
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < _SETTLED or is_locked(lock):
            return None
        has_lock = os.path.lexists(lock)
        text = f"{path} is left from an interrupted pull"
        if not has_lock:
            text += "; it has no lock file, so a process may still use it"
        return Fault(FaultKind.STAGING, "", text, str(path), "delete it" if has_lock else None)

    def parent_of(self, layer_id: str) -> str:
        """Return the first layer in the layer's list of those below, "" if there is none or the list is damaged."""
        try:
            lowers = self._links.lowers(file_name(layer_id))
        except (StoreCorrupt, NotSupported, UnusableID, OSError):
            return ""
        return lowers[0].layer if lowers else ""

    def repair(self, fault: FaultKind, layer_id: str, below: Below, children: list[str]) -> None:
        """Repair a fault of a layer. The caller holds the write lock, and `children` are the layers based on it.

        Raises:
            StoreCorrupt: Another layer must be repaired first.
        """
        if fault is FaultKind.LINK_FILE:
            self._links.write_name(layer_id, children)
        elif fault is FaultKind.LINK_LOST:
            self._links.point(layer_id)
        elif fault is FaultKind.LOWER:
            self._links.write_chain(layer_id, below.chain or [])
        elif fault is FaultKind.WORK_FOLDER:
            folder = self._home / layer_id
            like = os.stat(folder / "diff")
            os.mkdir(folder / "work", PRIVATE)
            if os.geteuid() == 0:
                os.chown(folder / "work", like.st_uid, like.st_gid)
        else:
            raise NotImplementedError(fault)

    def discard(self, fault: FaultKind, path: str) -> None:
        """Delete a stale link or an abandoned folder. The caller holds the write lock.

        Raises:
            LayerStoreError: A process uses the folder.
        """
        if fault is not FaultKind.STAGING:
            remove_path(path)
            return
        with hold(Path(path, _STAGING_LOCK)) as free:
            if not free:
                raise LayerStoreError(f"{path} is in use")
            remove_path(path)


class _Stray(NamedTuple):
    """Why an entry of `l` is stale. `layer` is the one that it leads to, "" if it leads to none."""

    layer: str
    reason: str


class _LinkSurvey(Links):
    """The names below one driver's folder, and what is wrong with them. It caches what it reads."""

    def __init__(self, home: Path, others: Sequence[Path] = ()) -> None:
        super().__init__(home, others)
        self._top = os.fspath(home)
        self._read_names: dict[str, str | None] = {}
        self._read_links: dict[str, str | None] = {}

    def name_fault(self, layer_id: str) -> str:
        """Return what is wrong with the layer's `link` file, "" if nothing is."""
        try:
            if self._name_in_file(layer_id, self._home) is None:
                return "the file `link` with its short name is missing"
        except (StoreCorrupt, OSError) as error:
            return f"the file `link` with its short name is damaged: {_reason(error)}"
        name = self.name(layer_id)
        if name is None or self.leads_to(name) == layer_id:
            return ""
        other = self.known_names.get(layer_id)
        if other and name not in self.used_names and other in self.used_names:
            return f"its file `link` has the short name {name}, but layers based on it use {other}"
        return ""

    def link_fault(self, layer_id: str) -> str:
        """Return what is wrong with the link of the layer's short name, "" if nothing is, or it has no name."""
        name = self.name(layer_id)
        if name is None or self.leads_to(name) == layer_id:
            return ""
        path = self._home / FOLDER / name
        if not os.path.lexists(path):
            return f"the link {FOLDER}/{name}, which layers based on it need, is missing"
        with contextlib.suppress(OSError):
            return f"the link {FOLDER}/{name} leads to {os.readlink(path)!r} instead of this layer"
        return f"{FOLDER}/{name} is not a symbolic link"

    def lower_fault(self, layer_id: str, chain: list[str] | None) -> str:
        """Return what is wrong with the layer's list of the layers below, "" if nothing is.

        `chain` are the right layers, the nearest first. If it is None, any layers that exist are right.
        """
        if chain is not None and (
            self._matches(layer_id, chain[0] if chain else "") or self._names_all(layer_id, chain)
        ):
            return ""
        try:
            lowers = self.lowers(layer_id)
        except (StoreCorrupt, NotSupported, OSError) as error:
            return f"its list of the layers below is damaged: {_reason(error)}"
        found = [lower.layer for lower in lowers]
        if chain is None or found == chain:
            return ""
        if not found:
            return "its list of the layers below is missing"
        wrong = next((place for place, pair in enumerate(zip(found, chain, strict=False)) if pair[0] != pair[1]), None)
        if wrong is None:
            return f"its list names {len(found)} layers below it, but the records name {len(chain)}"
        return f"its list names layer {found[wrong][:_SHORT]} where the records name {chain[wrong][:_SHORT]}"

    def stray(self, name: str) -> _Stray | None:
        """Return why an entry of `l` is stale, None if it is in use or gone."""
        path = self._home / FOLDER / name
        layer_id = self.leads_to(name)
        if layer_id is not None:
            if self.name(layer_id) in {name, None} or name in self.own_names or name in self.used_names:
                return None
            return _Stray(layer_id, f"layer {layer_id[:_SHORT]} has another short name")
        if not os.path.islink(path) or name in self.own_names:
            return None
        named = self._target(name, self._home, must_exist=False)
        target = os.readlink(path)
        if named is None:
            return _Stray("", f"it leads to {target!r}, which is not the folder of a layer")
        return _Stray(named, f"it leads to layer {named[:_SHORT]}, whose files do not exist")

    def name(self, layer_id: str) -> str | None:
        """Return the short name in the layer's `link` file, None if that is missing or damaged."""
        if layer_id not in self._read_names:
            name = None
            with contextlib.suppress(StoreCorrupt, UnusableID, OSError):
                name = self._name_in_file(file_name(layer_id), self._home)
            self._read_names[layer_id] = name
        return self._read_names[layer_id]

    def leads_to(self, name: str) -> str | None:
        """Return the layer of this store to whose files `l/<name>` leads, None if it leads to none."""
        if name not in self._read_links:
            self._read_links[name] = self._target(name, self._home)
        return self._read_links[name]

    @cached_property
    def own_names(self) -> frozenset[str]:
        """The names in the `link` files of all layers of this store."""
        return frozenset(name for layer_id in self._layers() if (name := self.name(layer_id)))

    @cached_property
    def used_names(self) -> frozenset[str]:
        """The names in the `lower` files of all layers of this store."""
        names: set[str] = set()
        for layer_id in self._layers():
            text = self._lower_text(layer_id) or ""
            names.update(part.rpartition("/")[2] for part in text.split(":"))
        return frozenset(names - {""})

    @cached_property
    def known_names(self) -> dict[str, str]:
        """The name of each layer in `l`. If a layer has several names, one that a `lower` file uses."""
        found: dict[str, str] = {}
        for name in self._names(self._home):
            layer_id = self.leads_to(name)
            if layer_id is not None and (layer_id not in found or name in self.used_names):
                found[layer_id] = name
        return found

    # Repairs, each of which needs the store's write lock

    def write_name(self, layer_id: str, children: list[str]) -> None:
        """Give the layer the short name that other layers use for it, or a new one.

        `children` are layers based on it. The first name in a child's list is the name of its parent.
        """
        name = self.known_names.get(layer_id) or self._name_in_children(children)
        if name is None:
            self.make(layer_id)
        else:
            write_file(str(self._home / layer_id / "link"), name.encode(), mode=0o644)
            self._point(name, layer_id)

    def point(self, layer_id: str) -> None:
        """Make the layer's link lead to it."""
        name = self.name(layer_id)
        if name is not None:
            self._point(name, layer_id)

    def write_chain(self, layer_id: str, chain: list[str]) -> None:
        """Rewrite the list of the layers below, the nearest first. Repairs nothing else.

        Raises:
            StoreCorrupt: One of these layers has lost its name.
        """
        path = self._home / layer_id / "lower"
        if not chain:
            os.unlink(path)
            return
        names = {below: self._name_in_file(below) for below in chain}
        lost = next((below for below, name in names.items() if name is None), None)
        if lost is not None:
            raise StoreCorrupt(
                self.home_of(lost) / lost / "link", "the file is missing", hint="repair that layer first"
            )
        write_file(str(path), ":".join(f"{FOLDER}/{name}" for name in names.values()).encode(), mode=0o644)

    def _matches(self, layer_id: str, parent: str) -> bool:
        """Return whether the list is the parent's name and list, as containers/storage makes it. Cheap."""
        text = self._lower_text(layer_id)
        if not parent:
            return not text
        name = self.name(parent)
        if name is None or not text or self.leads_to(name) != parent:
            return False
        below = self._lower_text(parent)
        return text == (f"{FOLDER}/{name}:{below}" if below else f"{FOLDER}/{name}")

    def _names_all(self, layer_id: str, chain: list[str]) -> bool:
        """Return whether the list has the right names. A name that leads elsewhere is a fault of the layer named."""
        return self._lower_text(layer_id) == ":".join(f"{FOLDER}/{self.name(below)}" for below in chain)

    def _name_in_children(self, children: list[str]) -> str | None:
        for child in children:
            name = (self._lower_text(child) or "").partition(":")[0].rpartition("/")[2]
            if name and self._linked(name) is None and name not in self.own_names:
                return name
        return None

    def _lower_text(self, layer_id: str) -> str | None:
        return _read_lower(f"{self._top}/{layer_id}/lower")

    def _layers(self) -> list[str]:
        try:
            return list(filter(is_layer_name, os.listdir(self._home)))
        except FileNotFoundError:
            return []


def _read_lower(path: str) -> str | None:
    try:
        with open_file(path) as file:
            return file.read(1 << 20).decode("ascii", "backslashreplace").strip("\n")
    except (StoreCorrupt, OSError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, StoreCorrupt):
        return error.reason
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
