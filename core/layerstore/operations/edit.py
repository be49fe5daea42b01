"""Edits records: names, metadata and flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from layerstore.errors import LayerStoreError
from layerstore.model import Layer
from layerstore.operations.transaction import Transaction
from layerstore.records.records import Edit, check_names, without_flag


def set_names(tx: Transaction, layer: Layer, names: Iterable[str]) -> None:
    """Replace the names of a layer, taking them away from other layers (see `LayerStore.set_names`)."""
    wanted = check_names(names)
    by_name = tx.records.by_name
    edits = {layer.id: Edit({"names": wanted or None})}
    for loser in {by_name[name].id: by_name[name] for name in wanted if name in by_name}.values():
        if loser.id != layer.id:
            kept = tuple(name for name in loser.names if name not in wanted)
            edits[loser.id] = Edit({"names": kept or None})
    tx.save(edits)


def set_metadata(tx: Transaction, layer: Layer, metadata: str) -> None:
    """Replace the metadata of a layer."""
    _save(tx, layer, {"metadata": metadata or None})


def set_flag(tx: Transaction, layer: Layer, flag: str, value: Any) -> None:
    """Set a flag of a layer."""
    _save(tx, layer, {"flags": {**layer.flags, flag: value}})


def clear_flag(tx: Transaction, layer: Layer, flag: str) -> None:
    """Remove a flag of a layer."""
    _save(tx, layer, {"flags": without_flag(layer, flag)})


def _save(tx: Transaction, layer: Layer, values: Mapping[str, Any]) -> None:
    try:
        tx.edit(layer.id, values)
    except (TypeError, UnicodeEncodeError) as error:
        raise LayerStoreError(f"cannot {tx.action}: the value cannot be stored as JSON ({error})") from error
