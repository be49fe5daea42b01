"""Overlay mounts: long lists of layers, odd paths, old kernels, mounts of other users, and errors."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.drivers.overlay import mount, syscalls
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.drivers.overlay.mount import OverlayMount, file_system_of, is_mounted
from layerstore.errors import LayerInUse, NotSupported, StoreAccess
from support.needs import need_root, skip
from support.trees import Entry, folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system that can hold overlays, and unmount everything below it at the end."""
    need_root()
    try:
        OverlayDriver(tmp_path / "probe").create("probe", "")
    except NotSupported as error:
        skip(str(error))
    yield tmp_path
    for point in [point for point, _ in mount._mounts() if point.startswith(f"{tmp_path}/")][::-1]:
        syscalls.unmount(point, lazily=True)


@pytest.fixture
def driver(place: Path) -> OverlayDriver:
    return OverlayDriver(place / "graph")


def as_on_an_old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the mount option for long lists, as before Linux 6.5."""
    real = syscalls.set_option

    def set_option(context: int, key: str, value: str | None = None) -> None:
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, "Invalid argument")
        real(context, key, value)

    monkeypatch.setattr(syscalls, "set_option", set_option)


@pytest.fixture(params=["new", "old"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount with fsopen(2), and with mount(2)."""
    if request.param == "old":
        as_on_an_old_kernel(monkeypatch)


def stack(driver: OverlayDriver, count: int) -> str:
    """Create a chain of layers, each with its own file, and return the ID of the top layer."""
    parent = ""
    for number in range(count):
        layer = f"layer-{number}"
        driver.create(layer, parent)
        (driver.diff_root(layer) / f"file-{number}").touch()
        parent = layer
    return parent


@pytest.mark.usefixtures("way")
def test_writes_to_the_mount_go_to_the_layer(driver: OverlayDriver) -> None:
    top = stack(driver, 2)
    merged = driver.get(top)
    assert merged == driver.home / top / "merged"
    assert driver.is_mounted(top)
    assert driver.get(top) == merged
    assert sorted(os.listdir(merged)) == ["file-0", "file-1"]
    (merged / "file-0").unlink()
    (merged / "new").write_text("1")
    driver.put(top)
    assert not driver.is_mounted(top)
    assert os.listdir(merged) == []
    assert [change.path for change in driver.changes(top, "layer-0")] == ["/file-0", "/file-1", "/new"]
    driver.put(top)


@pytest.mark.usefixtures("way")
def test_read_only_mounts_and_base_layers(driver: OverlayDriver) -> None:
    stack(driver, 1)
    merged = driver.get("layer-0", read_only=True)
    with pytest.raises(OSError, match="Read-only"):
        (merged / "new").touch()
    driver.put("layer-0")
    merged = driver.get("layer-0")
    (merged / "new").touch()
    driver.put("layer-0")
    assert sorted(os.listdir(driver.diff_root("layer-0"))) == ["file-0", "new"]


def test_five_hundred_layers_below(driver: OverlayDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getcwd()
    top = stack(driver, 501)
    for way in ("new", "old"):
        if way == "old":
            as_on_an_old_kernel(monkeypatch)
        for read_only in (False, True):
            merged = driver.get(top, read_only=read_only)
            assert len(os.listdir(merged)) == 501
            assert read_only == bool(os.statvfs(merged).f_flag & os.ST_RDONLY)
            driver.put(top)
        assert len(driver.changes(top, "")) == 501
    assert os.getcwd() == here
    with pytest.raises(NotSupported, match="500 layers"):
        driver.create("one-too-many", top)
    assert not driver.exists("one-too-many")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["a,b:c\\d e", "x" * 200 + "/" + "y" * 100, 'q"uote\n'])
def test_odd_and_long_paths(place: Path, name: str) -> None:
    driver = OverlayDriver(place / name)
    driver.create("one,:", "")
    driver.create("two\\", "one,:")
    merged = driver.get("two\\")
    assert is_mounted(merged)
    (merged / "f").touch()
    assert driver.is_mounted("two\\")
    driver.put("two\\")
    assert os.listdir(driver.diff_root("two\\")) == ["f"]


@pytest.mark.usefixtures("way")
def test_a_comparison_makes_no_visible_mount(driver: OverlayDriver) -> None:
    top = stack(driver, 3)
    seen = []

    def stop() -> bool:
        seen.append([point for point, _ in mount._mounts() if point.startswith(str(driver.home))])
        return False

    assert [change.path for change in driver.changes(top, "layer-0", should_stop=stop)] == ["/file-1", "/file-2"]
    assert seen
    assert not any(seen)
    assert [change.kind for change in driver.changes("layer-0", top)] == [2, 2]
    tar = b"".join(driver.diff(top, "layer-0"))
    assert b"file-1" in tar
    assert b"file-0" not in tar
    assert not (driver.home / "tempdirs").exists()


def test_a_mounted_layer_is_compared_by_its_mount(driver: OverlayDriver) -> None:
    top = stack(driver, 3)
    merged = driver.get(top)
    (merged / "file-0").unlink()
    assert [change.path for change in driver.changes(top, "layer-0")] == ["/file-0", "/file-1", "/file-2"]
    assert driver.is_mounted(top)
    driver.put(top)


