"""Making layers and filling them: record incomplete, work, complete."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from layerstore.atomic import PendingFile
from layerstore.errors import DuplicateID, DuplicateName, LayerStoreError, LayerUnknown, ParentUnknown, UnusableID
from layerstore.layout import file_name
from layerstore.model import COMPRESSION_FLAG, INCOMPLETE_FLAG, Layer, Progress, ShouldStop
from layerstore.records import Records, check_names, without_flag
from layerstore.transaction import Transaction

if TYPE_CHECKING:
    from layerstore.ingest import IngestResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A diff to apply: the stream, and how to follow and stop the work on it."""

    stream: BinaryIO
    progress: Progress | None = None
    should_stop: ShouldStop | None = None


@dataclass(frozen=True, slots=True)
class NewLayer:
    """What a new layer is to be."""

    id: str | None = None
    parent: str | None = None
    names: tuple[str, ...] = ()
    mount_label: str = ""
    options: Mapping[str, str] | None = None
    writable: bool = True
    flags: Mapping[str, Any] = field(default_factory=dict)

    def draft(self, records: Records) -> Layer:
        """Return the record to begin with, marked incomplete.

        Raises:
            ParentUnknown, DuplicateID, DuplicateName: the layer cannot be made so.
        """
        layer_id = self.id or fresh_id(records)
        check_id(layer_id)
        if layer_id in records.by_id:
            raise DuplicateID(layer_id)
        parent = ""
        if self.parent:
            try:
                parent = records.find(self.parent).id
            except LayerUnknown as error:
                raise ParentUnknown(self.id or "", self.parent) from error
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
        )


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
    layer = new.draft(tx.records)
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
            should_stop=should_stop,
        )
        values: dict[str, Any] = {}
        if source is not None:
            size, result = _fill(tx, layer.id, layer.parent, source)
            values = _outcome(result)
        tx.edit(layer.id, {**values, "flags": without_flag(layer, INCOMPLETE_FLAG)})
    except BaseException:
        _discard(tx, layer)
        raise
    return tx.records.by_id[layer.id], size


def apply_diff(tx: Transaction, layer: Layer, source: Source) -> int:
    """Apply a diff on top of what the layer holds; return the bytes of the files in it.

    The work is done on a copy under an ID of its own, which takes the layer's place at the end: until then, and after
    any failure, the layer is as it was. A crash between that exchange and the record leaves a layer whose diff is
    refused as damaged, never a wrong one.
    """
    staged = Layer(
        id=fresh_id(tx.records), parent=layer.parent, created=datetime.now(UTC), flags={INCOMPLETE_FLAG: True}
    )
    tx.save({}, [staged])
    try:
        tx.driver.clone(layer.id, staged.id, should_stop=source.should_stop)
        size, result = _fill(tx, staged.id, layer.parent, source)
        _take_place(tx, layer, staged, result)
    finally:
        _discard(tx, staged)
    return size


def _take_place(tx: Transaction, layer: Layer, staged: Layer, result: IngestResult) -> None:
    """Give `layer` the content and the tar-split of `staged`, which is left with the old content."""
    tx.driver.replace(layer.id, staged.id)
    try:
        tx.edit(layer.id, {**_outcome(result), "flags": without_flag(layer, COMPRESSION_FLAG)})
    except BaseException:
        tx.driver.replace(layer.id, staged.id)
        raise
    os.rename(tx.backend.layout.tar_split(staged.id), tx.backend.layout.tar_split(layer.id))


def _fill(tx: Transaction, layer_id: str, parent: str, source: Source) -> tuple[int, IngestResult]:
    from layerstore.ingest import Ingest

    with (
        PendingFile(tx.backend.layout.tar_split(layer_id), mode=0o600) as pending,
        Ingest(source.stream, pending.file, progress=source.progress, should_stop=source.should_stop) as ingest,
    ):
        size = tx.driver.apply_diff(layer_id, parent, ingest.entries(), should_stop=source.should_stop)
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
        tx.remove(layer)
    except (LayerStoreError, OSError):
        _log.exception("layer %s stays marked incomplete; it could not be removed after a failure", layer.id)
