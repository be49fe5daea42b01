"""`References`: the images and containers that use a layer directly or through its descendants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layerstore import LayerInUse, LayerStore, StoreCorrupt
from layerstore.records.layout import Layout
from layerstore.records.references import ReferenceFiles
from support.needs import need_root

PARENTS = {"top": "middle", "middle": "base", "other": "base", "c": "top", "loop1": "loop2", "loop2": "loop1"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path), str(tmp_path / "run"), "vfs")
    for kind in ("images", "containers"):
        Path(layout.references(kind)).mkdir()
    return layout


def write(layout: Layout, kind: str, name: str, records: object) -> Path:
    path = Path(layout.references(kind)) / name
    path.write_text(records if isinstance(records, str) else json.dumps(records))
    return path


def test_users_of_a_layer_use_its_ancestors(layout: Layout) -> None:
    images = [
        {"id": "i1" * 32, "names": ["localhost/web:1"], "layer": "top"},
        {"id": "i2" * 32, "layer": "other", "mapped-layers": ["middle"]},
        {"id": "i3" * 32, "names": None, "layer": "loop1"},
    ]
    write(layout, "images", "images.json", images)
    write(layout, "containers", "containers.json", [{"id": "c1", "names": ["db"], "layer": "c"}])
    write(layout, "containers", "volatile-containers.json", [{"id": "c2", "names": ["tmp"], "layer": "other"}])
    found = ReferenceFiles(layout, lock_timeout=1).load(PARENTS)
    assert found.images("base") == ("localhost/web:1", "i2i2i2i2i2i2")
    assert found.images("middle") == ("localhost/web:1", "i2i2i2i2i2i2")
    assert found.images("loop2") == ("i3i3i3i3i3i3",)
    assert found.containers("base") == ("db", "tmp")
    assert found.containers("top") == ("db",)
    assert found.top_images("top") == ("localhost/web:1",)
    assert found.used("c")
    assert not found.used("nobody")


def test_missing_files_mean_no_users(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path), str(tmp_path / "run"), "vfs")
    assert not ReferenceFiles(layout, lock_timeout=1).load(PARENTS).used("base")


def test_an_invalid_file_is_an_error_and_not_an_unused_layer(layout: Layout) -> None:
    path = write(layout, "images", "images.json", '[{"id":"a"')
    with pytest.raises(StoreCorrupt, match=str(path)):
        ReferenceFiles(layout, lock_timeout=1).load(PARENTS)


def test_users_of_a_layer_without_a_record_are_a_problem(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(id="here")
    layout = Layout(str(tmp_path / "g"), str(tmp_path / "r"), "vfs")
    for kind in ("images", "containers"):
        Path(layout.references(kind)).mkdir(exist_ok=True)
    images = [{"id": "i1" * 32, "names": ["web:1"], "layer": "gone"}, {"id": "i2" * 32, "layer": "here"}]
    write(layout, "images", "images.json", images)
    write(layout, "containers", "containers.json", [{"id": "c1", "names": ["db"], "layer": "gone"}])
    (problem,) = store.problems()
    assert (problem.layer, problem.kind) == ("gone", "no-layer")
    assert problem.text.endswith("needed by image web:1, container db")
    write(layout, "images", "images.json", "{")
    assert store.problems() == []


def test_the_stamp_changes_with_the_files(layout: Layout) -> None:
    files = ReferenceFiles(layout, lock_timeout=1)
    before = files.stamp()
    write(layout, "containers", "volatile-containers.json", [])
    assert files.stamp() != before


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_transient_containers_and_layers_below_the_run_root_count_as_users(tmp_path: Path, driver: str) -> None:
    """With `transient_store`, containers and the records of their layers are only below the run root."""
    if driver == "overlay":
        need_root()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver=driver)
    for layer, parent in (("base", None), ("top", "base"), ("rw", "top")):
        store.create(id=layer, parent=parent)
    records = tmp_path / f"g/{driver}-layers/layers.json"
    stable = [record for record in json.loads(records.read_text()) if record["id"] != "rw"]
    records.write_text(json.dumps(stable))
    stamp = store.stamp()
    (tmp_path / f"r/{driver}-layers/volatile-layers.json").write_text('[{"id":"rw","parent":"top"}]')
    assert store.stamp() != stamp
    folder = tmp_path / f"r/{driver}-containers"
    folder.mkdir()
    (folder / "volatile-containers.json").write_text('[{"id":"c","names":["box"],"layer":"rw"}]')
    assert store.references().containers("base") == ("box",)
    assert store.dependents("top").children == ("rw",)
    for call in (lambda: store.delete("top", force=True), lambda: store.wipe(force=True)):
        with pytest.raises(LayerInUse, match="rw"):
            call()
    assert [layer.id for layer in store.layers()] == ["base", "top"]
    (folder / "volatile-containers.json").write_text("[{")
    with pytest.raises(StoreCorrupt, match="volatile-containers"):
        store.delete("top", force=True)
