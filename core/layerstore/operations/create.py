"""Making layers and filling them: record incomplete, work, complete."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from layerstore.errors import (
    DuplicateID,
    DuplicateName,
    LayerStoreError,
    LayerUnknown,
    NotSupported,
    ParentUnknown,
    UnusableID,
)
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.linux.atomic import PendingFile
from layerstore.model import INCOMPLETE_FLAG, Layer, Progress, ShouldStop
from layerstore.operations.mount import refuse_under_mounts
from layerstore.operations.replace import replace_content
from layerstore.operations.transaction import Transaction
from layerstore.records.layout import file_name
from layerstore.records.records import Records, check_names, without_flag

if TYPE_CHECKING:
    from layerstore.operations.ingest import IngestResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A diff to apply: the stream, and how to follow and stop the work on it."""

    stream: BinaryIO
    progress: Progress | None = None
    should_stop: ShouldStop | None = None


@dataclass(frozen=True, slots=True)
class NewLayer:
    """What a new layer is to be; `maps` None stands for those of the parent."""

    id: str | None = None
    parent: str | None = None
    names: tuple[str, ...] = ()
    mount_label: str = ""
    options: Mapping[str, str] | None = None
    writable: bool = True
    flags: Mapping[str, Any] = field(default_factory=dict)
    maps: IDMappings | None = None

    def draft(self, tx: Transaction) -> Layer:
        """Return the record to begin with, marked incomplete. The parent may lie in an image store.

        Raises:
            ParentUnknown, DuplicateID, DuplicateName, NotSupported: the layer cannot be made so.
        """
        records, all_records = tx.records, tx.all_records
        layer_id = self.id or fresh_id(all_records)
        check_id(layer_id)
        if layer_id in all_records.by_id:
            raise DuplicateID(layer_id)
        left = tx.leftover(layer_id)
        if left:
            raise DuplicateID(layer_id, left)
        parent, maps = "", self.maps or NO_MAPS
        if self.parent:
            try:
                found = all_records.find(self.parent)
            except LayerUnknown as error:
                raise ParentUnknown(self.id or "", self.parent) from error
            parent, maps = found.id, self._like(found)
        names = check_names(self.names)
        for name in names:
            if name in records.by_name:
                raise DuplicateName(name, records.by_name[name].id)
        return Layer(
            id=layer_id,
            names=names,
            parent=parent,
            mount_label=self.mount_label,
            created=datetime.now(UTC),
            flags={**self.flags, INCOMPLETE_FLAG: True},
            uidmap=maps.uids,
            gidmap=maps.gids,
        )

    def _like(self, parent: Layer) -> IDMappings:
        maps = IDMappings.of(parent)
        if self.maps is not None and self.maps != maps:
            raise NotSupported(
                f"layer {parent.id[:16]} has other ID maps, and its files the owners that go with them: only Podman "
                "makes copies with new owners (podman create --uidmap --gidmap)"
            )
        return maps


def fresh_id(records: Records) -> str:
    """Return a random ID that no layer has: 64 hexadecimal digits, as pkg/stringid makes them."""
    while True:
        layer_id = os.urandom(32).hex()
        if layer_id not in records.by_id:
            return layer_id


def check_id(layer_id: str) -> None:
    """Refuse an ID for a new layer that would be hidden, or odd on a screen, as the name of a folder."""
    if layer_id.startswith(".") or not layer_id.isprintable():
        raise UnusableID(layer_id)
    file_name(layer_id)


def put(tx: Transaction, new: NewLayer, source: Source | None) -> tuple[Layer, int]:
    """Make a layer, fill it from `source` if there is one, and return it with the bytes of its files.

    Whatever goes wrong, no trace of the layer stays; where even cleaning up fails it stays marked incomplete, and the
    next one who writes to the store removes it.
    """
    layer = new.draft(tx)
    tx.save({}, [layer])
    size = -1
    try:
        should_stop = source.should_stop if source else None
        tx.driver.create(
            layer.id,
            layer.parent,
            writable=new.writable,
            mount_label=new.mount_label,
            options=new.options,
            maps=IDMappings.of(layer),
            should_stop=should_stop,
        )
        values: dict[str, Any] = {}
        if source is not None:
            size, result = _fill(tx, layer.id, layer, source)
            values = _outcome(result)
        tx.edit(layer.id, {**values, "flags": without_flag(layer, INCOMPLETE_FLAG)})
    except BaseException:
        _discard(tx, layer)
        raise
    return tx.records.by_id[layer.id], size


def apply_diff(tx: Transaction, layer: Layer, source: Source) -> int:
    """Apply a diff on top of what the layer holds; return the bytes of the files in it.

    The work is done on a copy under an ID of its own, which takes the layer's place at the end: until then, and after
    any failure or crash, the layer is as it was; see `replacing`.

    Raises:
        LayerInUse: the layer, or one based on it, is mounted or lived in.
    """
    refuse_under_mounts(tx, layer.id)
    staged = Layer(
        id=fresh_id(tx.records), parent=layer.parent, created=datetime.now(UTC), flags={INCOMPLETE_FLAG: True}
    )
    tx.save({}, [staged])
    try:
        tx.driver.clone(layer.id, staged.id, should_stop=source.should_stop)
        size, result = _fill(tx, staged.id, layer, source)
        replace_content(tx, layer, staged, _outcome(result))
    finally:
        _discard(tx, staged)
    return size


def _fill(tx: Transaction, layer_id: str, like: Layer, source: Source) -> tuple[int, IngestResult]:
    """Unpack a diff into a layer that has the parent and the maps of `like`."""
    from layerstore.operations.ingest import Ingest

    with (
        PendingFile(tx.backend.layout.tar_split(layer_id), mode=0o600) as pending,
        Ingest(source.stream, pending.file, progress=source.progress, should_stop=source.should_stop) as ingest,
    ):
        size = tx.driver.apply_diff(
            layer_id, like.parent, ingest.entries(), maps=IDMappings.of(like), should_stop=source.should_stop
        )
        return size, ingest.result()


def _outcome(result: IngestResult) -> dict[str, Any]:
    """Return the record's values, by JSON key, for a diff that was applied (applyDiffWithOptions in layers.go)."""
    return {
        "compressed-diff-digest": result.compressed_digest,
        "compressed-size": result.compressed_size,
        "diff-digest": result.diff_digest,
        "diff-size": result.diff_size,
        "compression": int(result.compression) or None,
        "uidset": result.uids or None,
        "gidset": result.gids or None,
    }


def _discard(tx: Transaction, layer: Layer) -> None:
    try:
        now = tx.records.by_id[layer.id]
        tx.settle(now)
        tx.remove(now)
    except (LayerStoreError, OSError):
        _log.exception("layer %s stays marked incomplete; it could not be removed after a failure", layer.id)