def test_a_mount_in_use_is_named(driver: OverlayDriver) -> None:
    top = stack(driver, 2)
    merged = driver.get(top)
    with (merged / "file-1").open(), pytest.raises(LayerInUse, match=str(merged)):
        driver.put(top)
    driver.clone(top, "copy")
    for call in (lambda: driver.remove(top), lambda: driver.replace(top, "copy"), lambda: driver.replace("copy", top)):
        with pytest.raises(LayerInUse, match=str(merged)):
            call()
    assert driver.is_mounted(top)
    driver.put(top)
    driver.remove(top)


def test_a_volatile_mount_works_after_a_crash_of_another(driver: OverlayDriver) -> None:
    top = stack(driver, 2)
    merged = driver.get(top, volatile=True)
    assert "volatile" in next(
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "layer-1" in line
    )
    assert (driver.home / top / "work/work/incompat/volatile").exists()
    driver.put(top)
    (driver.home / top / "work/work/incompat/volatile").mkdir(parents=True, exist_ok=True)
    assert driver.get(top) == merged
    driver.put(top)


def test_threads_keep_the_working_folder(driver: OverlayDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """mount(2) with a long list changes the working folder, but in a thread with its own."""
    monkeypatch.setattr(os, "sysconf", lambda _: 200)
    monkeypatch.setattr(syscalls, "open_context", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSYS, "")))
    top = stack(driver, 20)
    here = os.getcwd()
    folders: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            folders.add(os.getcwd())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        driver.get(top)
    finally:
        done.set()
        watcher.join()
    assert folders == {here}
    assert len(os.listdir(driver.home / top / "merged")) == 20
    driver.put(top)
    monkeypatch.setattr(os, "sysconf", lambda _: 20)
    with pytest.raises(NotSupported, match="longer than the 20 bytes"):
        driver.get(top)


def test_features_that_kernels_enable_by_default_are_off(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount, "_PARAMETERS", str(place / "parameters"))
    (place / "parameters").mkdir()
    for name in ("index", "metacopy", "redirect_dir"):
        (place / "parameters" / name).touch()
    plain = OverlayMount(place, ("a",))
    assert plain.settings() == [("index", "off"), ("metacopy", "off"), ("redirect_dir", "off")]
    assert plain.attributes() == {"ro"}
    given = OverlayMount(place, ("a",), "b", "c", ("nodev", "metacopy=on", "volatile"), userxattr=True)
    assert given.settings() == [("metacopy", "on"), ("volatile", None), ("index", "off"), ("userxattr", None)]
    assert given.attributes() == {"nodev"}
    monkeypatch.setattr(mount, "_SELINUX", str(place))
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    labelled = OverlayMount(place, ("a",), label=label)
    assert labelled.settings()[-1] == ("context", label)
    assert labelled._option_text({"a": "/a"}).endswith(f'context="{label}"')
    monkeypatch.setattr(mount, "_SELINUX", str(place / "absent"))
    assert OverlayMount(place, ("a",), label=label).settings() == plain.settings()


def test_options_of_the_store_are_used(place: Path) -> None:
    driver = OverlayDriver(place / "graph", mount_options=("nodev", "noatime"))
    stack(driver, 2)
    driver.get("layer-1")
    line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "layer-1/merged" in line)
    assert {"nodev", "noatime"} <= set(line.split(" ")[5].split(","))
    driver.put("layer-1")


def test_a_store_of_an_ordinary_user_has_user_attributes(place: Path) -> None:
    driver = OverlayDriver(place / "graph")
    stack(driver, 1)
    os.chown(driver.home, 1000, 1000)
    driver.create("top", "layer-0")
    driver.apply_diff("top", "layer-0", [folder("d"), Entry("d/.wh..wh..opq")])
    assert os.getxattr(driver.diff_root("top") / "d", "user.overlay.opaque") == b"y"
    driver.get("top")
    assert "userxattr" in Path("/proc/self/mountinfo").read_text()
    driver.put("top")


def test_a_file_system_that_cannot_hold_layers_is_named(driver: OverlayDriver, place: Path) -> None:
    """The upper folder of an overlay cannot be on another overlay."""
    stack(driver, 2)
    merged = driver.get("layer-1")
    nested = OverlayDriver(merged / "graph")
    with pytest.raises(NotSupported, match=r"overlay at .* cannot hold overlay layers"):
        nested.create("one", "")
    assert nested.list_layers() == []
    driver.put("layer-1")


@pytest.mark.parametrize(
    ("number", "error", "match"),
    [
        (errno.EPERM, StoreAccess, "podman unshare"),
        (errno.ENODEV, NotSupported, "modprobe"),
        (errno.EINVAL, NotSupported, "cannot mount"),
        (errno.ENOSPC, OSError, "merged"),
    ],
)
def test_errors_of_the_kernel_are_explained(
    driver: OverlayDriver, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], match: str
) -> None:
    top = stack(driver, 2)

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "create_mount", fail)
    with pytest.raises(error, match=match):
        driver.get(top)
    assert not driver.is_mounted(top)


def test_mounts_are_found_by_their_path(place: Path) -> None:
    point = place / "sp ace\ttab\\x"
    point.mkdir()
    (place / "link").symlink_to(point)
    assert not is_mounted(point)
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        assert is_mounted(point)
        assert is_mounted(place / "link")
        assert not is_mounted(place)
        assert not is_mounted(point / "absent")
        assert file_system_of(point / "deep") == "tmpfs"
    finally:
        subprocess.run(["umount", point], check=True)
    assert file_system_of("/proc") == "proc"
