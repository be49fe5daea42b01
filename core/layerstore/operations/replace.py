"""Giving a layer other content in one step, which a crash leaves done or not done.

Two things must change together, the layer's files and its record. The copy that is to take the layer's place therefore
says so in a flag before they change places; whoever finds that flag finishes the change if the record tells of it, and
else takes it back. containers/storage does not know the flag. So the copy is not marked incomplete meanwhile: should it
come first after such a crash, it leaves the copy, which may be all that is left of the old content.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore.model import COMPRESSION_FLAG, REPLACES_FLAG, Layer
from layerstore.operations.mount import refuse_under_mounts
from layerstore.records.records import without_flag

if TYPE_CHECKING:
    from layerstore.operations.transaction import Transaction


def replace_content(tx: Transaction, layer: Layer, staged: Layer, values: Mapping[str, Any]) -> None:
    """Give `layer` the content and the tar-split of `staged`, and its record these values by JSON key.

    `staged` is left with the old content, for the caller to settle and remove, whatever is raised.
    """
    intent = {"layer": layer.id, "inode": _inode(tx, staged.id), "digest": values["diff-digest"]}
    tx.edit(staged.id, {"flags": {REPLACES_FLAG: intent}})
    tx.driver.replace(layer.id, staged.id)
    tx.edit(layer.id, {**values, "flags": without_flag(layer, COMPRESSION_FLAG)})
    _take_tar_split(tx, layer, staged)


def settle(tx: Transaction, staged: Layer) -> None:
    """Finish or take back a change that a crash or an error interrupted; `staged` can be removed then.

    Raises:
        LayerInUse: it cannot be taken back under a mount.
    """
    intent = staged.flags.get(REPLACES_FLAG)
    if not isinstance(intent, dict):
        return
    layer = tx.records.by_id.get(str(intent.get("layer")))
    if layer is None or not (tx.driver.exists(layer.id) and tx.driver.exists(staged.id)):
        return
    if _inode(tx, layer.id) != intent.get("inode"):
        return  # they have not changed places
    if layer.diff_digest == intent.get("digest"):
        with suppress(FileNotFoundError):
            _take_tar_split(tx, layer, staged)
    else:
        refuse_under_mounts(tx, layer.id)
        tx.driver.replace(layer.id, staged.id)


def _take_tar_split(tx: Transaction, layer: Layer, staged: Layer) -> None:
    os.rename(tx.backend.layout.tar_split(staged.id), tx.backend.layout.tar_split(layer.id))


def _inode(tx: Transaction, layer_id: str) -> int:
    return os.stat(tx.driver.diff_root(layer_id)).st_ino
