"""Stores with the overlay driver: the verbs of the store, and exchange with containers-storage."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore
from layerstore.drivers.overlay import mount, syscalls
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.errors import BadArchive, LayerInUse, NotSupported
from support.needs import need_program, need_root, skip
from support.tars import make_tar


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system that can hold overlay layers."""
    need_root()
    try:
        OverlayDriver(tmp_path / "probe").create("probe", "")
    except NotSupported as error:
        skip(str(error))

    yield tmp_path
    for point in [point for point, _ in mount._mounts() if point.startswith(f"{tmp_path}/")][::-1]:
        syscalls.unmount(point, lazily=True)


def open_store(place: Path) -> LayerStore:
    return LayerStore.open(place / "graph", place / "run", driver="overlay", lock_timeout=2.0)


def tool(place: Path, *arguments: str) -> bytes:
    program = need_program("containers-storage")
    command = [program, "-g", str(place / "graph"), "-R", str(place / "run"), "-s", "overlay", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


BASE = make_tar({"etc": None, "etc/a": b"1", "etc/d/x": b"2" * 5000, "usr/bin/sh": b"#!", "bin": "usr/bin"})
TOP = make_tar({"etc/.wh.a": b"", "etc/d": None, "etc/d/.wh..wh..opq": b"", "etc/d/y": b"3"})


def test_the_life_of_layers(place: Path) -> None:
    store = open_store(place)
    base, size = store.put(BASE, id="base")
    assert size == 5003
    store.put(TOP, id="top", parent="base")
    assert store.diff("top").readall() == TOP
    assert store.diff("base").readall() == BASE
    assert [change.path for change in store.changes("top")] == ["/etc", "/etc/a", "/etc/d", "/etc/d/y"]
    assert store.diff_size("top") == 1
    merged = store.mount("top")
    assert sorted(os.listdir(merged / "etc")) == ["d"]
    assert store.mount("top") == merged
    with pytest.raises(LayerInUse):
        store.delete("top")
    assert store.unmount("top")
    assert not store.unmount("top")
    assert os.listdir(merged) == []
    with pytest.raises(LayerInUse):
        store.delete("base")
    assert b"etc/.wh.a" in store.diff("top", "").readall() or "a" not in os.listdir(merged)
    store.delete("top")
    store.delete("base")
    assert store.layers() == []
    assert base.id == "base"


def test_a_diff_applied_to_a_layer_with_children(place: Path) -> None:
    store = open_store(place)
    store.put(BASE, id="base")
    store.create(id="child", parent="base")
    store.apply_diff("base", make_tar({"new": b"9"}))
    assert [layer.id for layer in store.layers()] == ["base", "child"]
    merged = store.mount("child")
    assert sorted(os.listdir(merged)) == ["bin", "etc", "new", "usr"]
    store.unmount("child")
    with pytest.raises(BadArchive):
        store.apply_diff("base", BASE[:700] + b"\0garbage" * 100)
    assert store.diff("base").readall() == make_tar({"new": b"9"})
    assert sorted(os.listdir(place / "graph/overlay")) == ["base", "child", "l"]
    assert len(os.listdir(place / "graph/overlay/l")) == 2


def test_the_next_writer_cleans_up_after_a_crash(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(place)
    store.put(BASE, id="base")
    with monkeypatch.context() as patch:

        def crash(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(OverlayDriver, "remove", crash)
        patch.setattr(OverlayDriver, "apply_diff", crash)
        with pytest.raises(KeyboardInterrupt):
            store.put(TOP, id="top", parent="base")
    assert OverlayDriver(place / "graph").list_layers() == ["base", "top"]
    assert open_store(place).load() == ["top"]
    assert OverlayDriver(place / "graph").list_layers() == ["base"]
    assert len(os.listdir(place / "graph/overlay/l")) == 1


def test_containers_storage_opens_our_store(place: Path) -> None:
    store = open_store(place)
    base, _ = store.put(BASE)
    top, _ = store.put(TOP, parent=base.id)
    assert tool(place, "diff", "-u", top.id) == TOP
    assert sorted(tool(place, "changes", top.id).decode().splitlines()) == sorted(
        ['Delete "/etc/a"', 'Delete "/etc/d"', 'Add "/etc/d/y"', 'Modify "/etc"']
    )
    merged = Path(tool(place, "mount", top.id).split()[0].decode())
    assert os.listdir(merged / "etc") == ["d"]
    assert store.get(top.id).mount_point == str(merged)
    assert not store.unmount(top.id)
    container = tool(place, "create-layer", base.id).split()[0].decode()
    mounted = store.mount(container)
    (mounted / "written").write_text("1")
    tool(place, "unmount", container)
    assert [change.path for change in store.changes(container)] == ["/written"]
    tool(place, "delete-layer", container)
    tool(place, "delete-layer", top.id)
    assert [layer.id for layer in store.layers()] == [base.id]


def test_we_open_a_store_of_containers_storage(place: Path) -> None:
    (place / "base.tar").write_bytes(BASE)
    (place / "top.tar").write_bytes(TOP)
    base = tool(place, "create-layer").split()[0].decode()
    tool(place, "applydiff", "-f", str(place / "base.tar"), base)
    top = tool(place, "create-layer", base).split()[0].decode()
    tool(place, "applydiff", "-f", str(place / "top.tar"), top)
    store = LayerStore.open(place / "graph", place / "run")
    assert store.driver_name == "overlay"
    assert store.diff(top).readall() == TOP
    assert [change.path for change in store.changes(top)] == ["/etc", "/etc/a", "/etc/d", "/etc/d/y"]
    merged = store.mount(top)
    assert (merged / "etc/d/y").read_text() == "3"
    store.unmount(top)
    store.wipe()
    assert tool(place, "layers") == b""
