"""The owners of files inside and outside a user namespace.

The files of a layer whose record has a `uidmap` or `gidmap` belong to host IDs on disk. Tars of the layer, and the
containers that use it, have container IDs. The rules are those of containers/storage's pkg/idtools, with one
exception: where containers/storage leaves a file whose owner is not mapped out of a tar, this module raises an error.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from layerstore.errors import NotSupported
from layerstore.model import IDMap, Layer

Owner = tuple[int, int]
"""A UID and a GID."""


class Unmapped(ValueError):
    """An ID is outside every range of a map. The text names both."""


@dataclass(frozen=True, slots=True)
class IDMappings:
    """The UID and GID ranges of a layer. Without ranges of a kind, IDs of that kind are those of the host."""

    uids: tuple[IDMap, ...] = ()
    gids: tuple[IDMap, ...] = ()

    @classmethod
    def of(cls, layer: Layer) -> IDMappings:
        """Return the maps in a layer's record."""
        return cls(layer.uidmap, layer.gidmap)

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)

    def to_host(self, uid: int, gid: int) -> Owner:
        """Return the owner on disk of a file that belongs to `uid` and `gid` in a container.

        Raises:
            Unmapped: An ID is outside its map.
        """
        return _host("UID", uid, self.uids), _host("GID", gid, self.gids)

    def to_container(self, uid: int, gid: int) -> Owner:
        """Return the owner, as a container sees it, of a file that belongs to `uid` and `gid` on disk.

        Raises:
            Unmapped: An ID is outside its map.
        """
        return _container("UID", uid, self.uids), _container("GID", gid, self.gids)

    @property
    def root(self) -> Owner:
        """The owner on disk of files that belong to a container's root (GetRootUIDGID).

        Raises:
            NotSupported: The maps do not contain root, or a range is invalid.
        """
        for entry in (*self.uids, *self.gids):
            if entry.size < 1 or min(entry.container_id, entry.host_id) < 0:
                raise NotSupported(
                    f"the ID map {entry.container_id}:{entry.host_id}:{entry.size} is invalid; "
                    "to fix: use IDs of 0 or more and a size of 1 or more"
                )
        try:
            return _root("UID", self.uids), _root("GID", self.gids)
        except Unmapped as error:
            raise NotSupported(f"{error}, so the layer's root folder has no owner; to fix: map ID 0 too") from error


NO_MAPS = IDMappings()
"""The maps of a layer whose files have the same owners on disk as in containers."""


def need_true_owners(maps: IDMappings, *others: IDMappings) -> None:
    """Refuse to translate owners if this process cannot see the host IDs that the maps refer to.

    Raises:
        NotSupported: The user is not root, so the maps of the layers refer to IDs in the user's own user namespace.
    """
    if os.geteuid() != 0 and any((maps, *others)):
        raise NotSupported(
            "the files of this layer have mapped owners, which this user sees as different IDs; "
            "to fix: start layertui in `podman unshare`"
        )


def _host(kind: str, number: int, ranges: tuple[IDMap, ...]) -> int:
    for entry in ranges:
        if 0 <= number - entry.container_id < entry.size:
            return entry.host_id + number - entry.container_id
    if ranges:
        raise Unmapped(f"{kind} {number} is outside the layer's {kind} map ({_text(ranges)})")
    return number


def _container(kind: str, number: int, ranges: tuple[IDMap, ...]) -> int:
    for entry in ranges:
        if 0 <= number - entry.host_id < entry.size:
            return entry.container_id + number - entry.host_id
    if ranges:
        raise Unmapped(f"{kind} {number} on disk is outside the layer's {kind} map ({_text(ranges)})")
    return number


def _root(kind: str, ranges: tuple[IDMap, ...]) -> int:
    # The only user in a map of size 1 is the container's root, whatever its ID is there.
    return ranges[0].host_id if len(ranges) == 1 and ranges[0].size == 1 else _host(kind, 0, ranges)


def _text(ranges: tuple[IDMap, ...]) -> str:
    """Format ranges as `podman create --uidmap` takes them."""
    return " ".join(f"{entry.container_id}:{entry.host_id}:{entry.size}" for entry in ranges)
