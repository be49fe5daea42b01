"""The state of a store during a check: its records, who uses them, and other evidence that a layer is needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from layerstore.check.findings import Finding, unreadable
from layerstore.drivers.base import Driver
from layerstore.drivers.survey import Below, Survey
from layerstore.errors import StoreCorrupt, UnusableID
from layerstore.model import Layer, MountState
from layerstore.operations import mount
from layerstore.operations.transaction import Backend
from layerstore.records.layout import Layout
from layerstore.records.records import Records
from layerstore.records.references import References, Transient, UsersOfLayers, references_of


@dataclass
class Scene:
    """A snapshot of a store, valid while the lock is held under which it was made.

    `records` are those of the store and of its image stores. `trouble` has a finding for each file that could not be
    read.
    """

    backend: Backend
    records: Records
    trouble: list[Finding] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """The store's paths."""
        return self.backend.layout

    @property
    def driver(self) -> Driver:
        """The store's driver."""
        return self.backend.driver

    @property
    def home(self) -> str:
        """The folder whose subfolders are named after layers."""
        return str(self.driver.layers_folder)

    @cached_property
    def survey(self) -> Survey:
        """What the driver keeps on disk."""
        return self.driver.survey()

    @cached_property
    def images(self) -> UsersOfLayers:
        """The images of the store, or none if they cannot be read."""
        return self._tried(self.backend.reference_files.load_images)

    @cached_property
    def containers(self) -> UsersOfLayers:
        """The containers of the store, or none if they cannot be read."""
        return self._tried(self.backend.reference_files.load_containers)

    def look_for_users(self) -> None:
        """Read who uses layers, so that `trouble` lists all files of users that cannot be read."""
        for _ in (self.images, self.containers, self.transient):
            pass

    @cached_property
    def mounts(self) -> dict[str, MountState]:
        """The layers that are mounted according to mountpoints.json or the kernel."""
        try:
            return mount.survey(self.backend)
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return {}

    @cached_property
    def below_run_root(self) -> Transient:
        """The containers and layers of a store with `transient_store`, or none if they cannot be read."""
        try:
            return self.backend.reference_files.load_transient()
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return Transient([], {})

    @cached_property
    def transient(self) -> frozenset[str]:
        """The IDs of layers that files below the run root name."""
        found = self.below_run_root
        return frozenset({*found.parents, *(container.layer for container in found.containers)} - {""})

    @cached_property
    def orphans(self) -> frozenset[str]:
        """The folders that can be layers and that have no record."""
        try:
            with os.scandir(self.home) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        return frozenset(name for name in names if self.driver.is_layer_name(name) and not self.recorded(name))

    def has_folder(self, layer_id: str) -> bool:
        """Return whether the store itself, rather than an image store, has a folder for a layer of this ID."""
        if not self.driver.is_layer_name(layer_id):
            return False
        try:
            return stat.S_ISDIR(os.lstat(self.driver.folder_of(layer_id)).st_mode)
        except (UnusableID, OSError):
            return False

    def is_orphan(self, layer_id: str) -> bool:
        """Return whether a folder is among `orphans`, without reading all of them."""
        return self.has_folder(layer_id) and not self.recorded(layer_id)

    def recorded(self, layer_id: str) -> bool:
        """Return whether the layer has a record in the store, in an image store or below the run root."""
        return layer_id in self.records.by_id or layer_id in self.transient

    def below(self, layer: Layer) -> Below:
        """Return the layers below a layer according to the records."""
        table, found, mapped = self.records.layers, [], bool(layer.uidmap or layer.gidmap)
        position = table.positions[layer.id]
        seen = {position}
        while table.parents[position] >= 0:
            position = table.parents[position]
            if position in seen:
                return Below(None, mapped)
            seen.add(position)
            found.append(table.ids[position])
            mapped = mapped or table.ids[position] in self._mapped
        return Below(None if position in table.lost_parents else found, mapped)

    @cached_property
    def _mapped(self) -> frozenset[str]:
        """The layers whose files have different owners than in their images."""
        return frozenset(layer.id for layer in self.records.layers if layer.uidmap or layer.gidmap)

    @cached_property
    def references(self) -> References:
        """Who needs which layers, including layers without a record, whose folders may name their parents."""
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
        """The layers without a record below layers with one, each with a layer that is based on it."""
        table = self.records.layers
        found = {parent: table.ids[position] for position, parent in table.lost_parents.items()}
        parents = self._parents_of_orphans() if found else {}
        for layer_id, child in list(found.items()):
            below = parents.get(layer_id, "")
            while below and below not in found:
                found[below] = child
                below = parents.get(below, "")
        return found

    def users(self, layer_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the images and the containers that need the layer."""
        return self.references.images(layer_id), self.references.containers(layer_id)

    @cached_property
    def incoherent(self) -> bool:
        """Whether something needs a layer that has no record. Only then can other layers without a record be needed.

        Records may be lost, or the store was opened without one of its image stores.
        """
        users = [*self.images, *self.containers]
        tops = (layer for user in users for layer in user.layers if layer)
        return bool(self.records.layers.lost_parents) or any(top not in self.records.by_id for top in tops)

    def _parents_of_orphans(self) -> dict[str, str]:
        return self._orphan_parents if self.incoherent else {}

    @cached_property
    def _orphan_parents(self) -> dict[str, str]:
        parents = ((layer_id, self.survey.parent_of(layer_id)) for layer_id in self.orphans)
        return {layer_id: parent for layer_id, parent in parents if parent}

    def _tried(self, load: Callable[[], UsersOfLayers]) -> UsersOfLayers:
        try:
            return load()
        except StoreCorrupt as error:
            self.trouble.append(unreadable(error))
            return []
