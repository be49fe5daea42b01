"""fuse-overlayfs: mounts, the marks that it leaves in layers, and errors if it cannot be used."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore
from layerstore.content.files import LayerFiles
from layerstore.drivers.overlay import folders, fuse, syscalls, whiteouts
from layerstore.drivers.overlay import mount as overlay_mount
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.errors import LayerInUse, NotSupported, StoreAccess
from layerstore.model import Change
from support.mounts import unmount_below
from support.needs import need_program, need_root, skip
from support.stacks import random_layer
from support.tars import make_tar
from support.trees import Entry, Peer, as_nobody, folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    need_root()
    need_program("fuse-overlayfs")
    if fuse.why_not():
        skip(fuse.why_not())
    yield tmp_path
    unmount_below(tmp_path)


@pytest.fixture
def driver(place: Path) -> OverlayDriver:
    return OverlayDriver(place / "graph", mount_program=need_program("fuse-overlayfs"))


def kind_of(point: Path) -> str:
    return next(mount.kind for mount in overlay_mount.kernel_mounts() if mount.point == str(point))


def fill(driver: OverlayDriver) -> None:
    driver.create("base", "")
    driver.apply_diff("base", "", [Entry("gone", data=b"1"), folder("d"), Entry("d/old"), Entry("kept", data=b"2")])
    driver.create("top", "base")


def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the kernel refuse whiteouts and attributes, as for ordinary users before Linux 5.8."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)


def test_a_named_program_mounts(driver: OverlayDriver) -> None:
    fill(driver)
    merged = driver.get("top")
    assert kind_of(merged) == "fuse.fuse-overlayfs"
    assert (driver.home / ".has-mount-program").read_bytes() == b"true"
    assert driver.get("top") == merged
    (merged / "gone").unlink()
    (merged / "kept").write_text("changed")
    for path in ("d/old", "d"):
        (merged / path).unlink() if path == "d/old" else (merged / path).rmdir()
    (merged / "d").mkdir()
    (merged / "d/new").touch()
    with (merged / "kept").open(), pytest.raises(LayerInUse, match="merged"):
        driver.put("top")
    driver.put("top")
    assert not driver.is_mounted("top")
    changes = [(change.path, change.kind.name) for change in driver.changes("top", "base")]
    assert {("/gone", "DELETE"), ("/kept", "MODIFY"), ("/d/old", "DELETE"), ("/d/new", "ADD")} <= set(changes)
    files = LayerFiles(driver.stack("top"))
    assert [entry.name for entry in files.list("/")] == ["d", "kept"]
    assert [entry.name for entry in files.list("/d")] == ["new"]


def test_read_only_mounts_and_labels(driver: OverlayDriver) -> None:
    fill(driver)
    merged = driver.get("base", read_only=True, mount_label="system_u:object_r:container_file_t:s0")
    with pytest.raises(OSError, match="Read-only"):
        (merged / "new").touch()
    assert not (driver.home / ".has-mount-program").exists()
    driver.put("base")


def test_the_mount_of_a_dead_program_can_be_unmounted(driver: OverlayDriver) -> None:
    fill(driver)
    merged = driver.get("top")
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"fuse-overlayfs") and os.fsencode(merged) in words:
            os.kill(int(process.parent.name), 9)
    with pytest.raises(OSError, match="connect"):
        os.listdir(merged)
    assert driver.is_mounted("top")
    driver.put("top")
    assert os.listdir(merged) == []


def test_a_comparison_leaves_no_mount(driver: OverlayDriver) -> None:
    fill(driver)
    driver.apply_diff("top", "base", [Entry(".wh.gone"), Entry("new", data=b"3")])
    seen: list[str] = []

    def stop() -> bool:
        seen.extend(mount.point for mount in overlay_mount.kernel_mounts() if mount.kind.startswith("fuse.fuse-over"))
        return False

    assert [change.path for change in driver.changes("top", "base", should_stop=stop)] == ["/gone", "/new"]
    assert seen == []
    tar = b"".join(driver.diff("top", "base"))
    assert b".wh.gone" in tar
    assert b"new" in tar
    assert driver.diff_size("top", "base") == 1


@pytest.mark.parametrize("devices", [True, False])
def test_both_forms_of_whiteouts_hide(driver: OverlayDriver, devices: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(driver)
    driver.create("again", "top")
    diff = [Entry(".wh.gone"), folder("d"), Entry("d/.wh..wh..opq"), Entry("d/new"), Entry(".wh.kept"), Entry("kept")]
    with monkeypatch.context() as patch:
        if not devices:
            no_devices(patch)
        driver.apply_diff("top", "base", diff)
        driver.apply_diff("again", "top", [Entry(".wh.d"), folder("d"), Entry("d/last")])
    root = driver.diff_root("top")
    if devices:
        assert stat.S_ISCHR((root / "gone").lstat().st_mode)
    else:
        assert (root / ".wh.gone").lstat().st_size == 0
        assert (root / "d/.wh..wh..opq").is_file()
        assert not (root / ".wh.kept").exists()
    for layer, names in (("top", ["new"]), ("again", ["last"])):
        merged = driver.get(layer)
        assert sorted(os.listdir(merged)) == ["d", "kept"]
        assert os.listdir(merged / "d") == names
        driver.put(layer)
        files = LayerFiles(driver.stack(layer))
        assert [entry.name for entry in files.list("/")] == ["d", "kept"]
        assert [entry.name for entry in files.list("/d")] == names


def test_attributes_of_the_program_hide_files_and_are_dropped_from_tars(driver: OverlayDriver) -> None:
    fill(driver)
    marks = {b"user.fuseoverlayfs.opaque": b"y", b"user.containers.override_stat": b"0:0:0755:dir", b"user.x": b"1"}
    driver.apply_diff("top", "base", [folder("d", xattrs=marks)])
    d = driver.diff_root("top") / "d"
    assert os.listxattr(d) == ["user.x"]
    assert [entry.name for entry in LayerFiles(driver.stack("top")).list("/d")] == ["old"]
    os.setxattr(d, "user.fuseoverlayfs.opaque", b"y")
    assert list(LayerFiles(driver.stack("top")).list("/d")) == []
    merged = driver.get("top")
    assert os.listdir(merged / "d") == []
    driver.put("top")


def test_a_flagged_store_is_mounted_by_the_program(place: Path) -> None:
    plain = OverlayDriver(place / "graph")
    fill(plain)
    fuse.flag(plain.home)
    assert kind_of(plain.get("top")) == "fuse.fuse-overlayfs"
    assert dict(plain.status())["Mount Program"] == "fuse-overlayfs"
    plain.put("top")


@pytest.mark.parametrize("layer", ["base", "top"])
def test_owners_in_attributes_are_refused(driver: OverlayDriver, layer: str) -> None:
    fill(driver)
    os.setxattr(driver.diff_root(layer), fuse.OVERRIDE, b"0:0:0555:dir")
    calls = (
        lambda: driver.get("top"),
        lambda: driver.changes("top", "base"),
        lambda: b"".join(driver.diff("top", "base")),
        lambda: driver.apply_diff("top", "base", []),
        lambda: driver.stack("top"),
    )
    for call in calls:
        with pytest.raises(NotSupported, match="override_stat"):
            call()
    assert driver.diff_folders("top", "base") == [driver.diff_root("top")]


def test_the_output_of_the_program_is_in_the_error(place: Path) -> None:
    program = place / "broken"
    program.write_text("#!/bin/sh\necho the disk is made of cheese >&2\nexit 3\n")
    program.chmod(0o755)
    OverlayDriver(place / "graph").create("base", "")
    with pytest.raises(NotSupported, match=r"broken cannot mount .*cheese \(exit status 3\)"):
        OverlayDriver(place / "graph", mount_program=str(program)).get("base")
    program.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(NotSupported, match="is not mounted"):
        OverlayDriver(place / "graph", mount_program=str(program)).get("base")


@pytest.mark.parametrize("named", ["", "/nowhere/fuse-overlayfs"])
def test_a_missing_program_is_named(place: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    driver = OverlayDriver(place / "graph", mount_program=named)
    fill(OverlayDriver(place / "graph"))
    if not named:
        monkeypatch.setenv("PATH", "/nowhere")
        fuse.flag(driver.home)
    with pytest.raises(NotSupported, match="is not installed"):
        driver.get("top")
    with pytest.raises(NotSupported, match="is not installed"):
        driver.changes("top", "base")
    assert [entry.name for entry in LayerFiles(driver.stack("top")).list("/")] == ["d", "gone", "kept"]


@pytest.mark.parametrize(("graph", "layer"), [("a,b", "one"), ("graph", "o:ne"), ("a\\b", "one")])
def test_odd_paths_are_refused(place: Path, graph: str, layer: str) -> None:
    OverlayDriver(place / graph).create(layer, "")
    with pytest.raises(NotSupported, match="comma, colon or backslash"):
        OverlayDriver(place / graph, mount_program=need_program("fuse-overlayfs")).get(layer)


def test_the_program_is_used_if_the_kernel_refuses_a_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = OverlayDriver(place / "graph")
    fill(driver)
    os.chown(driver.home, 1000, 1000)  # a store of an ordinary user

    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(syscalls, "create_mount", refuse)
    assert [change.path for change in driver.changes("top", "")] == ["/d", "/d/old", "/gone", "/kept"]
    assert not folders.is_flagged(driver.home)
    merged = driver.get("top")
    assert kind_of(merged) == "fuse.fuse-overlayfs"
    assert folders.is_flagged(driver.home)
    driver.put("top")


def test_root_gets_the_error_of_the_kernel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = OverlayDriver(place / "graph")
    fill(driver)

    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(syscalls, "create_mount", refuse)
    with pytest.raises(StoreAccess):
        driver.get("top")


def test_a_user_who_may_not_open_the_device_is_told() -> None:
    def work(home: Path) -> str:
        return fuse.why_not("/bin/true")

    if os.stat("/dev/fuse").st_mode & 0o006 == 0o006:
        pytest.skip("every user may open /dev/fuse here")
    assert "/dev/fuse" in as_nobody(work)


class FusePeer(Peer):
    """containers-storage with fuse-overlayfs, and our store on the same files."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        program = need_program("fuse-overlayfs")
        self._command[-1] = "overlay"
        self._command += ["--storage-opt", f"overlay.mount_program={program}"]
        self._place = place

    def open(self) -> LayerStore:
        return LayerStore.open(self.graph, self._run, driver="overlay")

    def apply(self, layer: str, tar: bytes) -> None:
        file = self._place / "diff.tar"
        file.write_bytes(tar)
        self.run("applydiff", "-f", file, layer)


