"""The store's verbs that look layers up, and what is known of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from layerstore.model import DiskUsage, Layer, MountPoint, Progress, ShouldStop
from layerstore.operations import mount as mounting
from layerstore.operations import remove
from layerstore.operations.transaction import Backend
from layerstore.records.references import References
from layerstore.records.table import LayerTable


class LookVerbs:
    """The part of `LayerStore` that tells of layers and changes nothing."""

    _backend: Backend

    def layers(self) -> list[Layer]:
        """Return all layers, in the order of the records, those of image stores last (Layers).

        Of records with the same ID only the first is among them; `problems` tells of the others.
        """
        with self._backend.reading() as records:
            mounts = self._backend.mounts().by_id
            if not mounts:
                return list(records.layers)
            return [_with_mount(layer, mounts.get(layer.id)) for layer in records.layers]

    def table(self) -> LayerTable:
        """Return all layers as columns, for who shows many; without where they are mounted, which `mounts` tells."""
        with self._backend.reading() as records:
            return records.layers

    def get(self, ref: str) -> Layer:
        """Return one layer; raises `LayerUnknown` (Get)."""
        with self._backend.reading() as records:
            layer = records.find(ref)
            return _with_mount(layer, self._backend.mounts().by_id.get(layer.id))

    def lookup(self, ref: str) -> str:
        """Return the layer's ID; raises `LayerUnknown` (Lookup)."""
        with self._backend.reading() as records:
            return records.find(ref).id

    def exists(self, ref: str) -> bool:
        """Tell whether `ref` names a layer (Exists); no for a beginning that fits several."""
        try:
            self.lookup(ref)
        except LookupError:
            return False
        return True

    def record(self, ref: str) -> bytes:
        """Return the layer's record in JSON as it stands on disk; raises `LayerUnknown`."""
        with self._backend.reading() as records:
            layer = records.find(ref)
            return self._backend.records_of(layer).record(layer.id)

    def references(self) -> References:
        """Return which images and containers use which layers; see `References` for what it cannot tell."""
        with self._backend.reading() as records:
            return self._backend.references(records)

    def dependents(self, ref: str) -> remove.Dependents:
        """Return all that depends on the layer, at this moment; raises `LayerUnknown`."""
        with self._backend.reading() as records:
            references, mounts = self._backend.references(records), mounting.survey(self._backend)
            return remove.dependents(records, references, mounts, records.find(ref).id)

    def paths(self, ref: str) -> dict[str, Path]:
        """Return the folders that make up the layer on disk, by the driver's word for each. They need not exist.

        Raises:
            LayerUnknown, UnusableID: there is no such layer, or there can be no folder of its ID.
        """
        return self._backend.driver.paths(self.lookup(ref))

    def big_data(self, ref: str) -> dict[str, int | None]:
        """Return the names of the blobs that are kept with the layer, and their bytes; None where one is gone.

        Raises `LayerUnknown`. The names are those of the record, and may be anything.
        """
        from layerstore.records.bigdata import blob_sizes

        with self._backend.reading() as records:
            layer = records.find(ref)
            store = self._backend.image_stores.store_of(layer)
            return blob_sizes(self._backend.layout if store is None else store.layout, layer)

    def usage(self, ref: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None) -> DiskUsage:
        """Return what the layer's own files take on disk. Looks at every file, without a lock.

        Raises:
            LayerUnknown, Cancelled; OSError: the layer's folder, or something in it, cannot be looked at.
        """
        return self._backend.driver.usage(self.lookup(ref), progress=progress, should_stop=should_stop)


def _with_mount(layer: Layer, mount: MountPoint | None) -> Layer:
    if mount is None:
        return layer
    return msgspec.structs.replace(layer, mount_point=mount.path, mount_count=mount.count)
