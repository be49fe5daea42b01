"""The blobs that are kept with a layer: what partial pulls need again, such as a layer's table of contents."""

from __future__ import annotations

import base64
import os
import re

from layerstore.errors import UnusableID
from layerstore.model import Layer
from layerstore.records.layout import Layout

_PLAIN = re.compile(r"[.0-9a-z]*")


def blob_sizes(layout: Layout, layer: Layer) -> dict[str, int | None]:
    """Return the bytes of each of the layer's blobs; None for one whose file is gone, or cannot be looked at."""
    try:
        folder = layout.big_data(layer.id)
    except UnusableID:
        return dict.fromkeys(layer.big_data_names)
    return {name: _size(folder, name) for name in layer.big_data_names}


def blob_name(key: str) -> str:
    """Return the name of a blob's file (makeBigDataBaseName in store.go); odd keys give what can be no name.

    It is the key, or base64 of it where the key has more than digits, small letters and dots before its last character,
    which the peer does not look at.
    """
    return key if _PLAIN.fullmatch(key[:-1]) else f"={base64.b64encode(os.fsencode(key)).decode()}"


def _size(folder: str, key: str) -> int | None:
    name = blob_name(key)
    if name in {"", ".", ".."} or "/" in name:
        return None
    try:
        return os.lstat(os.path.join(folder, name)).st_size
    except (OSError, ValueError):
        return None
