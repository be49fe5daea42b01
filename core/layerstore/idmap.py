"""Owners inside a user namespace and outside of it.

A layer whose record has `uidmap` or `gidmap` keeps its files with host-side owners; tars of it, and what containers
see, have container-side ones. The rules are those of containers/storage's pkg/idtools, but for one: an ID that no range
has is an error wherever a wrong owner would be written, where the peer leaves the file out of a tar.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerstore.errors import BadArchive, NotSupported
from layerstore.model import IDMap, Layer

if TYPE_CHECKING:
    from layerstore.archive.read import TarEntry

Owner = tuple[int, int]
"""A UID and a GID."""

_GLOBAL_HEADER = b"g"


class Unmapped(ValueError):
    """An ID that no range of a map has; the text names both."""


@dataclass(frozen=True, slots=True)
class IDMappings:
    """The ranges of UIDs and of GIDs of a layer; where there are none of a kind, its IDs are the host's own."""

    uids: tuple[IDMap, ...] = ()
    gids: tuple[IDMap, ...] = ()

    @classmethod
    def of(cls, layer: Layer) -> IDMappings:
        """Return the maps of a layer's record."""
        return cls(layer.uidmap, layer.gidmap)

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)

    def to_host(self, uid: int, gid: int) -> Owner:
        """Return the owner on disk of a file that belongs to `uid` and `gid` in a container.

        Raises:
            Unmapped: an ID is outside of its map.
        """
        return _host("UID", uid, self.uids), _host("GID", gid, self.gids)

    def to_container(self, uid: int, gid: int) -> Owner:
        """Return the owner that a container sees of a file that belongs to `uid` and `gid` on disk.

        Raises:
            Unmapped: an ID is outside of its map.
        """
        return _container("UID", uid, self.uids), _container("GID", gid, self.gids)

    @property
    def root(self) -> Owner:
        """The owner on disk of what belongs to a container's root (GetRootUIDGID).

        Raises:
            NotSupported: the maps have none; or ranges that cannot be.
        """
        for entry in (*self.uids, *self.gids):
            if entry.size < 1 or min(entry.container_id, entry.host_id) < 0:
                raise NotSupported(f"the range {entry.container_id}:{entry.host_id}:{entry.size} cannot map IDs")
        try:
            return _root("UID", self.uids), _root("GID", self.gids)
        except Unmapped as error:
            raise NotSupported(f"{error}: a layer's root folder must belong to somebody") from error


NO_MAPS = IDMappings()
"""The maps of a layer whose files have the owners that containers see."""


def shifted(entries: Iterable[TarEntry], maps: IDMappings) -> Iterator[TarEntry]:
    """Yield the entries of a tar with the owners that their files get on disk; they are changed in place.

    A whiteout is nobody's file: one whose owner has no place belongs to the container's root.

    Raises:
        BadArchive: an owner is outside of the maps; the entry and the ID are named.
    """
    from layerstore.archive.whiteouts import PREFIX

    root = maps.root
    for entry in entries:
        if entry.type != _GLOBAL_HEADER:
            try:
                entry.uid, entry.gid = maps.to_host(entry.uid, entry.gid)
            except Unmapped as error:
                if not entry.name.rstrip(b"/").rpartition(b"/")[2].startswith(PREFIX):
                    reason = f"{error}: make the layer with a larger map"
                    raise BadArchive(reason, entry=os.fsdecode(entry.name)) from error
                entry.uid, entry.gid = root
        yield entry


def need_true_owners(maps: IDMappings, *others: IDMappings) -> None:
    """Refuse to translate owners where this process does not see those that the maps are about.

    Raises:
        NotSupported: it is an ordinary user's; the maps of his layers count from his user namespace.
    """
    if os.geteuid() != 0 and any((maps, *others)):
        raise NotSupported(
            "the layer's files have mapped owners, which an ordinary user sees as other IDs: start layertui in "
            "`podman unshare`"
        )


def _host(kind: str, number: int, ranges: tuple[IDMap, ...]) -> int:
    for entry in ranges:
        if 0 <= number - entry.container_id < entry.size:
            return entry.host_id + number - entry.container_id
    if ranges:
        raise Unmapped(f"its {kind} {number} is outside of the layer's map of {kind}s, {_text(ranges)}")
    return number


def _container(kind: str, number: int, ranges: tuple[IDMap, ...]) -> int:
    for entry in ranges:
        if 0 <= number - entry.host_id < entry.size:
            return entry.container_id + number - entry.host_id
    if ranges:
        raise Unmapped(f"its {kind} on disk, {number}, is outside of the layer's map of {kind}s, {_text(ranges)}")
    return number


def _root(kind: str, ranges: tuple[IDMap, ...]) -> int:
    # The only user of a map of one is the container's root, whatever its ID there.
    return ranges[0].host_id if len(ranges) == 1 and ranges[0].size == 1 else _host(kind, 0, ranges)


def _text(ranges: tuple[IDMap, ...]) -> str:
    """Write ranges the way `podman create --uidmap` takes them."""
    return " ".join(f"{entry.container_id}:{entry.host_id}:{entry.size}" for entry in ranges)
