"""The overlay driver's folders: atomic creation and removal, repair of links, and errors for damage."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerstore.archive.read import TarReader
from layerstore.drivers import staging
from layerstore.drivers.overlay import mount
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.errors import Cancelled, NotSupported, StoreCorrupt, UnusableID
from layerstore.model import ChangeKind
from support.mounts import unmount_below
from support.needs import need_root, skip
from support.trees import MTIME, Entry, as_nobody, folder, hard_link, picture, symlink

LINK = re.compile(r"[A-Z2-7]{26}")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[OverlayDriver]:
    need_root()
    driver = OverlayDriver(tmp_path / "graph")
    try:
        driver.create("probe", "")
    except NotSupported as error:
        skip(str(error))
    driver.remove("probe")
    yield driver
    unmount_below(tmp_path)


def fill(driver: OverlayDriver, layer: str = "base", parent: str = "") -> Path:
    driver.create(layer, parent)
    entries = [
        folder("d", 0o3775, mtime_ns=3),
        Entry("d/f", data=b"x" * 5000, mode=0o4755, mtime_ns=-1, xattrs={b"user.a": b"1"}),
        hard_link("d/g", "d/f", mode=0o4755, mtime_ns=-1),
        symlink("d/l", "/etc", mtime_ns=MTIME + 9),
        Entry("fifo", "6", mode=0o640),
        folder("ro", 0o555),
        Entry("ro/f", mode=0o400),
    ]
    driver.apply_diff(layer, parent, entries)
    return driver.diff_root(layer)


def lines(driver: OverlayDriver, layer: str, parent: str = "") -> list[str]:
    return [f"{'CAD'[change.kind]} {change.path}" for change in driver.changes(layer, parent)]


def test_a_base_layer_has_the_folders_of_containers_storage(driver: OverlayDriver) -> None:
    before = os.umask(0o077)
    try:
        driver.create("one", "")
    finally:
        os.umask(before)
    home = driver.home
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (home / "one").iterdir()}
    assert modes == {"diff": 0o555, "empty": 0o700, "link": 0o644, "merged": 0o700, "work": 0o700}
    assert stat.S_IMODE((home / "l").stat().st_mode) == 0o755
    link = (home / "one/link").read_text()
    assert LINK.fullmatch(link)
    assert os.readlink(home / "l" / link) == "../one/diff"
    assert sorted(os.listdir(home)) == ["l", "one"]


def test_a_child_lists_its_lowers_and_inherits_the_root_s_mode(driver: OverlayDriver) -> None:
    root = fill(driver)
    root.chmod(0o2751)
    os.chown(root, 12, 34)
    driver.create("middle", "base")
    driver.create("top", "middle")
    links = {layer: (driver.home / layer / "link").read_text() for layer in driver.list_layers()}
    assert (driver.home / "middle/lower").read_text() == f"l/{links['base']}"
    assert (driver.home / "top/lower").read_text() == f"l/{links['middle']}:l/{links['base']}"
    for name, mode in {"diff": 0o2751, "merged": 0o700, "work": 0o700}.items():
        found = (driver.home / "top" / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, 12, 34)
    assert (driver.home / "top").stat().st_uid == 0
    assert not (driver.home / "top/empty").exists()


@pytest.mark.parametrize("fault", ["stop", "interrupt"])
def test_a_failure_leaves_nothing_of_the_layer(driver: OverlayDriver, monkeypatch: Any, fault: str) -> None:
    fill(driver)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if fault == "interrupt":
        monkeypatch.setattr(driver._links, "write_lower", fail)
        with pytest.raises(KeyboardInterrupt):
            driver.create("child", "base")
    else:
        with pytest.raises(Cancelled):
            driver.clone("base", "child", should_stop=lambda: True)
    assert driver.list_layers() == ["base"]
    assert len(os.listdir(driver.home / "l")) == 1


@pytest.mark.parametrize("layer", ["l", "tempdirs", "staging", ".x"])
def test_reserved_names_are_refused(driver: OverlayDriver, layer: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: driver.create(layer, ""),
        lambda: driver.remove(layer),
        lambda: driver.get(layer),
        lambda: driver.put(layer),
        lambda: driver.exists(layer),
        lambda: driver.usage(layer),
        lambda: driver.paths(layer),
        lambda: driver.diff_root(layer),
        lambda: driver.changes(layer, ""),
        lambda: driver.apply_diff(layer, "", []),
    ]
    for call in calls:
        with pytest.raises(UnusableID):
            call()


def test_removing_leaves_nothing(driver: OverlayDriver) -> None:
    fill(driver)
    driver.remove("base")
    assert driver.list_layers() == []
    assert os.listdir(driver.home) == ["l"]
    assert os.listdir(driver.home / "l") == []


def test_a_removal_that_crashed_is_finished_later(driver: OverlayDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(driver)
    link = (driver.home / "base/link").read_text()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, "_delete", crash)
    with pytest.raises(KeyboardInterrupt):
        driver.remove("base")
    monkeypatch.undo()
    assert not driver.exists("base")
    (aside,) = (driver.home / "tempdirs").glob("temp-dir-*")
    assert sorted(os.listdir(aside)) == [f"0-{link}", "1-base"]
    driver.cleanup()
    assert not (driver.home / "tempdirs").exists()


def test_clone_and_replace_keep_links_and_children(driver: OverlayDriver) -> None:
    fill(driver)
    driver.create("child", "base")
    driver.apply_diff("child", "base", [Entry("d/.wh.f"), folder("ro"), Entry("ro/.wh..wh..opq"), Entry("own")])
    driver.create("grandchild", "child")
    driver.clone("child", "copy")
    before = picture(driver.diff_root("child"))
    assert picture(driver.diff_root("copy")) == before
    assert lines(driver, "copy", "base") == lines(driver, "child", "base")
    kept = {path: path.read_text() for path in driver.home.glob("*/l*") if path.is_file()}
    driver.apply_diff("copy", "base", [Entry("new")])
    driver.replace("child", "copy")
    assert (driver.diff_root("child") / "new").exists()
    assert picture(driver.diff_root("copy")) == before
    assert {path: path.read_text() for path in driver.home.glob("*/l*") if path.is_file()} == kept
    assert "A /new" in lines(driver, "grandchild")
    with pytest.raises(FileNotFoundError):
        driver.replace("base", "absent")


def test_the_entry_of_the_root_is_ignored(driver: OverlayDriver) -> None:
    driver.create("one", "")
    names = (".", "./", "", "././", "x/..")
    driver.apply_diff("one", "", [*(folder(name, 0o700, uid=5) for name in names), Entry("...", data=b"1")])
    found = driver.diff_root("one").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o555, 0)
    assert lines(driver, "one") == ["A /..."]
    driver.apply_diff("one", "", [folder("/", 0o711)])
    assert stat.S_IMODE(driver.diff_root("one").stat().st_mode) == 0o711


def test_usage_and_facts_exclude_the_layers_below(driver: OverlayDriver) -> None:
    fill(driver)
    driver.create("child", "base")
    driver.apply_diff("child", "base", [Entry("f", data=bytes(100_000)), hard_link("g", "f"), folder("e")])
    used = driver.usage("child")
    root = driver.diff_root("child")
    assert used.inodes == 3
    assert used.size == sum(path.lstat().st_blocks * 512 for path in (root, root / "f", root / "e"))
    assert driver.diff_size("child", "base") == 100_000
    assert driver.diff_size("child", "") == 105_000 + len("/etc")
    paths = driver.paths("child")
    assert paths["diff"] == root
    assert os.path.realpath(paths["link"]) == str(root)
    assert set(paths) == {"diff", "merged", "work", "link"}
    assert ("Layers", "2") in driver.status()
    assert ("Backing Filesystem", mount.file_system_of(root)) in driver.status()
    with pytest.raises(Cancelled):
        driver.usage("child", should_stop=lambda: True)
    with pytest.raises(Cancelled):
        driver.changes("child", "base", should_stop=lambda: True)
    with pytest.raises(Cancelled):
        list(driver.diff("child", "base", should_stop=lambda: True))


def test_other_files_in_the_folder_are_not_layers(driver: OverlayDriver) -> None:
    fill(driver)
    for name in ("staging", ".hidden"):
        (driver.home / name).mkdir()
    (driver.home / "file").touch()
    assert driver.list_layers() == ["base"]


def test_lost_links_are_repaired(driver: OverlayDriver) -> None:
    """Links can be lost in a crash of the machine. Mounting or building on a layer repairs them, reading does not."""
    fill(driver)
    driver.create("child", "base")
    link = driver.home / "l" / (driver.home / "base/link").read_text()
    for damage in ("../gone/diff", "base", link.name, ""):
        link.unlink(missing_ok=True)
        if damage:
            link.symlink_to(damage)
        assert lines(driver, "child", "base") == []
        assert len(lines(driver, "child")) == 7
        assert (os.readlink(link) if damage else "") == damage
        driver.create("grandchild", "child")
        assert os.readlink(link) == "../base/diff"
        driver.remove("grandchild")
    (driver.home / "base/link").unlink()
    driver.create("sibling", "base")
    assert (driver.home / "base/link").read_text() == link.name
    assert sorted(os.listdir(driver.home / "l")) == sorted(
        (driver.home / layer / "link").read_text() for layer in driver.list_layers()
    )


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("l/" + "A" * 26, "l/A+ does not exist"),
        ("l/../../../etc", "names no layer"),
        ("l/" + "A" * 25, "names no layer"),
        ("x/" + "A" * 26, "names no layer"),
        ("\x00\xff", "names no layer"),
        ("l/SELF", "below itself"),
        ("l/BASE:l/BASE", "below itself"),
        ("x" * 2_000_000, "longer than"),
    ],
    ids=["absent", "path", "short", "folder", "bytes", "itself", "twice", "long"],
)
def test_a_damaged_list_of_lowers_is_named(driver: OverlayDriver, content: str, match: str) -> None:
    fill(driver)
    driver.create("child", "base")
    for layer, word in (("base", "BASE"), ("child", "SELF")):
        content = content.replace(word, (driver.home / layer / "link").read_text())
    (driver.home / "child/lower").write_text(content)
    calls: list[Callable[[], object]] = [
        lambda: driver.changes("child", "base"),
        lambda: driver.get("child"),
        lambda: list(driver.diff("child", "base")),
        lambda: driver.create("grandchild", "child"),
        lambda: driver.clone("child", "copy"),
    ]
    for call in calls:
        with pytest.raises(StoreCorrupt, match=match) as caught:
            call()
        assert caught.value.file == str(driver.home / "child/lower")
    driver.remove("child")
    assert driver.list_layers() == ["base"]


def test_too_many_lowers_are_refused(driver: OverlayDriver) -> None:
    fill(driver)
    driver.create("child", "base")
    (driver.home / "child/lower").write_text(":".join(["l/" + "A" * 26] * 501))
    with pytest.raises(NotSupported, match="501 layers"):
        driver.changes("child", "base")


@pytest.mark.parametrize("content", ["../../etc/passwd", "A" * 27, "a" * 26, "", "A" * 25 + "\n"])
def test_a_damaged_short_name_is_an_error_and_not_followed(driver: OverlayDriver, content: str) -> None:
    fill(driver)
    (driver.home / "base/link").write_text(content)
    with pytest.raises(StoreCorrupt, match="base/link"):
        driver.create("child", "base")
    assert set(driver.paths("base")) == {"diff", "merged", "work"}
    assert len(lines(driver, "base")) == 7
    driver.remove("base")
    assert driver.list_layers() == []


def test_removal_keeps_the_link_of_another_layer(driver: OverlayDriver) -> None:
    fill(driver)
    fill(driver, "other")
    (driver.home / "base/link").write_text((driver.home / "other/link").read_text())
    driver.remove("base")
    assert os.path.realpath(driver.paths("other")["link"]) == str(driver.diff_root("other"))


def test_a_layer_without_its_files_is_damaged(driver: OverlayDriver) -> None:
    fill(driver)
    driver.create("child", "base")
    (driver.home / "child/diff").rename(driver.home / "aside")
    calls: list[Callable[[], object]] = [
        lambda: driver.changes("child", "base"),
        lambda: driver.usage("child"),
        lambda: driver.get("child"),
        lambda: driver.create("grandchild", "child"),
        lambda: driver.apply_diff("child", "base", []),
    ]
    for call in calls:
        with pytest.raises(StoreCorrupt, match="child/diff"):
            call()
    (driver.home / "aside").rename(driver.home / "child/diff")
    (driver.home / "base/diff").rename(driver.home / "aside")
    with pytest.raises(StoreCorrupt, match="child/lower"):
        driver.changes("child", "base")


@pytest.mark.parametrize("foreign", ["base/composefs-data", ".has-mount-program"])
def test_unsupported_formats_are_refused(driver: OverlayDriver, foreign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no fuse-overlayfs
    fill(driver)
    driver.create("child", "base")
    if foreign.startswith("."):
        (driver.home / foreign).write_text("false")
        assert driver.changes("child", "base") == []
    (driver.home / foreign).write_text("true")
    for call in (driver.get, lambda layer: driver.changes(layer, "base")):
        with pytest.raises(NotSupported, match=r"composefs|fuse-overlayfs"):
            call("child")


def test_an_ordinary_user_can_do_everything_but_mount() -> None:
    def work(home: Path) -> Any:
        os.environ["PATH"] = "/nonexistent"  # no fuse-overlayfs
        driver = OverlayDriver(home)
        fill(driver)
        driver.create("child", "base")
        entries = [Entry("ro/new"), Entry("d/.wh.f"), folder("ro", 0o555), Entry("ro/.wh..wh..opq")]
        driver.apply_diff("child", "base", entries)
        opaque = os.getxattr(driver.diff_root("child") / "ro", "user.overlay.opaque")
        found = lines(driver, "child", "base")
        driver.create("sibling", "base")
        driver.apply_diff("sibling", "base", TarReader(driver.diff("child", "base")))
        same = lines(driver, "sibling", "base")
        driver.clone("child", "copy")
        driver.replace("child", "copy")
        compared = lines(driver, "base")
        try:
            driver.get("child")
        except PermissionError as error:
            refusal = str(error)
        inodes = driver.usage("child").inodes
        for layer in driver.list_layers():
            driver.remove(layer)
        return opaque, found, same, compared, refusal, inodes, os.listdir(home / "overlay/l")

    opaque, found, same, compared, refusal, inodes, left = as_nobody(work)
    assert opaque == b"y"
    assert found == same == ["C /d", "D /d/f", "D /ro", "A /ro/new"]
    assert len(compared) == 7
    assert "podman unshare" in refusal
    assert (inodes, left) == (5, [])


def test_a_change_has_size_and_mode(driver: OverlayDriver) -> None:
    fill(driver)
    driver.create("child", "base")
    driver.apply_diff("child", "base", [Entry("new", data=b"12", mode=0o600), Entry(".wh.d"), Entry(".wh.never")])
    found = {change.path: (change.kind, change.size, change.mode) for change in driver.changes("child", "base")}
    assert found == {
        "/d": (ChangeKind.DELETE, 0, stat.S_IFDIR | 0o3775),
        "/never": (ChangeKind.DELETE, None, 0),
        "/new": (ChangeKind.ADD, 2, stat.S_IFREG | 0o600),
    }


def test_the_driver_s_folder_is_bind_mounted_before_the_first_mount(driver: OverlayDriver) -> None:
    """Otherwise Podman would bind-mount it later, and hide our mounts."""
    fill(driver)
    assert not mount.is_mounted(driver.home)
    for _ in range(2):
        merged = driver.get("base")
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            points = [(fields[4], fields[6]) for fields in map(str.split, table)]
        below = [(point, spread) for point, spread in points if point.startswith(str(driver.home))]
        assert below == [(str(driver.home), "-"), (str(merged), "-")], "once each, and neither spreads"
        driver.put("base")
