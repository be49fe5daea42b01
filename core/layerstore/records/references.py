"""Which images and containers use a layer: images.json, containers.json and volatile-containers.json."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec

from layerstore.errors import StoreAccess
from layerstore.linux.lockfile import LockFile
from layerstore.model import BAD_JSON
from layerstore.records.layout import Layout
from layerstore.records.readfile import FileStamp, corrupt, file_stamp, read_if_there

_Record = TypeVar("_Record")


class _User(msgspec.Struct, gc=False):
    """An image's or a container's record, as much of it as says which layers it needs (images.go, containers.go)."""

    id: str
    names: tuple[str, ...] | None = None
    layer: str = ""
    mapped_layers: tuple[str, ...] | None = msgspec.field(name="mapped-layers", default=None)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names or (self.id[:12],)

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer, *(self.mapped_layers or ()))


UsersOfLayers = list[_User]
"""Images or containers, in the order of their files."""


class _Below(msgspec.Struct, gc=False):
    id: str
    parent: str = ""


class Transient(NamedTuple):
    """What a store with `transient_store` keeps below its run root: containers, and their layers' parents by ID.

    These layers are in no other file (newLayerStore and newContainerStore in containers/storage).
    """

    containers: UsersOfLayers
    parents: dict[str, str]


_users_decoder = msgspec.json.Decoder(list[_User] | None)
_below_decoder = msgspec.json.Decoder(list[_Below] | None)


@dataclass(frozen=True)
class References:
    """Who uses which layers, by images.json, containers.json, volatile-containers.json and a transient store's files.

    A user of a layer also uses all its ancestors; names are in the order of the files, and may be anything. `parents`
    gives each layer's parent by ID, `unlisted` those of layers that only files below the run root name. A snapshot: not
    known are users in other graph roots that have this one as an image store, and images of image stores that cannot be
    read.
    """

    parents: Mapping[str, str]
    image_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    container_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unlisted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, parents: Mapping[str, str], images: Iterable[_User], containers: Iterable[_User], transient: Transient
    ) -> References:
        """Put together who uses which layers; `parents` gives each layer's parent."""
        chained = ChainMap(transient.parents, parents) if transient.parents else parents  # type: ignore[arg-type]
        return cls(chained, _tops(images), _tops([*containers, *transient.containers]), transient.parents)

    def images(self, layer_id: str) -> tuple[str, ...]:
        """Return all names of all images that need this layer; a nameless image is its short ID."""
        return self._images.get(layer_id, ())

    def containers(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of all containers that need this layer."""
        return self._containers.get(layer_id, ())

    def used(self, layer_id: str) -> bool:
        """Tell whether an image or a container needs this layer."""
        return layer_id in self._images or layer_id in self._containers

    def top_images(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of the images whose topmost layer this is."""
        return tuple(label for label, tops in self.image_tops if layer_id in tops)

    def unlisted_children(self, layer_id: str) -> tuple[str, ...]:
        """Return the IDs of the layers based on this one that are not among the store's own records."""
        return tuple(child for child, parent in self.unlisted.items() if parent == layer_id)

    def without_layer(self, known: Container[str]) -> dict[str, tuple[str, ...]]:
        """Return the IDs of layers that users need though they are not among the known ones, each with its users."""
        lost: dict[str, tuple[str, ...]] = {}
        for what, tops in (("image", self.image_tops), ("container", self.container_tops)):
            for label, layers in tops:
                for layer_id in layers:
                    if layer_id not in known and layer_id not in self.unlisted:
                        lost[layer_id] = (*lost.get(layer_id, ()), f"{what} {label}")
        return lost

    @cached_property
    def _images(self) -> dict[str, tuple[str, ...]]:
        return _spread(self.image_tops, self.parents)

    @cached_property
    def _containers(self) -> dict[str, tuple[str, ...]]:
        return _spread(self.container_tops, self.parents)


class ReferenceFiles:
    """The files of images and containers beside a layer store; a store without them has no users.

    With `read_only` those below a run root that this user may not look into count as missing.
    """

    def __init__(self, layout: Layout, *, lock_timeout: float, read_only: bool = False) -> None:
        self._read_only = read_only
        images, containers = layout.references("images"), layout.references("containers")
        self._images = os.path.join(images, "images.json")
        self._containers = tuple(os.path.join(containers, f"{kind}containers.json") for kind in ("", "volatile-"))
        self._images_lock = LockFile(os.path.join(images, "images.lock"), timeout=lock_timeout, optional=True)
        containers_lock = os.path.join(containers, "containers.lock")
        self._containers_lock = LockFile(containers_lock, timeout=lock_timeout, optional=True)
        self._transient_layers = os.path.join(layout.run_layers, "volatile-layers.json")
        transient = os.path.join(layout.run_root, f"{layout.driver}-containers")
        self._transient_containers = os.path.join(transient, "volatile-containers.json")
        transient_lock = os.path.join(transient, "containers.lock")
        self._transient_lock = LockFile(transient_lock, timeout=lock_timeout, optional=True)

    def stamp(self) -> tuple[FileStamp, ...]:
        """Return what differs after any of the files was replaced."""
        transient = (self._transient_containers, self._transient_layers)
        return tuple(file_stamp(path) for path in (self._images, *self._containers, *transient))

    def load(self, parents: Mapping[str, str], *, others: Sequence[_User] = ()) -> References:
        """Read the files under their locks. `parents` gives each layer's parent, `others` are images of other stores.

        An image that is in this store and in others counts as this store has it.

        Raises:
            StoreCorrupt: a file is there but is no JSON array of records.
            LockTimeout: another process kept a lock too long.
        """
        images = self.load_images()
        seen = {image.id for image in images}
        for image in others:
            if image.id not in seen:
                seen.add(image.id)
                images.append(image)
        return References.of(parents, images, self.load_containers(), self.load_transient())

    def load_images(self) -> UsersOfLayers:
        """Read images.json under its lock; raises what `load` does."""
        with self._images_lock.read():
            return _load(self._images)

    def load_containers(self) -> UsersOfLayers:
        """Read both files of containers under their lock; raises what `load` does."""
        with self._containers_lock.read():
            return [user for path in self._containers for user in _load(path)]

    def load_transient(self) -> Transient:
        """Read the files below the run root, the containers' under their lock; raises what `load` does."""
        try:
            with self._transient_lock.read():
                containers = _load(self._transient_containers)
            layers = _decoded(self._transient_layers, _below_decoder)
        except StoreAccess:
            if not self._read_only:
                raise
            return Transient([], {})
        return Transient(containers, {layer.id: layer.parent for layer in layers})


def _load(path: str) -> UsersOfLayers:
    return _decoded(path, _users_decoder)


def _decoded(path: str, decoder: msgspec.json.Decoder[list[_Record] | None]) -> list[_Record]:
    data = read_if_there(path)
    if not data:
        return []
    try:
        return decoder.decode(data) or []
    except BAD_JSON as error:
        raise corrupt(path, data, error) from error


def _tops(users: Iterable[_User]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((label, tuple(filter(None, user.layers))) for user in users for label in user.labels)


def chain(parents: Mapping[str, str], layer_id: str) -> Iterator[str]:
    """Yield a layer and those that it is based on, each once: the parents may be a circle."""
    seen: set[str] = set()
    while layer_id and layer_id not in seen:
        seen.add(layer_id)
        yield layer_id
        layer_id = parents.get(layer_id, "")


def _spread(tops: tuple[tuple[str, tuple[str, ...]], ...], parents: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Give each user's label to its top layers and to all their ancestors."""
    labels: dict[str, list[str]] = {}
    for label, layers in tops:
        for layer_id in dict.fromkeys(below for top in layers for below in chain(parents, top)):
            labels.setdefault(layer_id, []).append(label)
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # layers of a chain have the same users: one tuple serves them
    found = {}
    for layer_id, users in labels.items():
        key = tuple(users)
        found[layer_id] = alike.setdefault(key, key)
    return found
