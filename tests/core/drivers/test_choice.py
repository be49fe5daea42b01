"""The choice of the driver for a store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerstore import LayerStore, NotSupported, StoreMissing
from layerstore.drivers import best_driver
from layerstore.drivers.overlay.driver import OverlayDriver
from support.needs import need_root
from support.trees import as_nobody


def test_a_new_store_gets_the_best_driver_that_works(tmp_path: Path) -> None:
    need_root()
    assert LayerStore.open(tmp_path / "g", tmp_path / "r").driver_name == "overlay"
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == ["overlay-layers"]

    def work(home: Path) -> str:
        os.environ["PATH"] = "/nonexistent"  # no fuse-overlayfs
        return LayerStore.open(home / "g", home / "r").driver_name

    assert as_nobody(work) == "vfs"


def test_a_file_system_that_overlay_cannot_use_gets_vfs() -> None:
    need_root()
    assert not OverlayDriver.works("/proc")  # no folder can be created there
    assert best_driver("/proc") == "vfs"


def test_the_driver_of_an_existing_store_is_used(tmp_path: Path) -> None:
    for driver in ("vfs", "overlay"):
        LayerStore.open(tmp_path / driver, tmp_path / "r", driver=driver)
        assert LayerStore.open(tmp_path / driver, tmp_path / "r").driver_name == driver
    LayerStore.open(tmp_path / "vfs", tmp_path / "r", driver="overlay")
    assert LayerStore.open(tmp_path / "vfs", tmp_path / "r").driver_name == "overlay", "the best of several"
    assert LayerStore.open(tmp_path / "vfs", tmp_path / "r", driver="vfs").driver_name == "vfs"


def test_unknown_drivers_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="zfs"):
        LayerStore.open(tmp_path, tmp_path / "r", driver="zfs")
    (tmp_path / "btrfs-layers").mkdir()
    with pytest.raises(NotSupported, match="btrfs"):
        LayerStore.open(tmp_path, tmp_path / "r")
    with pytest.raises(StoreMissing, match="it has btrfs"):
        LayerStore.open(tmp_path, tmp_path / "r", driver="vfs", create=False)
