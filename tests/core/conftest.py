"""Fixtures with stores and drivers for the tests of the core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, NotSupported
from layerstore.drivers.base import Driver
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.drivers.vfs import VfsDriver
from support.mounts import unmount_below
from support.needs import need_root, skip
from support.places import Place
from support.stores import OpenStore


@pytest.fixture(params=["vfs", "overlay"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Yield a function that opens the same store each time it is called, as several processes would."""
    if request.param == "overlay":
        need_root()

    def open_it(**options: object) -> LayerStore:
        options.setdefault("driver", request.param)
        options.setdefault("lock_timeout", 2.0)
        return LayerStore.open(tmp_path / "graph", tmp_path / "run", **options)  # type: ignore[arg-type]

    yield open_it
    unmount_below(tmp_path)


@pytest.fixture
def store(open_store: OpenStore) -> LayerStore:
    """Return an empty store."""
    return open_store()


@pytest.fixture(params=["overlay", "vfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Yield a store with four layers, once for each driver."""
    if request.param == "overlay":
        need_root()
    yield Place(tmp_path, request.param)
    unmount_below(tmp_path)


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Place]:
    """Yield a store of the overlay driver with four layers."""
    need_root()
    yield Place(tmp_path, "overlay")
    unmount_below(tmp_path)


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    """Yield each driver, without layers."""
    if request.param == "vfs":
        yield VfsDriver(tmp_path)
        return
    need_root()
    overlay = OverlayDriver(tmp_path)
    try:
        overlay.create("probe", "")
    except NotSupported as error:
        skip(str(error))
    overlay.remove("probe")
    yield overlay
    unmount_below(tmp_path)
