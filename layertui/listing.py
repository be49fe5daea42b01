"""Lists of layers for pipes and scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from layerstore import Layer
from layerstore.records import encode
from layertui.safe import safe

_BATCH = 4096


def write_text(layers: Iterable[Layer], out: BinaryIO) -> None:
    """Write each ID on a line, with its names indented below, as `containers-storage layers` does."""
    _write((_text(layer) for layer in layers), out)


def write_json(layers: Iterable[Layer], out: BinaryIO) -> None:
    """Write one JSON array of the records' known fields."""
    separator = b"["

    def parts() -> Iterable[bytes]:
        nonlocal separator
        for layer in layers:
            yield separator + encode(layer)
            separator = b",\n"
        yield b"[]\n" if separator == b"[" else b"]\n"

    _write(parts(), out)


def _text(layer: Layer) -> bytes:
    lines = [safe(layer.id), *(f"\tname: {safe(name)}" for name in layer.names)]
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
