"""`LayerStore.read`: one snapshot of layers, mounts, problems and references that agree with each other."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, MountPlace, StoreCorrupt
from support.stores import OpenStore
from support.tars import make_tar

SECONDS = 2.0


def write_images(store: LayerStore, layers: list[str]) -> None:
    """Replace images.json with an image for each layer."""
    folder = store.graph_root / f"{store.driver_name}-images"
    folder.mkdir(exist_ok=True)
    images = [{"id": layer, "names": [f"image-of-{layer}"], "layer": layer} for layer in layers]
    new = folder / "new"
    new.write_text(json.dumps(images))
    new.rename(folder / "images.json")


def test_a_snapshot_has_what_the_single_calls_return(store: LayerStore) -> None:
    store.put(make_tar({"a": b"a"}), id="base")
    store.create(id="top", parent="base")
    store.set_flag("top", "incomplete", True)
    store.mount("base")
    write_images(store, ["base", "lost"])
    read = store.read()
    assert list(read.layers) == list(store.table())
    assert list(read.mounts) == store.mounts()
    assert [state.place for state in read.mounts] == [MountPlace.HERE]
    assert list(read.problems) == store.problems()
    assert [problem.kind for problem in read.problems] == ["incomplete", "no-layer"]
    assert read.references.images("base") == store.references().images("base") == ("image-of-base",)
    assert read.stamp == store.stamp()


def test_a_write_changes_the_stamp_and_not_the_snapshot(store: LayerStore, open_store: OpenStore) -> None:
    store.create(id="one")
    read = store.read()
    open_store().create(id="two")
    assert list(read.layers.ids) == ["one"]
    assert store.stamp() != read.stamp
    assert list(store.read().layers.ids) == ["one", "two"]


def test_users_that_cannot_be_read_are_an_error(store: LayerStore) -> None:
    store.create(id="one")
    write_images(store, [])
    path = store.graph_root / f"{store.driver_name}-images/images.json"
    path.write_text("[{")
    with pytest.raises(StoreCorrupt) as caught:
        store.read()
    assert caught.value.file == str(path)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[LayerStore]:
    """Yield a vfs store in which another process creates, mounts, uses and deletes layers without a pause.

    Layers, mounts and images change together while the process holds the layers lock.
    """
    writer = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="vfs", lock_timeout=30)
    write_images(writer, [])
    child = os.fork()
    if child == 0:
        try:
            number = 0
            while True:
                number += 1
                with writer.locked(write=True):
                    layer = f"layer{number}"
                    write_images(writer, [layer])
                    writer.create(id=layer)
                    writer.mount(layer)
                time.sleep(0.001)
                with writer.locked(write=True):
                    write_images(writer, [])
                    writer.unmount(layer)
                    writer.delete(layer)
        finally:
            os._exit(1)
    try:
        yield LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="vfs", lock_timeout=30)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_all_parts_agree_while_another_process_writes(busy: LayerStore) -> None:
    seen = set()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(seen) < 5:
        read = busy.read()
        layers = list(read.layers.ids)
        assert [state.id for state in read.mounts] == layers
        assert [tops[0] for _, tops in read.references.image_tops] == layers
        assert read.problems == ()
        seen.add(tuple(layers))
