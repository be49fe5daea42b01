"""Creates layers and applies diffs: record the layer as incomplete, do the work, clear the flag."""

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
from layerstore.operations import recover
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
    """A diff to apply, and the callbacks of the caller."""

    stream: BinaryIO
    progress: Progress | None = None
    should_stop: ShouldStop | None = None


@dataclass(frozen=True, slots=True)
class NewLayer:
    """The arguments for a new layer (see `LayerStore.create`)."""

    id: str | None = None
    parent: str | None = None
    names: tuple[str, ...] = ()
    mount_label: str = ""
    options: Mapping[str, str] | None = None
    writable: bool = True
    flags: Mapping[str, Any] = field(default_factory=dict)
    maps: IDMappings | None = None

    def draft(self, tx: Transaction) -> Layer:
        """Return the initial record of the layer, marked incomplete. The parent may be in an image store.

        Raises:
            ParentUnknown: There is no such parent.
            DuplicateID: The ID is taken by a layer, or by files without a record.
            DuplicateName: Another layer has one of the names.
            UnusableID: The ID is not a valid folder name.
            NotSupported: The ID maps are not those of the parent.
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
                f"layer {parent.id[:16]} has other ID maps, which its files' owners depend on: use "
                "podman create --uidmap --gidmap, which copies the layer with new owners"
            )
        return maps


def fresh_id(records: Records) -> str:
    """Return an unused random ID of 64 hexadecimal digits, as pkg/stringid generates them."""
    while True:
        layer_id = os.urandom(32).hex()
        if layer_id not in records.by_id:
            return layer_id


def check_id(layer_id: str) -> None:
    """Raise `UnusableID` unless the ID is a visible, printable folder name that a new layer can have."""
    if layer_id.startswith(".") or not layer_id.isprintable():
        raise UnusableID(layer_id)
    file_name(layer_id)


def put(tx: Transaction, new: NewLayer, source: Source | None) -> tuple[Layer, int]:
    """Create a layer, apply a diff to it if there is one, and return it with the size of its files in bytes.

    On any error the layer is removed. If that fails too, it stays marked incomplete and the next writer removes it.
    Without a diff the size is -1.
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
    """Apply a diff on top of a layer's content, and return the size of the files in the diff in bytes.

    The diff is applied to a copy with its own ID, which replaces the layer at the end (see `replace`). Until then, and
    after any failure or crash, the layer is unchanged.

    Raises:
        LayerInUse: The layer or one based on it is mounted, or processes use its files.
    """
    refuse_under_mounts(tx, layer.id)
    copy = Layer(id=fresh_id(tx.records), parent=layer.parent, created=datetime.now(UTC), flags={INCOMPLETE_FLAG: True})
    tx.save({}, [copy])
    try:
        tx.driver.clone(layer.id, copy.id, should_stop=source.should_stop)
        size, result = _fill(tx, copy.id, layer, source)
        replace_content(tx, layer, copy, _outcome(result))
    finally:
        _discard(tx, copy)
    return size


def _fill(tx: Transaction, layer_id: str, like: Layer, source: Source) -> tuple[int, IngestResult]:
    """Apply a diff to a layer that has the parent and ID maps of `like`."""
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
    """Return the values that an applied diff sets in the record, by JSON key (applyDiffWithOptions in layers.go)."""
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
        recover.settle(tx, now)
        tx.remove(now)
    except (LayerStoreError, OSError):
        _log.exception("could not remove layer %s after a failure; the next write will retry", layer.id)
