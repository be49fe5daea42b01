"""Layers in the form that partial pulls (zstd:chunked, eStargz) and composefs leave on disk.

The tests have neither a registry nor `mkcomposefs`. They put whole layers and then edit the files into the form that
containers/storage writes (layers.go: applyDiffFromStagingDirectory; pkg/chunked/storage_linux.go: BigData and
makeEntriesFlat; drivers/overlay/composefs.go). The composefs blob consists of its header only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layerstore import Layer, LayerStore
from support.tars import make_tar

FILES = {"etc": None, "etc/one": b"one\n" * 500, "etc/two": b"two", "etc/again": b"two", "empty": b""}
TAR = make_tar(FILES)
TOC = json.dumps(
    {
        "version": 1,
        "entries": [
            {"type": "dir", "name": name, "mode": 0o755}
            if data is None
            else {
                "type": "reg",
                "name": name,
                "size": len(data),
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            }
            for name, data in FILES.items()
        ],
    }
).encode()
TOC_DIGEST = f"sha256:{hashlib.sha256(TOC).hexdigest()}"
LAYER = "a" * 64


def layers_folder(store: LayerStore) -> Path:
    return store.graph_root / f"{store.driver_name}-layers"


def edit_record(store: LayerStore, layer: str, edit: Callable[[dict[str, Any]], None]) -> None:
    path = layers_folder(store) / "layers.json"
    records = json.loads(path.read_bytes())
    edit(next(record for record in records if record["id"] == layer))
    path.write_text(json.dumps(records, separators=(",", ":")))


def make_partial(store: LayerStore, *, digest: bool, tar_split: bool = True) -> Layer:
    """Put a layer and turn it into one from a partial pull."""
    store.put(TAR, id=LAYER, names=["partial"])

    def edit(record: dict[str, Any]) -> None:
        for key in ("compressed-size", "diff-size", *(() if digest else ("diff-digest",))):
            record.pop(key)
        record["compressed-diff-digest"] = f"sha256:{'5' * 64}"
        record["toc-digest"] = TOC_DIGEST
        record["big-data-names"] = ["zstd-chunked-layer-data", "zstd-chunked-manifest"]
        if digest or tar_split:
            record["diff-size"] = len(TAR)
        else:
            record["diff-size"] = -1

    edit_record(store, LAYER, edit)
    folder = layers_folder(store) / LAYER
    folder.mkdir(mode=0o700)
    for key, data in {"zstd-chunked-manifest": TOC, "zstd-chunked-layer-data": b"[]"}.items():
        (folder / f"={base64.b64encode(key.encode()).decode()}").write_bytes(data)
    if not tar_split:
        (layers_folder(store) / f"{LAYER}.tar-split.gz").unlink()
    return store.get(LAYER)


def make_composefs(store: LayerStore) -> None:
    """Put a layer and turn it into a composefs image: contents by digest, names in a blob."""
    make_partial(store, digest=True)
    diff = store.paths(LAYER)["diff"]
    shutil.rmtree(diff)
    diff.mkdir(mode=0o555)
    for data in filter(None, FILES.values()):
        digest = hashlib.sha256(data).hexdigest()
        (diff / digest[:2]).mkdir(exist_ok=True)
        (diff / digest[:2] / digest[2:]).write_bytes(data)
    (diff.parent / "composefs-data").mkdir(mode=0o700)
    (diff.parent / "composefs-data/composefs.blob").write_bytes(bytes.fromhex("cf0a29d0") + bytes(8188))
