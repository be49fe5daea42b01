"""The contract of drivers/base.py, checked for every driver."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerstore.archive.read import TarReader
from layerstore.drivers import DRIVERS, DriverOptions
from layerstore.drivers import staging as tempdirs
from layerstore.drivers.base import Driver
from layerstore.errors import Cancelled, NotSupported, UnusableID
from layerstore.model import ChangeKind
from support.trees import MTIME, Entry, as_nobody, folder, hard_link, picture, symlink


def fill(driver: Driver, layer: str = "base") -> None:
    driver.create(layer, "")
    entries = [
        folder("d", 0o3775, mtime_ns=3),
        Entry("d/f", data=b"x" * 5000, mode=0o4755, mtime_ns=-1, xattrs={b"user.a": b"1"}),
        hard_link("d/g", "d/f", mode=0o4755, mtime_ns=-1),
        symlink("d/l", "/etc", mtime_ns=MTIME + 9),
        Entry("fifo", "6", mode=0o640),
        folder("ro", 0o555),
        Entry("ro/f", mode=0o400),
    ]
    assert driver.apply_diff(layer, "", entries) == 5000


def lines(driver: Driver, layer: str, parent: str = "") -> list[str]:
    return [f"{'CAD'[change.kind]} {change.path}" for change in driver.changes(layer, parent)]


def seen(driver: Driver, layer: str) -> Any:
    """Return a picture of a layer's file system, without the time of its root, which differs between drivers."""
    try:
        shown = picture(driver.get(layer))
        shown["."] = shown["."][:3]
        return shown
    finally:
        driver.put(layer)


def left_over(driver: Driver) -> list[str]:
    """Return the content of the folder for layers that are being deleted."""
    folder = driver.temporary_folder
    return os.listdir(folder) if folder.exists() else []


def test_making_a_driver_does_not_touch_the_disk(driver: Driver, tmp_path: Path) -> None:
    assert isinstance(driver, Driver)
    assert type(driver) is DRIVERS[driver.name].load()
    unused = DRIVERS[driver.name].load().make(tmp_path / "unused", DriverOptions())
    assert unused.list_layers() == []
    unused.cleanup()
    assert not (tmp_path / "unused").exists()


def test_a_child_shows_what_its_parent_shows(driver: Driver) -> None:
    fill(driver)
    driver.create("child", "base")
    assert seen(driver, "child") == seen(driver, "base")
    assert driver.changes("child", "base") == []
    assert driver.diff_size("child", "base") == 0


def test_a_layer_is_mounted_between_get_and_put(driver: Driver) -> None:
    fill(driver)
    path = driver.get("base")
    assert driver.is_mounted("base")
    assert sorted(os.listdir(path)) == ["d", "fifo", "ro"]
    assert driver.get("base") == path
    driver.put("base")
    assert driver.is_mounted("base") == (not driver.takes_mounts)
    driver.put("base")


def test_an_existing_layer_is_not_touched(driver: Driver) -> None:
    fill(driver)
    before = seen(driver, "base")
    for there in (lambda: driver.create("base", ""), lambda: driver.clone("base", "base")):
        with pytest.raises(FileExistsError):
            there()
    for missing in (lambda: driver.create("child", "absent"), lambda: driver.clone("absent", "child")):
        with pytest.raises(FileNotFoundError, match="absent"):
            missing()
    with pytest.raises(NotSupported, match="size"):
        driver.create("child", "", options={"size": "1G"})
    assert seen(driver, "base") == before
    assert driver.list_layers() == ["base"]


@pytest.mark.parametrize("layer", ["", ".", "..", "a/b", "/", "../x", "a\0b", "n" * 256])
def test_ids_that_are_not_file_names_are_refused(driver: Driver, layer: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: driver.create(layer, ""),
        lambda: driver.remove(layer),
        lambda: driver.get(layer),
        lambda: driver.exists(layer),
        lambda: driver.folder_of(layer),
        lambda: driver.usage(layer),
        lambda: driver.paths(layer),
        lambda: driver.stack(layer),
        lambda: driver.diff_root(layer),
        lambda: driver.changes(layer, ""),
        lambda: driver.apply_diff(layer, "", []),
    ]
    for call in calls:
        with pytest.raises(UnusableID):
            call()


def test_a_missing_layer_is_named(driver: Driver) -> None:
    calls: list[Callable[[], object]] = [
        lambda: driver.get("absent"),
        lambda: driver.usage("absent"),
        lambda: driver.changes("absent", ""),
        lambda: list(driver.diff("absent", "")),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError, match="absent"):
            call()
    assert not driver.exists("absent")
    driver.remove("absent")
    driver.put("absent")
    driver.cleanup()
    assert driver.list_layers() == []


def test_a_cancelled_call_leaves_nothing_behind(driver: Driver) -> None:
    fill(driver)
    calls: list[Callable[[], object]] = [
        lambda: driver.clone("base", "other", should_stop=lambda: True),
        lambda: driver.usage("base", should_stop=lambda: True),
        lambda: driver.changes("base", "", should_stop=lambda: True),
        lambda: list(driver.diff("base", "", should_stop=lambda: True)),
        lambda: driver.diff_size("base", "", should_stop=lambda: True),
    ]
    for call in calls:
        with pytest.raises(Cancelled):
            call()
    assert driver.list_layers() == ["base"]
    assert left_over(driver) == []


def test_a_removal_that_crashed_is_finished_later(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(driver)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tempdirs, "_delete", crash)
        with pytest.raises(KeyboardInterrupt):
            driver.remove("base")
    assert not driver.exists("base")
    assert sorted(name.rstrip("0123456789") for name in left_over(driver)) == ["lock-", "temp-dir-"]
    (aside,) = driver.temporary_folder.glob("temp-dir-*")
    assert [name for name in os.listdir(aside) if re.fullmatch(r"[0-9]+-base", name)]
    driver.cleanup()
    assert left_over(driver) == []
    fill(driver)
    driver.remove("base")
    assert driver.list_layers() == left_over(driver) == []


