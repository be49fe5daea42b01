"""Which images and containers use a layer: images.json, containers.json and volatile-containers.json."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from layerstore.layout import Layout
from layerstore.lockfile import LockFile
from layerstore.records import FileStamp, corrupt, file_stamp, read_if_there


class _User(msgspec.Struct, gc=False):
    """An image's or a container's record, as much of it as says which layers it needs (images.go, containers.go)."""

    id: str
    names: tuple[str, ...] | None = None
    layer: str = ""
    mapped_layers: tuple[str, ...] | None = msgspec.field(name="mapped-layers", default=None)

    @property
    def label(self) -> str:
        return self.names[0] if self.names else self.id[:12]

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer, *(self.mapped_layers or ()))


_users_decoder = msgspec.json.Decoder(list[_User] | None)


@dataclass(frozen=True)
class References:
    """Who uses which layers. A user of a layer also uses all its ancestors; names are in the order of the files."""

    parents: Mapping[str, str]
    image_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    container_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def images(self, layer_id: str) -> tuple[str, ...]:
        """Return the names of all images that need this layer; a nameless image is its short ID."""
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

    @cached_property
    def _images(self) -> dict[str, tuple[str, ...]]:
        return _spread(self.image_tops, self.parents)

    @cached_property
    def _containers(self) -> dict[str, tuple[str, ...]]:
        return _spread(self.container_tops, self.parents)


class ReferenceFiles:
    """The files of images and containers beside a layer store; a store without them has no users."""

    def __init__(self, layout: Layout, *, lock_timeout: float) -> None:
        images, containers = layout.references("images"), layout.references("containers")
        self._images = os.path.join(images, "images.json")
        self._containers = tuple(os.path.join(containers, f"{kind}containers.json") for kind in ("", "volatile-"))
        self._images_lock = LockFile(os.path.join(images, "images.lock"), timeout=lock_timeout, optional=True)
        containers_lock = os.path.join(containers, "containers.lock")
        self._containers_lock = LockFile(containers_lock, timeout=lock_timeout, optional=True)

    def stamp(self) -> tuple[FileStamp, ...]:
        """Return what differs after any of the files was replaced."""
        return tuple(file_stamp(path) for path in (self._images, *self._containers))

    def load(self, parents: Mapping[str, str]) -> References:
        """Read the files under their locks. `parents` gives each layer's parent.

        Raises:
            StoreCorrupt: a file is there but is no JSON array of records.
            LockTimeout: another process kept a lock too long.
        """
        with self._images_lock.read():
            images = _load(self._images)
        with self._containers_lock.read():
            containers = tuple(user for path in self._containers for user in _load(path))
        return References(parents, images, containers)


def _load(path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    data = read_if_there(path)
    if not data:
        return ()
    try:
        users = _users_decoder.decode(data) or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise corrupt(path, data, error) from error
    return tuple((user.label, tuple(layer for layer in user.layers if layer)) for user in users)


def _spread(tops: tuple[tuple[str, tuple[str, ...]], ...], parents: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Give each user's label to its top layers and to all their ancestors."""
    labels: dict[str, list[str]] = {}
    for label, layers in tops:
        seen: set[str] = set()
        for top in layers:
            layer_id = top
            while layer_id and layer_id not in seen:
                seen.add(layer_id)
                labels.setdefault(layer_id, []).append(label)
                layer_id = parents.get(layer_id, "")
    return {layer_id: tuple(found) for layer_id, found in labels.items()}
