"""The store's verbs that compare layers and look into them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from layerstore.errors import ParentUnknown
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.model import Change, Compression, Layer, Progress, ShouldStop
from layerstore.operations.transaction import Backend
from layerstore.records.records import Records

if TYPE_CHECKING:
    from layerstore.content import diff as export
    from layerstore.content.extract import Extracted
    from layerstore.content.files import LayerFiles
    from layerstore.content.waste import WasteReport
    from layerstore.drivers.base import Stack


class DiffVerbs:
    """The part of `LayerStore` that compares layers and reads their files."""

    _backend: Backend

    def changes(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> list[Change]:
        """Return how the layer `to` differs from `from_`, sorted by path (Changes).

        `from_` is by default the parent; "" stands for nothing at all. Unlike the seed, which would take the parent
        instead, a `from_` that is no layer is an error.

        Raises:
            LayerUnknown, ParentUnknown, Cancelled: there is nothing to compare.
        """
        with self._backend.reading() as records:
            layer, base = _pair(records, to, from_)
            maps, parent_maps = _maps(records, layer, base)
            return self._backend.driver.changes(
                layer.id, base, maps=maps, parent_maps=parent_maps, should_stop=should_stop
            )

    def diff_size(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> int:
        """Return the bytes of the files that `changes` adds or modifies (DiffSize)."""
        with self._backend.reading() as records:
            layer, base = _pair(records, to, from_)
            maps, parent_maps = _maps(records, layer, base)
            return self._backend.driver.diff_size(
                layer.id, base, maps=maps, parent_maps=parent_maps, should_stop=should_stop
            )

    def diff(
        self,
        to: str,
        from_: str | None = None,
        *,
        compression: Compression | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> export.DiffReader:
        """Return a reader of the tar that makes `to` out of `from_` (Diff); close it after use.

        Against its parent, a layer that came in as a tar gives that same tar, checked against its digest; otherwise
        the tar is made by comparing. `compression` is by default the one that it came in with. The store is locked for
        reading until the reader is closed.

        Raises:
            LayerUnknown, ParentUnknown: there is nothing to compare; later, while reading: DamagedLayer, Cancelled.
        """
        from layerstore.content import diff as export

        with self._backend.reading() as records:
            release = self._backend.detached_read()
            try:
                layer = records.find(to)
                how = export.Options(
                    layer.diff_compression if compression is None else compression, progress, should_stop, release
                )
                return self._open_diff(records, layer, from_, how)
            except BaseException:
                release()
                raise

    def _open_diff(self, records: Records, layer: Layer, from_: str | None, how: export.Options) -> export.DiffReader:
        from layerstore.content import diff as export

        backend = self._backend
        tar_split = backend.tar_split(layer)
        base = layer.parent if from_ is None else from_ and records.find(from_).id
        if base == layer.parent and os.path.exists(tar_split):
            folders = backend.driver.diff_folders(layer.id, layer.parent)
            files = export.LayerFolders(folders, may_chmod=not layer.read_only)
            return export.from_tar_split(tar_split, files, layer, how)
        base = _pair(records, layer.id, from_)[1]
        maps, parent_maps = _maps(records, layer, base)
        plain = backend.driver.diff(layer.id, base, maps=maps, parent_maps=parent_maps, should_stop=how.should_stop)
        return export.from_chunks(plain, how)

    def files(self, ref: str) -> LayerFiles:
        """Return a view of the layer's whole file system, without mounting it; see `LayerFiles`.

        Raises:
            LayerUnknown, StoreCorrupt, NotSupported, OSError: the layer cannot be looked at; the text says why.
        """
        from layerstore.content.files import LayerFiles

        with self._backend.reading() as records:
            stack, older = self._stack(records, ref)
            maps = IDMappings.of(records.find(ref))
        return LayerFiles(stack, older, maps=maps, may_chmod=not self._backend.read_only and os.geteuid() != 0)

    def waste(
        self, ref: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> WasteReport:
        """Return which bytes the layer and those below it carry for nothing, without a lock; see `waste.waste`."""
        from layerstore.content.waste import waste

        with self._backend.reading() as records:
            stack, older = self._stack(records, ref)
        return waste(stack, older, progress=progress, should_stop=should_stop)

    def extract(
        self,
        ref: str,
        path: str,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        owners: bool = True,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Extracted:
        """Write a file or a folder of the layer's file system as `target`, all or nothing; see `extract.extract`."""
        from layerstore.content.extract import extract

        files = self.files(ref)
        return extract(
            files, path, target, overwrite=overwrite, owners=owners, progress=progress, should_stop=should_stop
        )

    def extract_tar(
        self,
        ref: str,
        path: str,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Write a tar of a file or a folder of the layer's file system; return its bytes; see `extract.pack`."""
        from layerstore.content.extract import extract_tar

        files = self.files(ref)
        return extract_tar(files, path, target, overwrite=overwrite, progress=progress, should_stop=should_stop)

    def _stack(self, records: Records, ref: str) -> tuple[Stack, list[tuple[str, str]]]:
        """Return the folders of a layer, and for a driver with full copies those of its parents, the nearest first."""
        layer, driver = records.find(ref), self._backend.driver
        stack = driver.stack(layer.id)
        older: dict[str, str] = {}
        while driver.copies_lower and layer.parent in records.by_id and layer.parent not in older:
            layer = records.by_id[layer.parent]
            if not driver.exists(layer.id):
                break
            older.update(driver.stack(layer.id).folders)
        return stack, list(older.items())


def _maps(records: Records, layer: Layer, base: str) -> tuple[IDMappings, IDMappings]:
    """Return the ID maps of a layer and of the one that it is compared with."""
    return IDMappings.of(layer), IDMappings.of(records.by_id[base]) if base else NO_MAPS


def _pair(records: Records, to: str, from_: str | None) -> tuple[Layer, str]:
    """Return the layer, and the ID to compare it with."""
    layer = records.find(to)
    if from_ is not None:
        return layer, from_ and records.find(from_).id
    if layer.parent and layer.parent not in records.by_id:
        raise ParentUnknown(layer.id, layer.parent)
    return layer, layer.parent