def test_a_rename_aside_that_fails_leaves_the_layer(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(driver)
    before = seen(driver, "base")

    def fail(*_: object) -> None:
        raise OSError(errno.EBUSY, "mounted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="mounted"):
            driver.remove("base")
    assert seen(driver, "base") == before
    assert left_over(driver) == []


def test_cleanup_skips_what_a_live_process_is_deleting(driver: Driver) -> None:
    """containers/storage takes a record lock on lock-X, as this child does."""
    staging = driver.temporary_folder
    (staging / "temp-dir-7/0-x").mkdir(parents=True)
    (staging / "lock-7").touch()
    script = f"import fcntl,sys; f=open({str(staging / 'lock-7')!r},'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=1)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        driver.cleanup()
        assert (staging / "temp-dir-7/0-x").exists()
        child.communicate()
    driver.cleanup()
    assert left_over(driver) == []


def test_diffs_make_one_layer_out_of_another(driver: Driver) -> None:
    fill(driver)
    driver.create("child", "base")
    entries = [
        Entry("d/.wh.f"),
        Entry("new", data=bytes(10), mode=0o600),
        hard_link("newer", "new", mode=0o600),
        folder("ro", 0o555),
        Entry("ro/.wh..wh..opq"),
        Entry("ro/other"),
        folder("d", 0o3775, mtime_ns=MTIME),
    ]
    driver.apply_diff("child", "base", entries)
    found = {change.path: change for change in driver.changes("child", "base")}
    assert {"/d", "/d/f", "/new", "/newer", "/ro", "/ro/other"} <= found.keys() <= {*found, "/ro/f"}
    assert list(found) == sorted(found)
    assert found["/d"].kind is ChangeKind.MODIFY
    assert found["/d/f"].kind is ChangeKind.DELETE
    assert (found["/new"].kind, found["/new"].size, found["/new"].mode) == (ChangeKind.ADD, 10, 0o100600)
    assert driver.diff_size("child", "base") == 10
    assert driver.diff_size("base", "") == 5000 + len("/etc")
    driver.create("again", "base")
    driver.apply_diff("again", "base", TarReader(driver.diff("child", "base")))
    assert seen(driver, "again") == seen(driver, "child")
    driver.create("flat", "")
    driver.apply_diff("flat", "", TarReader(driver.diff("child", "")))
    assert lines(driver, "flat") == lines(driver, "child")
    whole = seen(driver, "child")
    assert not any(str(path).endswith(("d/f", "ro/f")) for path in whole)


def test_clone_and_replace(driver: Driver) -> None:
    fill(driver)
    driver.create("child", "base")
    driver.apply_diff("child", "base", [Entry("d/.wh.f"), Entry("own")])
    driver.create("grandchild", "child")
    driver.clone("child", "copy")
    before = seen(driver, "child")
    assert seen(driver, "copy") == before
    assert lines(driver, "copy", "base") == lines(driver, "child", "base")
    driver.apply_diff("copy", "base", [Entry("new")])
    assert seen(driver, "child") == before
    changed = seen(driver, "copy")
    driver.replace("child", "copy")
    assert seen(driver, "child") == changed
    assert seen(driver, "copy") == before
    with pytest.raises(FileNotFoundError):
        driver.replace("base", "absent")
    assert sorted(driver.list_layers()) == ["base", "child", "copy", "grandchild"]


def test_usage_counts_blocks_and_hard_links_once(driver: Driver) -> None:
    driver.create("one", "")
    assert driver.usage("one").inodes == 1
    driver.apply_diff("one", "", [Entry("f", data=bytes(100_000)), hard_link("g", "f"), folder("d"), Entry("d/x")])
    heard: list[int] = []
    used = driver.usage("one", progress=lambda done, _: heard.append(done))
    root = driver.diff_root("one")
    listed = [root, *(path for path in root.rglob("*") if path.name != "g")]
    assert used.inodes == 4
    assert used.size == sum(path.lstat().st_blocks * 512 for path in listed)
    assert heard == sorted(heard)
    assert 0 < heard[-1] <= used.size


def test_facts_for_people(driver: Driver) -> None:
    fill(driver)
    assert ("Layers", "1") in driver.status()
    assert driver.diff_root("base") in driver.paths("base").values()
    assert all(path.exists() for path in driver.paths("base").values())


@pytest.mark.parametrize("name", DRIVERS)
def test_an_owner_without_privileges_makes_changes_and_removes_layers(name: str) -> None:
    def work(home: Path) -> Any:
        driver = DRIVERS[name].load().make(home, DriverOptions())
        fill(driver)
        driver.create("child", "base")
        same = driver.changes("child", "base")
        driver.apply_diff("child", "base", [Entry("ro/new"), Entry("d/.wh.f"), folder("none", 0), Entry("none/f")])
        changed = lines(driver, "child", "base")
        driver.clone("child", "copy")
        copied = lines(driver, "copy", "base")
        driver.replace("child", "copy")
        sizes = driver.diff_size("child", "base"), driver.diff_size("base", "")
        for layer in driver.list_layers():
            driver.remove(layer)
        return same, changed, copied, sizes, driver.list_layers(), left_over(driver)

    same, changed, copied, sizes, layers, left = as_nobody(work)
    assert same == layers == left == []
    assert changed == copied
    assert {"D /d/f", "A /none", "A /none/f", "A /ro/new"} <= set(changed)
    assert sizes == (0, 5004)
