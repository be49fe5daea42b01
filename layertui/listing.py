"""Lists of layers for pipes and scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from layerstore import Layer
from layerstore.records import encode
from layertui.safe import safe

_BATCH = 4096


def write_text(layers: Iterable[Layer], out: BinaryIO) -> None:
    """Write each ID on a line, with its names indented below, as `containers-storage layers` does.

    A layer of an additional image store has a line more, with that store's path.
    """
    _write((_text(layer) for layer in layers), out)


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


def _text(layer: Layer) -> bytes:
    lines = [safe(layer.id), *(f"\tname: {safe(name)}" for name in layer.names)]
    if layer.image_store:
        lines.append(f"\timage store: {safe(layer.image_store)}")
    return "".join(f"{line}\n" for line in lines).encode()


def _write(parts: Iterable[bytes], out: BinaryIO) -> None:
    pending: list[bytes] = []
    for part in parts:
        pending.append(part)
        if len(pending) >= _BATCH:
            out.write(b"".join(pending))
            pending.clear()
    out.write(b"".join(pending))
    out.flush()