def words(changes: list[Change]) -> list[str]:
    return sorted(f'{("Modify", "Add", "Delete")[change.kind]} "{change.path}"' for change in changes)


def test_a_fuse_store_of_containers_storage_is_read_and_written(place: Path) -> None:
    peer = FusePeer(place)
    base, _ = peer.create()
    peer.apply(base, make_tar({"gone": b"1", "d": None, "d/old": b"2", "kept": b"3"}))
    top, _ = peer.create(base)
    tar = make_tar({".wh.gone": b"", "d/.wh..wh..opq": b"", "d/new": b"4"})
    peer.apply(top, tar)
    assert (peer.graph / "overlay" / top / "diff" / ".wh.gone").is_file()
    store = peer.open()
    # containers/storage 1.43 skips what an opaque folder hides.
    assert words(store.changes(top)) == sorted([*peer.changes(top), 'Delete "/d/old"'])
    with store.diff(top) as reader:
        assert reader.read() == tar
    merged = store.mount(top)
    assert kind_of(merged) == "fuse.fuse-overlayfs"
    assert sorted(os.listdir(merged)) == ["d", "kept"]
    (merged / "kept").unlink()
    store.unmount(top)
    ours, _ = store.put(make_tar({".wh.d": b"", "more": b"5"}), parent=top)
    assert [entry.name for entry in store.files(ours.id).list("/")] == ["more"]
    theirs = Path(peer.run("mount", ours.id).split()[0].decode())
    assert os.listdir(theirs) == ["more"]
    peer.run("unmount", ours.id)
    assert words(store.changes(ours.id)) == peer.changes(ours.id)


@pytest.mark.parametrize("seed", range(3))
def test_our_view_without_a_mount_is_that_of_the_program(
    place: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"overlay.mount_program": need_program("fuse-overlayfs")}
    store = LayerStore.open(place / "graph", place / "run", driver="overlay", options=options)
    chance, parent = random.Random(seed), None
    monkeypatch.setattr(whiteouts, "_make_device", _refusing(seed))
    for number in range(4):
        layer, _ = store.put(random_layer(chance, 1_700_000_000 + number, base=number == 0), parent=parent)
        parent = layer.id
    assert parent is not None
    merged = store.mount(parent)
    real = sorted(f"/{path.relative_to(merged)}" for path in merged.rglob("*"))
    store.unmount(parent)
    files = store.files(parent)

    def walk(folder: str) -> Iterator[str]:
        for entry in files.list(folder):
            yield entry.path
            if entry.kind.value == "folder":
                yield from walk(entry.path)

    assert sorted(walk("/")) == real


def _refusing(seed: int) -> object:
    """Return a function that creates devices only for even seeds."""
    make = whiteouts._make_device

    def refuse(folder: int, name: bytes) -> None:
        if seed % 2:
            raise NotSupported("no devices here")
        make(folder, name)

    return refuse
