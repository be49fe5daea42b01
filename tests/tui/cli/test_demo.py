"""Tests of the demo store: its contents, and that it is built without root and completely or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from layerstore import ChangeKind, Compression, LayerStore
from layertui.cli import demo
from support.needs import need_root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LayerStore:
    place = demo.prepare(place=tmp_path_factory.mktemp("cache") / "demo")
    return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, read_only=True)


def test_the_store_shows_every_feature(store: LayerStore) -> None:
    layers, references = store.layers(), store.references()
    assert len(layers) >= 12
    assert len([layer for layer in layers if not layer.parent]) == 3
    assert [layer.names for layer in layers if layer.mount_count] == [("web-1-rw",)]
    assert [layer.names for layer in layers if not references.used(layer.id)] == [
        ("web-app-2024",),
        ("static-tools-next",),
    ]
    assert any(layer.flags for layer in layers)
    assert store.problems() == []
    kinds = {change.kind for layer in layers for change in store.changes(layer.id)}
    assert kinds == set(ChangeKind)


def test_every_layer_is_exported_as_its_original_tar(store: LayerStore) -> None:
    for layer in store.layers():
        with store.diff(layer.id, compression=Compression.NONE) as reader:
            while reader.read(1 << 20):
                pass
        assert reader.diff_digest == layer.diff_digest


def test_the_store_is_built_once_and_again_with_reset(store: LayerStore, tmp_path: Path) -> None:
    shutil.copytree(store.graph_root.parent, tmp_path / "demo", symlinks=True)
    copy = LayerStore.open(tmp_path / "demo/root", tmp_path / "demo/run", driver="vfs")
    copy.create(id="mine")
    demo.prepare(place=tmp_path / "demo")
    assert copy.exists("mine")
    demo.prepare(place=tmp_path / "demo", reset=True)
    assert not copy.exists("mine")
    assert os.listdir(tmp_path) == ["demo"]


AS_NOBODY = """
import os, sys
from pathlib import Path
from layertui.cli import demo
warm, home = map(Path, sys.argv[1:])
demo.prepare(place=warm)  # imports everything while the process may still read root's Python
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0o077)
demo.prepare(place=home / "demo")
"""


def test_building_the_store_needs_no_root() -> None:
    need_root()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own directories are accessible to root only
        os.chmod(folder, 0o755)
        home = Path(folder) / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        command = [sys.executable, "-c", AS_NOBODY, str(Path(folder) / "warm"), str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        store = LayerStore.open(home / "demo/root", home / "demo/run", driver="vfs")
        assert len(store.layers()) >= 12
        assert {path.lstat().st_uid for path in home.rglob("*")} == {65534}
        for layer in store.layers():
            with store.diff(layer.id, compression=Compression.NONE) as reader:
                reader.read()
            assert reader.diff_digest == layer.diff_digest
