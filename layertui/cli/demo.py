"""`layertui demo`: a store with three families of layers, made without root in the user's cache directory."""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from layerstore import LayerStore, StorePlace
from layerstore.linux.atomic import write_file
from layerstore.linux.folders import remove_path
from layertui.cli.browse import run_app
from layertui.cli.demo_content import CONTAINERS, FAMILIES, IMAGES, DemoLayer, Text
from layertui.cli.options import open_store, read_settings

_VERSION = "3"
_MTIME = 1_760_000_000  # of every file, so that each build gives the same store


def run(options: argparse.Namespace) -> int:
    """Browse the demo store, or print the options that select it, and return the exit status."""
    settings = None if options.no_open else read_settings(options)
    place = prepare(reset=options.reset)
    if settings is None:
        sys.stdout.write(f"--root {place.graph_root} --runroot {place.run_root}\n")
        return 0
    return run_app(lambda: open_store(place, read_only=options.read_only), settings)


def prepare(*, reset: bool = False, place: Path | None = None) -> StorePlace:
    """Return the demo store, building it first if it does not exist or `reset` is set.

    The store is built in a temporary directory and renamed, so an interrupted build leaves no half-built store.
    """
    home = place or user_cache_path("layertui") / "demo"
    marker = home / "version"
    if reset or not marker.is_file() or marker.read_text() != _VERSION:
        home.parent.mkdir(parents=True, exist_ok=True)
        remove_path(home)
        staging = home.with_name(f"{home.name}.{os.getpid()}")
        remove_path(staging)
        (staging / "root").mkdir(parents=True)
        _build(staging / "root", staging / "run")
        (staging / "version").write_text(_VERSION)
        staging.rename(home)
        _mount(home)
    return StorePlace(str(home / "root"), str(home / "run"), "vfs", "the demo store")


def _build(root: Path, run: Path) -> None:
    store = LayerStore.open(root, run, driver="vfs")
    ids: dict[str, str] = {}
    for family in FAMILIES:
        for layer in family:
            diff = _tar(layer)
            made, _ = store.put(
                diff,
                id=layer.id,
                parent=ids.get(layer.parent),
                names=layer.names,
                flags=layer.flags,
            )
            ids[layer.key] = made.id
            if layer.metadata:
                store.set_metadata(made.id, layer.metadata)
    _age(root / "vfs-layers/layers.json", {ids[layer.key]: layer.day for family in FAMILIES for layer in family})
    _write_users(root, "images", IMAGES, ids)
    _write_users(root, "containers", CONTAINERS, ids)


def _age(layers_json: Path, days: dict[str, int]) -> None:
    """Spread the creation times over the last month. No other process knows this store yet, so no lock is needed."""
    records = json.loads(layers_json.read_bytes())
    for record in records:
        made = datetime.now(UTC) - timedelta(days=30 - days[record["id"]], hours=2)
        record["created"] = made.isoformat().replace("+00:00", "Z")
    write_file(str(layers_json), json.dumps(records, separators=(",", ":")).encode())


def _mount(home: Path) -> None:
    """Mount a layer, after the rename because mountpoints.json holds absolute paths."""
    store = LayerStore.open(home / "root", home / "run", driver="vfs")
    store.mount("web-1-rw")


def _write_users(root: Path, kind: str, users: list[dict[str, Any]], ids: dict[str, str]) -> None:
    folder = root / f"vfs-{kind}"
    folder.mkdir(mode=0o700)
    (folder / f"{kind}.lock").touch()
    records = [{**user, "layer": ids[user["layer"]]} for user in users]
    write_file(str(folder / f"{kind}.json"), json.dumps(records, separators=(",", ":")).encode())


def _tar(layer: DemoLayer) -> bytes:
    buffer = io.BytesIO()
    fast = {"preset": 0} if layer.compression == "xz" else {"compresslevel": 1} if layer.compression else {}
    mode = f"w:{layer.compression}"
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT, **fast) as tar:  # type: ignore[call-overload]
        for info, data in _members(layer):
            tar.addfile(info, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def _members(layer: DemoLayer) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    when = _MTIME + 86_400 * layer.day
    noise = random.Random(layer.key)  # noqa: S311 - each build gives the same bytes
    for path in _folders(layer):
        yield _member(when, path, tarfile.DIRTYPE, 0o755), b""
    for path, content in layer.files.items():
        if isinstance(content, Text):
            data = content.text.encode()
            yield _member(when, path, tarfile.REGTYPE, content.mode, size=len(data)), data
        else:
            data = noise.randbytes(content)
            yield _member(when, path, tarfile.REGTYPE, 0o755 if "/bin/" in path else 0o644, size=content), data
    for path, target in layer.links.items():
        yield _member(when, path, tarfile.SYMTYPE, 0o777, link=target), b""
    for path in layer.opaque:
        yield _member(when, f"{path}/.wh..wh..opq", tarfile.REGTYPE, 0o600), b""
    for path in layer.deleted:
        folder, _, base = path.rpartition("/")
        yield _member(when, f"{folder}/.wh.{base}".lstrip("/"), tarfile.REGTYPE, 0o600), b""


def _member(when: int, path: str, kind: bytes, mode: int, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime, info.linkname, info.size = kind, mode, when, link, size
    return info


def _folders(layer: DemoLayer) -> list[str]:
    paths = [*layer.files, *layer.links, *layer.deleted, *(f"{path}/x" for path in layer.opaque)]
    folders: dict[str, None] = {}
    for path in paths:
        parts = path.split("/")[:-1]
        folders.update(dict.fromkeys("/".join(parts[: end + 1]) for end in range(len(parts))))
    return sorted(folders)
