"""Stores for the benchmarks: many records without files, or one layer with many files."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path


def write_store(graph: Path, count: int) -> None:
    """Write `count` records in chains of ten layers, and an image for every thousandth chain."""
    chance = random.Random(1)
    ids = [f"{chance.getrandbits(256):064x}" for _ in range(count)]
    records = [
        {
            "id": layer,
            **({"names": [f"layer-{number:06}"]} if number % 10 == 9 else {}),
            **({"parent": ids[number - 1]} if number % 10 else {}),
            "created": "2026-11-24T16:45:40.650278843Z",
            "compressed-diff-digest": f"sha256:{chance.getrandbits(256):064x}",
            "compressed-size": chance.randrange(10**8),
            "diff-digest": f"sha256:{chance.getrandbits(256):064x}",
            "diff-size": chance.randrange(10**9),
            "compression": 2,
            "uidset": [0],
            "gidset": [0],
        }
        for number, layer in enumerate(ids)
    ]
    folder = graph / "vfs-layers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "layers.json").write_text(json.dumps(records, separators=(",", ":")))
    images = [
        {"id": f"{number:064x}", "names": [f"localhost/image:{number}"], "layer": ids[number]}
        for number in range(9, count, 10_000)
    ]
    (graph / "vfs-images").mkdir(exist_ok=True)
    (graph / "vfs-images/images.json").write_text(json.dumps(images))


def write_files(graph: Path, count: int) -> None:
    """Write a store with one layer of `count` changes: sparse files, a hundred per folder, a hundred folders each."""
    layer = "c" * 64
    folder = graph / "vfs-layers"
    folder.mkdir(parents=True)
    record = {"id": layer, "names": ["many-files"], "created": "2026-11-24T16:45:40Z", "diff-size": 0}
    (folder / "layers.json").write_text(json.dumps([record], separators=(",", ":")))
    root, made = graph / "vfs/dir" / layer, 0
    while made < count:
        part = root / f"part-{made // 10_000:02}"
        part.mkdir(parents=True)
        made += 1
        while made < count and made % 10_000:
            inner = part / f"folder-{made // 100:04}"
            inner.mkdir()
            made += 1
            for number in range(made, min(count, made // 100 * 100 + 100)):
                descriptor = os.open(inner / f"file-{number:06}.so", os.O_CREAT | os.O_WRONLY, 0o644)
                os.truncate(descriptor, number)
                os.close(descriptor)
                made += 1
