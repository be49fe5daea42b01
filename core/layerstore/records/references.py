"""images.json, containers.json and volatile-containers.json: the images and containers that use layers."""

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


class LayerUser(msgspec.Struct, gc=False):
    """The part of an image's or container's record that names its layers (images.go, containers.go)."""

    id: str
    names: tuple[str, ...] | None = None
    layer: str = ""
    mapped_layers: tuple[str, ...] | None = msgspec.field(name="mapped-layers", default=None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names, or the short ID if there is none."""
        return self.names or (self.id[:12],)

    @property
    def layers(self) -> tuple[str, ...]:
        """The IDs of the topmost layers. Some may be ""."""
        return (self.layer, *(self.mapped_layers or ()))


UsersOfLayers = list[LayerUser]
"""Images or containers, in the order of their files."""


class _Below(msgspec.Struct, gc=False):
    id: str
    parent: str = ""


class Transient(NamedTuple):
    """The records that a store with `transient_store` keeps only below its run root.

    See newLayerStore and newContainerStore in containers/storage.

    Attributes:
        containers: The containers.
        parents: The parent of each of their layers, by ID.
    """

    containers: UsersOfLayers
    parents: dict[str, str]


_users_decoder = msgspec.json.Decoder(list[LayerUser] | None)
_below_decoder = msgspec.json.Decoder(list[_Below] | None)


@dataclass(frozen=True)
class References:
    """The images and containers that use the layers of a store: a snapshot.

    An image or container uses its topmost layers and all their ancestors. Names are in the order of the files and are
    not validated. Users in other stores that have this one as an additional image store are not known, nor are the
    images of image stores that cannot be read.

    Attributes:
        parents: The parent of each layer, by ID.
        image_tops: Each name of an image, with the IDs of its topmost layers.
        container_tops: Each name of a container, with the IDs of its topmost layers.
        unlisted: The parent of each layer that only files below the run root list, by ID (see `transient_store` in
            containers-storage.conf(5)).
    """

    parents: Mapping[str, str]
    image_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    container_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unlisted: Mapping[str, str] = field(default_factory=dict)

    def images(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of all images that use the layer, with the short ID for an image without a name."""
        return self._images.get(layer_id, ())

    def containers(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of all containers that use the layer."""
        return self._containers.get(layer_id, ())

    def used(self, layer_id: str) -> bool:
        """Return whether an image or container uses the layer."""
        return layer_id in self._images or layer_id in self._containers

    def top_images(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of the images that have the layer as a topmost layer."""
        return tuple(label for label, tops in self.image_tops if layer_id in tops)

    def unlisted_children(self, layer_id: str) -> tuple[str, ...]:
        """Return the IDs of the children of the layer that only files below the run root list."""
        return tuple(child for child, parent in self.unlisted.items() if parent == layer_id)

    def without_layer(self, known: Container[str]) -> dict[str, tuple[str, ...]]:
        """Return the users of each layer that is not among the known ones, by ID."""
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


def references_of(
    parents: Mapping[str, str],
    images: Iterable[LayerUser],
    containers: Iterable[LayerUser],
    transient: Transient,
) -> References:
    """Return the references that these records make, where `parents` has the parent of each layer by ID."""
    chained = ChainMap(transient.parents, parents) if transient.parents else parents  # type: ignore[arg-type]
    return References(chained, _tops(images), _tops([*containers, *transient.containers]), transient.parents)


class ReferenceFiles:
    """The records of images and containers beside a layer store. Files that do not exist count as empty.

    With `read_only`, so do files below a run root that this user may not access.
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
        """Return a stamp that changes when any of the files is replaced."""
        transient = (self._transient_containers, self._transient_layers)
        return tuple(file_stamp(path) for path in (self._images, *self._containers, *transient))

    def load(self, parents: Mapping[str, str], *, others: Sequence[LayerUser] = ()) -> References:
        """Read the files under their locks.

        Args:
            parents: The parent of each layer, by ID.
            others: The images of other stores. An image that this store has too is taken from this store.

        Raises:
            StoreCorrupt: A file is not a JSON array of records.
            LockTimeout: A lock was not free in time.
        """
        images = self.load_images()
        seen = {image.id for image in images}
        for image in others:
            if image.id not in seen:
                seen.add(image.id)
                images.append(image)
        return references_of(parents, images, self.load_containers(), self.load_transient())

    def load_images(self) -> UsersOfLayers:
        """Read images.json under its lock. Raises the same errors as `load`."""
        with self._images_lock.read():
            return _load(self._images)

    def load_containers(self) -> UsersOfLayers:
        """Read both files of containers under their lock. Raises the same errors as `load`."""
        with self._containers_lock.read():
            return [user for path in self._containers for user in _load(path)]

    def load_transient(self) -> Transient:
        """Read the files below the run root. Raises the same errors as `load`."""
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


def _tops(users: Iterable[LayerUser]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((label, tuple(filter(None, user.layers))) for user in users for label in user.labels)


def chain(parents: Mapping[str, str], layer_id: str) -> Iterator[str]:
    """Yield the ID of a layer and of its ancestors, each once even if the parents form a circle."""
    seen: set[str] = set()
    while layer_id and layer_id not in seen:
        seen.add(layer_id)
        yield layer_id
        layer_id = parents.get(layer_id, "")


def _spread(tops: tuple[tuple[str, tuple[str, ...]], ...], parents: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the users of each layer: those that have it as a topmost layer or as an ancestor of one."""
    labels: dict[str, list[str]] = {}
    for label, layers in tops:
        for layer_id in dict.fromkeys(below for top in layers for below in chain(parents, top)):
            labels.setdefault(layer_id, []).append(label)
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # most layers of a chain have the same users, so share the tuple
    found = {}
    for layer_id, users in labels.items():
        key = tuple(users)
        found[layer_id] = alike.setdefault(key, key)
    return found
