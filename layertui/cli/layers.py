"""Lists of layers for pipes and scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from layerstore import Layer
from layerstore.records.records import encode_layer as encode
from layerstore.records.table import LayerTable
from layertui.text.safe import safe

_BATCH = 4096


def write_text(table: LayerTable, out: BinaryIO) -> None:
    """Write each ID on a line, with its names indented below, as `containers-storage layers` does.

    A layer of an additional image store has a line more, with that store's path.
    """
    _write((_text(table, position) for position in range(len(table))), out)


def write_json(layers: Iterable[Layer], out: BinaryIO) -> None:
    """Write one JSON array of the records' known fields, and for a layer of an image store that store's path."""
    separator = b"["

    def parts() -> Iterable[bytes]:
        nonlocal separator
        for layer in layers:
            yield separator + _json(layer)
            separator = b",\n"
        yield b"[]\n" if separator == b"[" else b"]\n"

    _write(parts(), out)


def _json(layer: Layer) -> bytes:
    record = encode(layer)
    if not layer.image_store:
        return record
    return record[:-1] + b',"image-store":' + msgspec.json.encode(safe(layer.image_store)) + b"}"


def _text(table: LayerTable, position: int) -> bytes:
    text = f"{safe(table.ids[position])}\n"
    for name in table.names.get(position, ()):
        text += f"\tname: {safe(name)}\n"
    store = table.image_store(position)
    return (f"{text}\timage store: {safe(store)}\n" if store else text).encode()


def _write(parts: Iterable[bytes], out: BinaryIO) -> None:
    pending: list[bytes] = []
    for part in parts:
        pending.append(part)
        if len(pending) >= _BATCH:
            out.write(b"".join(pending))
            pending.clear()
    out.write(b"".join(pending))
    out.flush()
