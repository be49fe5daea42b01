"""`layertui layers`: lists of layers for pipes and scripts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from layerstore import Layer
from layerstore.records.layout import drivers_in
from layerstore.records.records import encode_layer
from layerstore.records.table import LayerTable
from layertui.cli.options import find_place, open_store, with_existing_driver
from layertui.text.safe import safe

_BATCH = 4096


def run(options: argparse.Namespace) -> int:
    """List the layers of one driver on standard output and return the exit status.

    Other drivers with layers in the same graph root, and image stores that cannot be read, are named on standard error.
    """
    place = find_place(options)
    store = open_store(with_existing_driver(place, options.driver), read_only=True)
    others = [name for name in drivers_in(place.graph_root) if name != store.driver_name]
    if others and options.driver is None:
        names = safe(", ".join(others))
        _warn(f"listing {store.driver_name}; {safe(place.graph_root)} also has layers of {names} (see --driver)")
    for problem in store.problems() if store.image_stores else ():
        if not problem.layer:
            _warn(safe(problem.text))
    write = write_json if options.json else write_text
    write(store.table(), sys.stdout.buffer)
    return 0


def _warn(text: str) -> None:
    print(f"layertui: {text}", file=sys.stderr)  # noqa: T201


def write_text(table: LayerTable, out: BinaryIO) -> None:
    """Write one ID per line with its names indented below, as `containers-storage layers` does.

    A layer of an additional image store gets one more line with the path of that store.
    """
    _write((_text(table, position) for position in range(len(table))), out)


def write_json(layers: Iterable[Layer], out: BinaryIO) -> None:
    """Write the known fields of the records as a JSON array.

    A layer of an additional image store gets the field `image-store` with the path of that store.
    """
    separator = b"["

    def parts() -> Iterable[bytes]:
        nonlocal separator
        for layer in layers:
            yield separator + _json(layer)
            separator = b",\n"
        yield b"[]\n" if separator == b"[" else b"]\n"

    _write(parts(), out)


def _json(layer: Layer) -> bytes:
    record = encode_layer(layer)
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
