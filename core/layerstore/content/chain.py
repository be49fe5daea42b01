"""Resolves the layers that a read involves: the one to compare with, and those whose folders hold the files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerstore.errors import ParentUnknown
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.model import Change, Layer, ShouldStop
from layerstore.records.records import Records

if TYPE_CHECKING:
    from layerstore.content.diff import DiffReader, Options
    from layerstore.drivers.base import Driver, Stack


@dataclass(frozen=True, slots=True)
class Comparison:
    """A layer and what it is compared with.

    Attributes:
        layer: The layer.
        base: The ID of the other layer, or "" for an empty file system.
        maps: The ID maps of the layer.
        base_maps: The ID maps of the other layer.
    """

    layer: Layer
    base: str
    maps: IDMappings
    base_maps: IDMappings

    @classmethod
    def of(cls, records: Records, layer: Layer, from_: str | None) -> Comparison:
        """Compare a layer with `from_`, its parent if that is None, or nothing if it is "".

        Raises:
            LayerUnknown: `from_` is not a layer.
            ParentUnknown: The parent has no record.
        """
        base = _base(records, layer, from_)
        if base and base not in records.by_id:
            raise ParentUnknown(layer.id, base)
        return cls(layer, base, IDMappings.of(layer), IDMappings.of(records.by_id[base]) if base else NO_MAPS)

    def changes(self, driver: Driver, should_stop: ShouldStop | None) -> list[Change]:
        """Return the paths that differ, sorted by path."""
        return driver.changes(
            self.layer.id, self.base, maps=self.maps, parent_maps=self.base_maps, should_stop=should_stop
        )

    def size(self, driver: Driver, should_stop: ShouldStop | None) -> int:
        """Return the size in bytes of the files that were added or modified."""
        return driver.diff_size(
            self.layer.id, self.base, maps=self.maps, parent_maps=self.base_maps, should_stop=should_stop
        )


def open_diff(
    driver: Driver, records: Records, layer: Layer, from_: str | None, *, tar_split: str, options: Options
) -> DiffReader:
    """Return a reader of the tar that turns `from_` into the layer.

    Against its parent, a layer with a tar-split yields its original tar. Otherwise the tar is made by comparing files.

    Raises:
        LayerUnknown: `from_` is not a layer.
        ParentUnknown: The parent is needed but has no record.
    """
    from layerstore.content.diff import LayerFolders, from_chunks, from_tar_split

    if _base(records, layer, from_) == layer.parent and os.path.exists(tar_split):
        folders = LayerFolders(driver.diff_folders(layer.id, layer.parent), may_chmod=not layer.read_only)
        return from_tar_split(tar_split, folders, layer, options)
    pair = Comparison.of(records, layer, from_)
    chunks = driver.diff(
        layer.id, pair.base, maps=pair.maps, parent_maps=pair.base_maps, should_stop=options.should_stop
    )
    return from_chunks(chunks, options)


def folders_of(driver: Driver, records: Records, layer: Layer) -> tuple[Stack, list[tuple[str, str]]]:
    """Return the folders that make up a layer.

    Returns:
        The layer's stack, and the ID and folder of each of its ancestors, nearest first, if every layer is a full copy.
    """
    stack = driver.stack(layer.id)
    older: dict[str, str] = {}
    while driver.copies_lower and layer.parent in records.by_id and layer.parent not in older:
        layer = records.by_id[layer.parent]
        if not driver.exists(layer.id):
            break
        older.update(driver.stack(layer.id).folders)
    return stack, list(older.items())


def _base(records: Records, layer: Layer, from_: str | None) -> str:
    if from_ is None:
        return layer.parent
    return from_ and records.find(from_).id
