"""Layers from partial pulls, and layers in composefs images.

`support.partial_layers` writes them as the code of containers/storage does, since no tool here can create them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore import Compression, DamagedLayer, LayerStore, NotSupported
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.partial_layers import (
    FILES,
    LAYER,
    TAR,
    TOC,
    TOC_DIGEST,
    edit_record,
    layers_folder,
    make_composefs,
    make_partial,
)
from support.tars import make_tar

CHILD, OTHER, ABOVE = "c" * 64, "d" * 64, "e" * 64
CHILDS_TAR = make_tar({"etc/one": b"changed", "etc/.wh.two": b"", "etc/three": b"3"})


@pytest.fixture
def composefs(tmp_path: Path) -> LayerStore:
    """Return an overlay store, the only kind that has them, with a composefs layer and two others."""
    need_root()
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="overlay", lock_timeout=2)
    store.put(make_tar({"x": b"x"}), id=OTHER)
    store.put(make_tar({"y": b"y"}), id=ABOVE, parent=OTHER)
    make_composefs(store)
    return store


def read(store: LayerStore, layer: str, base: str | None = None) -> tuple[bytes, bool]:
    with store.diff(layer, base, compression=Compression.NONE) as reader:
        assert not reader.verified, "only the end of the tar can verify it"
        return reader.read(), reader.verified


def test_the_diff_of_a_partial_layer_with_a_digest_is_verified(store: LayerStore) -> None:
    layer = make_partial(store, digest=True)
    assert (layer.toc_digest, layer.diff_size) == (TOC_DIGEST, len(TAR))
    assert read(store, LAYER) == (TAR, True)
    assert [change.path for change in store.changes(LAYER)] == [f"/{name}" for name in sorted(FILES)]


def test_without_a_digest_each_file_is_checked_but_the_tar_is_not_verified(store: LayerStore) -> None:
    make_partial(store, digest=False)
    assert read(store, LAYER) == (TAR, False)
    root = next(path for name, path in store.paths(LAYER).items() if name in {"dir", "diff"})
    (root / "etc/two").write_bytes(b"TWO")
    with pytest.raises(DamagedLayer, match="etc/two"):
        read(store, LAYER)


def test_without_a_tar_split_the_tar_is_made_from_files(store: LayerStore) -> None:
    layer = make_partial(store, digest=False, tar_split=False)
    assert layer.diff_size == -1
    data, verified = read(store, LAYER)
    assert not verified
    assert b"one\n" * 500 in data
    child, _ = store.put(CHILDS_TAR, id=CHILD, parent=LAYER)
    assert read(store, child.id) == (CHILDS_TAR, True)
    assert store.diff_size(LAYER) == 2006


def test_big_data_has_sizes(store: LayerStore) -> None:
    make_partial(store, digest=False)
    assert store.big_data(LAYER) == {"zstd-chunked-layer-data": 2, "zstd-chunked-manifest": len(TOC)}
    shutil.rmtree(layers_folder(store) / LAYER)
    assert store.big_data(LAYER) == {"zstd-chunked-layer-data": None, "zstd-chunked-manifest": None}


def test_deleting_a_layer_deletes_its_big_data(store: LayerStore) -> None:
    make_partial(store, digest=True)
    assert (layers_folder(store) / LAYER).is_dir()
    store.delete(LAYER)
    assert not [name for name in os.listdir(layers_folder(store)) if name.startswith(LAYER)]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../layers.json", "a/b", "a/", "ÿ", "x" * 300, "big\0data", "\0", "??>~~~"]
)
def test_odd_names_of_big_data_lead_to_no_other_file(store: LayerStore, name: str) -> None:
    make_partial(store, digest=True)
    edit_record(store, LAYER, lambda record: record.update({"big-data-names": [name]}))
    assert store.big_data(LAYER) == {name: None}


def test_big_data_has_the_file_names_of_containers_storage(store: LayerStore, tmp_path: Path) -> None:
    need_root()
    program = need_program("containers-storage")
    store.put(TAR, id=LAYER)
    (tmp_path / "blob").write_bytes(b"12345")
    peer = [program, "-g", str(store.graph_root), "-R", str(store.run_root), "-s", store.driver_name]
    names = ["plain.1", "With-Capitals", "zstd-chunked-manifest", "ÿ", "plaiN", "ÿx", "a-"]
    for name in names:
        command = [*peer, "set-layer-data", "-f", str(tmp_path / "blob"), LAYER, name]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert store.big_data(LAYER) == dict.fromkeys(names, 5)
    unmount_below(tmp_path)


# Composefs


def test_calls_that_need_file_names_are_refused_with_the_reason(composefs: LayerStore) -> None:
    store = composefs
    calls: list[Callable[[], object]] = [
        lambda: store.changes(LAYER),
        lambda: store.diff_size(LAYER),
        lambda: store.mount(LAYER),
        lambda: store.files(LAYER),
        lambda: store.waste(LAYER),
        lambda: store.diff(LAYER).close(),
        lambda: read(store, LAYER, ""),
        lambda: store.apply_diff(LAYER, CHILDS_TAR),
    ]
    for call in calls:
        with pytest.raises(NotSupported, match=rf"layer {LAYER[:16]} keeps .* composefs .*podman save"):
            call()
    assert store.paths(LAYER)["composefs"].name == "composefs.blob"
    assert store.usage(LAYER).inodes > 3
    assert store.mounts() == []


def test_calls_on_a_layer_above_are_refused_with_the_reason(composefs: LayerStore) -> None:
    store = composefs
    child = store.create(id=CHILD, parent=LAYER)
    calls: list[Callable[[], object]] = [
        lambda: store.changes(child.id),
        lambda: read(store, child.id),
        lambda: store.mount(child.id),
        lambda: store.files(child.id),
        lambda: store.put(CHILDS_TAR, parent=LAYER),
        lambda: store.changes(OTHER, child.id),
    ]
    for call in calls:
        with pytest.raises(NotSupported, match=rf"based on layer {LAYER[:16]}, which keeps .* composefs"):
            call()
    assert [layer.id for layer in store.layers() if layer.incomplete] == []
    assert len(store.layers()) == 4


def test_other_layers_are_not_affected(composefs: LayerStore) -> None:
    store = composefs
    assert [change.path for change in store.changes(ABOVE)] == ["/y"]
    assert store.problems() == []
    with pytest.raises(NotSupported):
        store.changes(ABOVE, LAYER)
    store.delete(LAYER)
    assert not store.exists(LAYER)
    assert LAYER not in os.listdir(store.graph_root / "overlay")
    assert {layer.id for layer in store.layers()} == {OTHER, ABOVE}
