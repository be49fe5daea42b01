"""Replaces the content of a layer in one step, which a crash cannot leave half done.

The files of a layer and its record must change together. The new content is therefore prepared as a copy of the layer
under its own ID, and a flag on the copy announces the exchange before it happens. After a crash, `recover.settle` finds
the flag: it finishes the exchange if the layer's record was updated, and undoes it otherwise.

containers/storage does not know this flag. While it is set, the copy is not marked incomplete: if containers/storage
loads the store first after a crash, it must not delete the copy, which may hold the only old content.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from layerstore.model import COMPRESSION_FLAG, REPLACES_FLAG, Layer
from layerstore.operations.transaction import Transaction
from layerstore.records.records import without_flag


def replace_content(tx: Transaction, layer: Layer, copy: Layer, values: Mapping[str, Any]) -> None:
    """Give `layer` the files and tar-split of `copy`, and update its record with `values`, given by JSON key.

    Even if this raises, the caller must then call `recover.settle` and remove `copy`, which has the old content.
    """
    intent = {"layer": layer.id, "inode": content_inode(tx, copy.id), "digest": values["diff-digest"]}
    tx.edit(copy.id, {"flags": {REPLACES_FLAG: intent}})
    tx.driver.replace(layer.id, copy.id)
    tx.edit(layer.id, {**values, "flags": without_flag(layer, COMPRESSION_FLAG)})
    take_tar_split(tx, layer, copy)


def take_tar_split(tx: Transaction, layer: Layer, copy: Layer) -> None:
    """Rename the tar-split of `copy` to that of `layer`."""
    os.rename(tx.backend.layout.tar_split(copy.id), tx.backend.layout.tar_split(layer.id))


def content_inode(tx: Transaction, layer_id: str) -> int:
    """Return the inode of a layer's folder, which shows whether two layers have been exchanged."""
    return os.stat(tx.driver.diff_root(layer_id)).st_ino
