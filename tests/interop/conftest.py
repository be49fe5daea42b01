"""Stores that layerstore shares with containers-storage, Podman and Buildah."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from layerstore import LayerStore
from support.images import build_mapped
from support.mounts import unmount_below
from support.needs import need_program, need_root, skip
from support.peers import Peer, PodmanStore


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the name of each driver in turn."""
    name: str = request.param
    return name


@pytest.fixture
def peer(tmp_path: Path, driver: str) -> Iterator[Peer]:
    """Yield containers-storage on a new store."""
    need_root()
    yield Peer(need_program("containers-storage"), tmp_path / "graph", tmp_path / "run", driver)
    unmount_below(tmp_path)


@pytest.fixture
def ours(peer: Peer) -> LayerStore:
    """Return the same store opened by layerstore, which creates it if the peer has not."""
    return LayerStore.open(peer.graph, peer.run, driver=peer.driver, lock_timeout=60)


@pytest.fixture
def podman(driver: str) -> Iterator[PodmanStore]:
    """Yield a new store for Podman, Buildah and layerstore."""
    with tempfile.TemporaryDirectory(prefix="lt-") as folder:
        store = PodmanStore.make(Path(folder), driver)
        try:
            yield store
        finally:
            store.close()


@pytest.fixture
def mapped(podman: PodmanStore) -> PodmanStore:
    """Return a store with an image of two layers, and a container `box` of it in a user namespace."""
    build_mapped(podman)
    return podman


@pytest.fixture(scope="session")
def debian_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tar of debootstrap's minbase, or the one that LAYERTUI_DEBIAN_ROOT names.

    All test processes of a run share it.
    """
    need_root()
    given = os.environ.get("LAYERTUI_DEBIAN_ROOT")
    if given:
        return Path(given)
    need_program("debootstrap")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, tar = shared / "debian", shared / "debian.tar"
    with FileLock(shared / "debian.lock"):
        if not tar.exists():
            command = ["debootstrap", "--variant=minbase", "stable", str(root)]
            made = subprocess.run(command, capture_output=True, check=False)
            if made.returncode:
                skip(f"debootstrap failed: {made.stdout.decode(errors='replace')[-300:]}")
            subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-cf", f"{tar}.new", "."], check=True)
            subprocess.run(["rm", "-rf", root], check=True)
            Path(f"{tar}.new").rename(tar)
    return tar
