"""What a check looks at: the records, who uses them, and what else says that a layer is wanted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from layerstore.check.findings import Finding, unreadable
from layerstore.drivers.overlay.check import LinkSurvey
from layerstore.drivers.overlay.links import is_layer_name
from layerstore.errors import NotSupported, StoreCorrupt, UnusableID
from layerstore.model import MountState
from layerstore.operations import mount
from layerstore.operations.transaction import Backend
from layerstore.records.layout import Layout, file_name
from layerstore.records.records import Records
from layerstore.records.references import References, Transient, UsersOfLayers, references_of


@dataclass
class Scene:
    """A store at one moment. It is true as long as the lock is held under which it was made.

    `records` are those of the store and of its image stores. `trouble` is what could not be read on the way.
    """

    backend: Backend
    records: Records
    trouble: list[Finding] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """The store's paths."""
        return self.backend.layout

    @property
    def home(self) -> str:
        """The folder whose folders are named by layers."""
        layout = self.layout
        home = os.path.join(layout.graph_root, layout.driver)
        return home if layout.driver == "overlay" else os.path.join(home, "dir")

    @cached_property
    def images(self) -> UsersOfLayers:
        """The images of the store; none where they cannot be read."""
        return self._tried(self.backend.reference_files.load_images)

    @cached_property
    def containers(self) -> UsersOfLayers:
        """The containers of the store; none where they cannot be read."""
        return self._tried(self.backend.reference_files.load_containers)

    def look_for_users(self) -> None:
        """Read who uses layers, so that `trouble` has whatever of it cannot be read."""
        for _ in (self.images, self.containers, self.transient):
            pass

    @cached_property
    def mounts(self) -> dict[str, MountState]:
        """What is mounted, on file or in truth."""
        try:
            return mount.survey(self.backend)
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return {}

    @cached_property
    def below_run_root(self) -> Transient:
        """The containers and layers of a store with `transient_store`; none where they cannot be read."""
        try:
            return self.backend.reference_files.load_transient()
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return Transient([], {})

    @cached_property
    def transient(self) -> frozenset[str]:
        """IDs that only files below the run root name."""
        found = self.below_run_root
        return frozenset({*found.parents, *(container.layer for container in found.containers)} - {""})

    @cached_property
    def orphans(self) -> frozenset[str]:
        """The folders that can be layers' own, and that neither a record nor anything else names."""
        try:
            with os.scandir(self.home) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        return frozenset(name for name in names if self._can_be_layer(name) and not self.recorded(name))

    def has_folder(self, layer_id: str) -> bool:
        """Tell whether the store itself, and not an image store, has a folder of this name for a layer."""
        if not self._can_be_layer(layer_id):
            return False
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self.home, file_name(layer_id))).st_mode)
        except (UnusableID, OSError):
            return False

    def is_orphan(self, layer_id: str) -> bool:
        """Tell whether the name is among `orphans`, without looking for all of them."""
        return self.has_folder(layer_id) and not self.recorded(layer_id)

    def _can_be_layer(self, name: str) -> bool:
        return is_layer_name(name) if self.layout.driver == "overlay" else not name.startswith(".")

    def recorded(self, layer_id: str) -> bool:
        """Tell whether a record names the layer, be it one of an image store or below the run root."""
        return layer_id in self.records.by_id or layer_id in self.transient

    @cached_property
    def mapped(self) -> frozenset[str]:
        """The layers whose files have other owners than in their images."""
        return frozenset(layer.id for layer in self.records.layers if layer.uidmap or layer.gidmap)

    @cached_property
    def references(self) -> References:
        """Who needs which layers, those without a record included: a folder tells on which it is based."""
        table = self.records.layers
        parents = {layer_id: table.parent_of(position) for position, layer_id in enumerate(table.ids)}
        parents.update(self._parents_of_orphans())
        others: UsersOfLayers = []
        if self.backend.image_stores:
            known = {image.id for image in self.images}
            others = [image for image in self.backend.image_stores.users() if image.id not in known]
        return references_of(parents, [*self.images, *others], self.containers, self.below_run_root)

    @cached_property
    def bases(self) -> dict[str, str]:
        """Layers without a record that one with a record is based on, each with such a layer."""
        table = self.records.layers
        found = {parent: table.ids[position] for position, parent in table.lost_parents.items()}
        parents = self._parents_of_orphans() if found else {}
        for layer_id, child in list(found.items()):
            below = parents.get(layer_id, "")
            while below and below not in found:
                found[below] = child
                below = parents.get(below, "")
        return found

    @cached_property
    def links(self) -> LinkSurvey:
        """The short names of the layers, for overlay."""
        others = [Path(path, "overlay") for path in self.backend.image_stores.paths]
        return LinkSurvey(Path(self.home), others)

    def users(self, layer_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the images and the containers that need the layer."""
        return self.references.images(layer_id), self.references.containers(layer_id)

    @cached_property
    def incoherent(self) -> bool:
        """Tell whether anything needs a layer that has no record: else nothing without one can be needed.

        So it is where records were lost, and where the store was opened without an image store that it belongs to.
        """
        users = [*self.images, *self.containers]
        tops = (layer for user in users for layer in user.layers if layer)
        return bool(self.records.layers.lost_parents) or any(top not in self.records.by_id for top in tops)

    def _parents_of_orphans(self) -> dict[str, str]:
        if self.layout.driver != "overlay" or not self.incoherent:
            return {}
        return self._orphan_parents

    @cached_property
    def _orphan_parents(self) -> dict[str, str]:
        found = {}
        for layer_id in self.orphans:
            try:
                lowers = self.links.lowers(file_name(layer_id))
            except (StoreCorrupt, NotSupported, UnusableID, OSError):
                continue
            if lowers:
                found[layer_id] = lowers[0].layer
        return found

    def _tried(self, load: Callable[[], UsersOfLayers]) -> UsersOfLayers:
        try:
            return load()
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return []
