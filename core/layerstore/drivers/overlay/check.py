"""An overlay store's short names, looked at and put right: `<ID>/link`, `l/<name>` and `<ID>/lower` must agree."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from layerstore.drivers.overlay.links import FOLDER, Links, is_layer_name
from layerstore.errors import NotSupported, StoreCorrupt, UnusableID
from layerstore.linux.atomic import write_file
from layerstore.records.layout import file_name
from layerstore.records.readfile import open_file


@dataclass(frozen=True, slots=True)
class Stray:
    """An entry of `l` that is of no use. `layer` is the one that it leads to, "" where it leads to none."""

    name: str
    layer: str
    reason: str


class LinkSurvey(Links):
    """The names below one driver's folder, and what is wrong with them. Reading changes nothing.

    What is read is kept: an object is good for as long as the lock is held under which it was made.
    """

    def __init__(self, home: Path, others: Sequence[Path] = ()) -> None:
        super().__init__(home, others)
        self._top = os.fspath(home)
        self._read_names: dict[str, str | None] = {}
        self._read_links: dict[str, str | None] = {}

    def name_fault(self, layer_id: str) -> str:
        """Say what is wrong with the layer's `link` file; "" if nothing is."""
        try:
            if self._name_in_file(layer_id, self._home) is None:
                return "the file that holds its short name is missing"
        except (StoreCorrupt, OSError) as error:
            return f"the file that holds its short name is broken: {_reason(error)}"
        name = self.name(layer_id)
        if name is None or self.leads_to(name) == layer_id:
            return ""
        other = self.known_names.get(layer_id)
        if other and name not in self.used_names and other in self.used_names:
            return f"its short name is written down as {name}, and layers based on it know it as {other}"
        return ""

    def link_fault(self, layer_id: str) -> str:
        """Say what is wrong with the symbolic link of the layer's short name; "" if nothing is, or it has no name."""
        name = self.name(layer_id)
        if name is None or self.leads_to(name) == layer_id:
            return ""
        path = self._home / FOLDER / name
        if not os.path.lexists(path):
            return f"the link {FOLDER}/{name}, by which layers based on it find it, is missing"
        with contextlib.suppress(OSError):
            return f"the link {FOLDER}/{name} leads to {os.readlink(path)!r} and not to it"
        return f"{FOLDER}/{name} is no symbolic link"

    def lower_fault(self, layer_id: str, chain: list[str] | None) -> str:
        """Say what is wrong with the layer's list of those below; "" if nothing is.

        `chain` are the right ones, the nearest first; None for any that are there.
        """
        if chain is not None and (
            self._matches(layer_id, chain[0] if chain else "") or self._names_all(layer_id, chain)
        ):
            return ""
        try:
            lowers = self.lowers(layer_id)
        except (StoreCorrupt, NotSupported, OSError) as error:
            return f"its list of the layers below is broken: {_reason(error)}"
        found = [lower.layer for lower in lowers]
        if chain is None or found == chain:
            return ""
        if not found:
            return "its list of the layers below is missing"
        wrong = next((place for place, pair in enumerate(zip(found, chain, strict=False)) if pair[0] != pair[1]), None)
        if wrong is None:
            return f"its list has {len(found)} layers below it, and the records have {len(chain)}"
        return f"its list says that {found[wrong][:16]} lies below it where the records say {chain[wrong][:16]}"

    def strays(self) -> list[Stray]:
        """Return the entries of `l` that lead nowhere, or by a name that neither a layer nor a list knows."""
        found = []
        try:
            names = sorted(os.listdir(self._home / FOLDER))
        except FileNotFoundError:
            return []
        for name in names:
            stray = self.stray(name)
            if stray is not None:
                found.append(stray)
        return found

    def stray(self, name: str) -> Stray | None:
        """Look at one entry of `l`; None if it is of use, or not there."""
        path = self._home / FOLDER / name
        layer_id = self.leads_to(name)
        if layer_id is not None:
            if self.name(layer_id) in {name, None} or name in self.own_names or name in self.used_names:
                return None
            return Stray(name, layer_id, f"layer {layer_id[:16]} goes by another name")
        if not os.path.islink(path) or name in self.own_names:
            return None
        named = self._target(name, self._home, must_exist=False)
        target = os.readlink(path)
        if named is None:
            return Stray(name, "", f"it leads to {target!r}, which is no layer's folder")
        return Stray(name, named, f"it leads to layer {named[:16]}, whose files are not there")

    def name(self, layer_id: str) -> str | None:
        """Return the layer's short name as its `link` file has it; None if that is missing or broken."""
        if layer_id not in self._read_names:
            name = None
            with contextlib.suppress(StoreCorrupt, UnusableID, OSError):
                name = self._name_in_file(file_name(layer_id), self._home)
            self._read_names[layer_id] = name
        return self._read_names[layer_id]

    def leads_to(self, name: str) -> str | None:
        """Return the layer here whose files `l/<name>` leads to; None if it leads to none."""
        if name not in self._read_links:
            self._read_links[name] = self._target(name, self._home)
        return self._read_links[name]

    @cached_property
    def own_names(self) -> frozenset[str]:
        """Every name that a layer here says it has."""
        return frozenset(name for layer_id in self._layers() if (name := self.name(layer_id)))

    @cached_property
    def used_names(self) -> frozenset[str]:
        """Every name that a list of layers below has."""
        names: set[str] = set()
        for layer_id in self._layers():
            text = self._lower_text(layer_id) or ""
            names.update(part.rpartition("/")[2] for part in text.split(":"))
        return frozenset(names - {""})

    @cached_property
    def known_names(self) -> dict[str, str]:
        """The names by which `l` leads to each layer; of several the one that a list of layers below has."""
        found: dict[str, str] = {}
        for name in self._names(self._home):
            layer_id = self.leads_to(name)
            if layer_id is not None and (layer_id not in found or name in self.used_names):
                found[layer_id] = name
        return found

    # Putting right; each needs the store's write lock

    def write_name(self, layer_id: str, children: list[str]) -> str:
        """Give the layer the short name that others know it by, or a new one; return it.

        `children` are layers based on it: the first name in a child's list is the one that is wanted.
        """
        name = self.known_names.get(layer_id) or self._name_in_children(children)
        if name is None:
            self.make(layer_id)
        else:
            write_file(str(self._home / layer_id / "link"), name.encode(), mode=0o644)
            self._point(name, layer_id)
        return name or self.name(layer_id) or ""

    def point(self, layer_id: str) -> None:
        """Have the layer's link lead to it."""
        name = self.name(layer_id)
        if name is not None:
            self._point(name, layer_id)

    def remove(self, name: str) -> None:
        """Delete an entry of `l`."""
        os.unlink(self._home / FOLDER / name)

    def write_chain(self, layer_id: str, chain: list[str]) -> None:
        """Write the list of those below anew, the nearest first; nothing else is put right on the way.

        Raises:
            StoreCorrupt: the name of one of them is lost.
        """
        path = self._home / layer_id / "lower"
        if not chain:
            os.unlink(path)
            return
        names = {below: self._name_in_file(below) for below in chain}
        lost = next((below for below, name in names.items() if name is None), None)
        if lost is not None:
            raise StoreCorrupt(self.home_of(lost) / lost / "link", "the file is missing", hint="repair this one first")
        write_file(str(path), ":".join(f"{FOLDER}/{name}" for name in names.values()).encode(), mode=0o644)

    def _matches(self, layer_id: str, parent: str) -> bool:
        """Tell whether the list is what the peer makes out of the parent's name and list. Cheap, and mostly true."""
        text = self._lower_text(layer_id)
        if not parent:
            return not text
        name = self.name(parent)
        if name is None or not text or self.leads_to(name) != parent:
            return False
        below = self._lower_text(parent)
        return text == (f"{FOLDER}/{name}:{below}" if below else f"{FOLDER}/{name}")

    def _names_all(self, layer_id: str, chain: list[str]) -> bool:
        """Tell whether the list has the right names, wherever `l` leads by them: that is said of their layers."""
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
