"""The named data items of a layer, such as the table of contents that partial pulls reuse."""

from __future__ import annotations

import base64
import os
import re

from layerstore.errors import UnusableID
from layerstore.model import Layer
from layerstore.records.layout import Layout

_PLAIN = re.compile(r"[.0-9a-z]*")


def blob_sizes(layout: Layout, layer: Layer) -> dict[str, int | None]:
    """Return the size in bytes of each data item, or None if its file is missing or inaccessible."""
    try:
        folder = layout.big_data(layer.id)
    except UnusableID:
        return dict.fromkeys(layer.big_data_names)
    return {name: _size(folder, name) for name in layer.big_data_names}


def blob_name(key: str) -> str:
    """Return the file name for a key (makeBigDataBaseName in store.go). It need not be a valid name.

    A key of digits, lowercase letters and dots is used as it is, any other key as "=" and its base64. As in
    containers/storage, the last character of the key is not examined.
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
