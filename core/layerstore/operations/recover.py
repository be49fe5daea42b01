"""Cleans up after writers that crashed or failed: incomplete layers, half-done replacements and temporary files."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layerstore.drivers import staging
from layerstore.errors import LayerStoreError
from layerstore.linux.atomic import remove_abandoned
from layerstore.model import REPLACES_FLAG, Layer
from layerstore.operations.mount import refuse_under_mounts
from layerstore.operations.replace import content_inode, take_tar_split
from layerstore.operations.transaction import Transaction
from layerstore.records.records import Edit

_log = logging.getLogger(__name__)


def tidy(tx: Transaction) -> list[str]:
    """Do what containers/storage does when it loads a store for writing.

    Incomplete layers are removed unless another layer is based on them. A name that two layers claim stays with the
    later one. Temporary files of interrupted removals and writes are deleted. Anything that cannot be cleaned up, such
    as a layer that is mounted, is skipped; a check of the store reports it.

    Returns:
        The IDs of the removed layers.
    """
    records = tx.records
    if records.stolen_names:
        names = {layer_id: Edit({"names": names or None}) for layer_id, names in records.stolen_names.items()}
        with _best_effort("a name that two layers claim"):
            tx.save(names)
    removed = []
    for layer in records.incomplete():
        with _best_effort(f"incomplete layer {layer.id}"):
            settle(tx, layer)
            if not tx.records.children(layer.id):
                tx.remove(layer)
                removed.append(layer.id)
    with _best_effort("temporary files of an interrupted operation"):
        clean_up(tx)
    return removed


def settle(tx: Transaction, copy: Layer) -> None:
    """Finish or undo an interrupted replacement, so that `copy` can be removed. See `replace`.

    A layer that is not a copy made for a replacement is left alone.

    Raises:
        LayerInUse: The replacement has to be undone, but the layer is mounted.
    """
    intent = copy.flags.get(REPLACES_FLAG)
    if not isinstance(intent, dict):
        return
    layer = tx.records.by_id.get(str(intent.get("layer")))
    if layer is None or not (tx.driver.exists(layer.id) and tx.driver.exists(copy.id)):
        return
    if content_inode(tx, layer.id) != intent.get("inode"):
        return  # the exchange did not happen
    if layer.diff_digest == intent.get("digest"):
        with suppress(FileNotFoundError):
            take_tar_split(tx, layer, copy)
    else:
        refuse_under_mounts(tx, layer.id)
        tx.driver.replace(layer.id, copy.id)


def clean_up(tx: Transaction) -> None:
    """Delete what interrupted removals and writes of this package or of containers/storage left behind."""
    backend = tx.backend
    tx.driver.cleanup()
    staging.recover(Path(backend.layout.layers_aside))
    if time.time() >= backend.abandoned_from:
        backend.abandoned_from = remove_abandoned(backend.layout.layers)


@contextmanager
def _best_effort(what: str) -> Iterator[None]:
    try:
        yield
    except (LayerStoreError, OSError) as error:
        _log.warning("could not clean up %s; will retry on the next write: %s", what, error)
