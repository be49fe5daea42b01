"""Mounts: mountpoints.json compared with the kernel, and the processes that use a mount."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerstore import LayerInUse, LayerStore, LayerUnknown, MountPlace, MountState, StoreReadOnly
from layerstore.drivers.overlay.mounted import overlay_mounts
from layerstore.linux.mounttable import KernelMount, Place, Process, command_of
from support.mounts import unmount_below
from support.needs import need_root
from support.stores import OpenStore
from support.tars import make_tar
from support.trees import as_nobody

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_PRIVATE = 0x4000 | 1 << 18  # MS_REC, MS_PRIVATE


@pytest.fixture
def family(store: LayerStore) -> LayerStore:
    """Return a store with a layer "base" and a layer "upper" on top of it, each with a file."""
    store.put(make_tar({"a": b"a"}), id="base")
    store.put(make_tar({"b": b"b"}), id="upper", parent="base")
    return store


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[LayerStore]:
    """Yield the same as an overlay store, below a folder whose name is escaped in mount tables."""
    need_root()
    home = tmp_path / "with space"
    store = LayerStore.open(home / "graph", home / "run", driver="overlay", lock_timeout=2)
    store.put(make_tar({"a": b"a"}), id="base")
    store.put(make_tar({"b": b"b"}), id="upper", parent="base")
    yield store
    unmount_below(tmp_path)


def lines(store: LayerStore) -> list[dict[str, object]]:
    path = store.run_root / f"{store.driver_name}-layers/mountpoints.json"
    return list(json.loads(path.read_bytes() or b"[]")) if path.exists() else []


def add_line(store: LayerStore, layer: str, path: Path | str, count: int) -> None:
    file = store.run_root / f"{store.driver_name}-layers/mountpoints.json"
    file.write_text(json.dumps([*lines(store), {"id": layer, "path": str(path), "count": count}]))


def merged(store: LayerStore, layer: str) -> Path:
    return store.graph_root / "overlay" / layer / "merged"


def unmount_by_hand(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=True)


@contextmanager
def another(prepare: Callable[[], object]) -> Iterator[int]:
    """Run another process that calls `prepare` and then waits until the block ends."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            prepare()
            os.write(write, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    try:
        assert os.read(read, 1) == b"+", "the other process failed in `prepare`"
        yield child
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def in_new_namespace() -> ctypes.CDLL:
    """Enter a new mount namespace whose mounts are not visible outside, and return the C library."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_NEW_MOUNTS) == 0
    assert libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE), None) == 0
    return libc


def test_a_mount_is_found_and_counted(family: LayerStore) -> None:
    path = family.mount("upper")
    family.mount("upper")
    assert family.mounts() == [MountState("upper", str(path), 2, MountPlace.HERE)]
    family.unmount("upper", force=True)
    assert family.mounts() == []


def test_an_entry_without_a_mount_is_stale_and_no_dependent(overlay: LayerStore) -> None:
    path = overlay.mount("upper")
    overlay.mount("upper")
    unmount_by_hand(path)
    assert overlay.mounts() == [MountState("upper", str(path), 2, MountPlace.STALE)]
    assert overlay.dependents("upper").mounts == ()
    assert [state.id for state in overlay.clear_stale_mounts()] == ["upper"]
    assert lines(overlay) == []
    assert overlay.clear_stale_mounts() == []


def test_only_stale_entries_are_cleared(overlay: LayerStore) -> None:
    overlay.mount("base")
    add_line(overlay, "upper", merged(overlay, "upper"), 1)
    add_line(overlay, "gone", "/gone/merged", 3)
    assert {state.id: state.place for state in overlay.mounts()} == {
        "base": MountPlace.HERE,
        "upper": MountPlace.STALE,
        "gone": MountPlace.STALE,
    }
    assert overlay.clear_stale_mounts("base") == []
    assert [state.id for state in overlay.clear_stale_mounts("up")] == ["upper"]
    assert [state.id for state in overlay.clear_stale_mounts("gone")] == ["gone"]
    assert [line["id"] for line in lines(overlay)] == ["base"]
    with pytest.raises(LayerUnknown):
        overlay.clear_stale_mounts("nothing")


def test_a_read_only_store_clears_nothing(family: LayerStore, open_store: OpenStore) -> None:
    add_line(family, "gone", "/gone", 1)
    look = open_store(read_only=True)
    assert [state.stale for state in look.mounts()] == [True]
    with pytest.raises(StoreReadOnly):
        look.clear_stale_mounts()
    assert lines(family)


def test_unmounting_removes_a_stale_entry_whatever_its_count(overlay: LayerStore) -> None:
    add_line(overlay, "upper", merged(overlay, "upper"), 3)
    assert overlay.unmount("upper") is False
    assert lines(overlay) == []


def test_a_mount_without_an_entry_is_found_and_counted_again(overlay: LayerStore) -> None:
    """A crash between the mount and its record leaves such a mount."""
    path = overlay.mount("upper")
    (overlay.run_root / "overlay-layers/mountpoints.json").write_text("[]")
    assert overlay.mounts() == [MountState("upper", str(path), 0, MountPlace.HERE)]
    with pytest.raises(LayerInUse) as caught:
        overlay.delete("upper")
    assert caught.value.mounts == (str(path),)
    assert overlay.mount("upper") == path
    assert overlay.mounts() == [MountState("upper", str(path), 1, MountPlace.HERE)]
    (overlay.run_root / "overlay-layers/mountpoints.json").write_text("[]")
    assert overlay.unmount("upper") is False
    assert overlay.mounts() == []


def test_a_mount_in_another_namespace_is_not_stale(overlay: LayerStore) -> None:
    home = overlay.graph_root / "overlay"
    options = f"lowerdir={home}/base/diff,upperdir={home}/upper/diff,workdir={home}/upper/work"
    path = merged(overlay, "upper")

    def mount() -> None:
        libc = in_new_namespace()
        assert libc.mount(b"overlay", os.fsencode(path), b"overlay", 0, options.encode()) == 0

    add_line(overlay, "upper", path, 2)
    with another(mount) as pid:
        assert overlay.mounts() == [MountState("upper", str(path), 2, MountPlace.ELSEWHERE, pid)]
        assert overlay.clear_stale_mounts() == []
        assert overlay.unmount("upper") is True
        for refused in (
            lambda: overlay.unmount("upper"),
            lambda: overlay.mount("upper"),
            lambda: overlay.delete("upper", force=True),
            lambda: overlay.wipe(force=True),
        ):
            with pytest.raises(LayerInUse, match="another mount namespace") as caught:
                refused()
            assert f"(PID {pid})" in caught.value.processes[0]
        assert lines(overlay) == [{"id": "upper", "path": str(path), "count": 1}]
        assert (home / "upper/diff/b").read_bytes() == b"b"
    assert [state.stale for state in overlay.mounts()] == [True]


def test_processes_in_a_layer_prevent_its_deletion(family: LayerStore) -> None:
    """The process is like a container: the layer is its root, in its own mount namespace."""
    need_root()
    path = family.mount("upper")

    def enter() -> None:
        libc = in_new_namespace()
        assert libc.mount(os.fsencode(path), os.fsencode(path), None, ctypes.c_ulong(0x1000), None) == 0  # MS_BIND
        os.chroot(path)
        os.chdir("/")

    with another(enter) as pid:
        users = family.mount_users("upper")
        assert users.state is not None
        assert [(process.pid, process.how) for process in users.processes] == [(pid, "root")]
        assert family.mount_users("base").processes == ()
        with pytest.raises(LayerInUse, match="podman stop") as caught:
            family.delete("upper", force=True)
        assert f"(PID {pid})" in caught.value.processes[0]
        assert family.get("upper").mount_count == 1
        assert family.unmount("upper") is False
        if family.driver_name == "overlay":
            assert family.mounts() == []
            with pytest.raises(LayerInUse, match="second mount"):
                family.mount("upper")
    family.delete("upper")


@pytest.mark.parametrize("how", ["cwd", "file"])
def test_an_error_about_a_busy_mount_names_its_processes(overlay: LayerStore, how: str) -> None:
    path = overlay.mount("upper")
    with another(lambda: os.chdir(path) if how == "cwd" else os.open(path / "b", os.O_RDONLY)) as pid:
        (process,) = overlay.mount_users("upper").processes
        assert process == Process(pid, command_of(pid), "cwd" if how == "cwd" else str(path / "b"))
        with pytest.raises(LayerInUse, match=f"PID {pid}.*leave the folder"):
            overlay.unmount("upper")
        assert overlay.get("upper").mount_count == 1
        with pytest.raises(LayerInUse):
            overlay.delete("upper", force=True)
        assert (path / "b").read_bytes() == b"b"
    overlay.delete("upper", force=True)
    assert not overlay.exists("upper")


def test_containers_of_the_layer_itself_are_its_users(family: LayerStore) -> None:
    folder = family.graph_root / f"{family.driver_name}-containers"
    folder.mkdir(exist_ok=True)
    (folder / "containers.json").write_text('[{"id":"c","names":["web"],"layer":"upper"}]')
    (folder / "volatile-containers.json").write_text('[{"id":"d","names":["tmp"],"layer":"upper"}]')
    assert family.mount_users("upper").containers == ("web", "tmp")
    assert family.mount_users("base").containers == ()
    assert family.references().containers("base") == ("web", "tmp")


def test_the_stamp_follows_the_kernel(overlay: LayerStore) -> None:
    path = overlay.mount("upper")
    before = overlay.stamp()
    assert overlay.stamp() == before
    unmount_by_hand(path)
    assert overlay.stamp() != before


def test_an_ordinary_user_sees_own_mounts() -> None:
    def work(home: Path) -> tuple[bool, int, str]:
        store = LayerStore.open(home / "graph", home / "run", driver="vfs")
        store.create(id="a")
        path = store.mount("a")
        add_line(store, "b", home / "b", 1)
        os.chdir(path)
        states = {state.id: state.stale for state in store.mounts()}
        (process,) = store.mount_users("a").processes
        return states == {"a": False, "b": True}, process.pid - os.getpid(), process.how

    assert as_nobody(work) == (True, 0, "cwd")


def test_other_mounts_in_a_layer_are_not_taken_for_its_mount(overlay: LayerStore) -> None:
    inside = overlay.mount("upper") / "b"
    subprocess.run(["mount", "--bind", str(inside), str(inside)], check=True)
    found = overlay_mounts(str(overlay.graph_root / "overlay"))
    assert list(found) == ["upper"]
    assert found["upper"].upper == f"{overlay.graph_root}/overlay/upper/diff"


@pytest.mark.parametrize(
    ("mount", "inside"),
    [
        (KernelMount("/", "0:9", "/"), True),
        (KernelMount("/", "0:8", "/"), False),
        (KernelMount("/", "0:8", "/", "/home/x/diff"), True),
        (KernelMount("/", "0:8", "/", "x/diff"), True),
        (KernelMount("/", "0:8", "/", "/home/y/diff"), False),
    ],
)
def test_the_root_of_a_container_is_recognized(mount: KernelMount, inside: bool) -> None:
    assert Place("/home/x/merged", "0:9", "/home/x/diff").is_root(mount) is inside


def test_a_root_on_the_same_file_system_is_not_enough(tmp_path: Path) -> None:
    place = Place("/srv/vfs/dir/x", "8:1", shared=True)
    assert place.is_root(KernelMount("/", "8:1", "/srv/vfs/dir/x"))
    assert place.is_root(KernelMount("/", "8:1", "/vfs/dir/x"))
    assert not place.is_root(KernelMount("/", "8:1", "/"))
    assert not place.is_root(KernelMount("/", "8:1", "/srv/vfs/dir/y"))
    assert not place.is_root(KernelMount("/", "8:2", "/vfs/dir/x"))


def test_no_tar_is_applied_below_a_mount(overlay: LayerStore) -> None:
    """The mounted overlay would lose its lower folder and become empty."""
    path = overlay.mount("upper")
    for layer in ("base", "upper"):
        with pytest.raises(LayerInUse, match="podman unmount") as caught:
            overlay.apply_diff(layer, make_tar({"c": b"c"}))
        assert caught.value.mounts == (str(path),)
    assert sorted(os.listdir(path)) == ["a", "b"]
    overlay.unmount("upper")
    overlay.apply_diff("base", make_tar({"c": b"c"}))
    assert sorted(os.listdir(overlay.mount("upper"))) == ["a", "b", "c"]


def test_no_tar_is_applied_below_a_mount_of_a_transient_layer(overlay: LayerStore) -> None:
    path = overlay.mount("upper")
    records = overlay.graph_root / "overlay-layers/layers.json"
    records.write_text(json.dumps([record for record in json.loads(records.read_text()) if record["id"] == "base"]))
    (overlay.run_root / "overlay-layers/volatile-layers.json").write_text('[{"id":"upper","parent":"base"}]')
    with pytest.raises(LayerInUse):
        overlay.apply_diff("base", make_tar({"c": b"c"}))
    assert sorted(os.listdir(path)) == ["a", "b"]


def test_no_tar_is_applied_to_a_layer_with_processes(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(make_tar({"a": b"a"}), id="base")
    path = store.mount("base")
    with another(lambda: os.chdir(path)) as pid:
        with pytest.raises(LayerInUse, match=str(pid)):
            store.apply_diff("base", make_tar({"c": b"c"}))
        assert os.path.isfile(f"/proc/{pid}/cwd/a")
    store.apply_diff("base", make_tar({"c": b"c"}))
    assert sorted(os.listdir(path)) == ["a", "c"]
