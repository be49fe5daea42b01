"""The vfs driver: complete copies, atomic removals, and exchange with containers/storage."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest

from layerstore.drivers import copytree
from layerstore.drivers import staging as tempdirs
from layerstore.drivers.copytree import copy_tree
from layerstore.drivers.vfs import VfsDriver
from layerstore.errors import Cancelled
from support.needs import need_root
from support.trees import MTIME, Entry, Peer, as_nobody, folder, hard_link, make_tree, picture, symlink


@pytest.fixture
def driver(tmp_path: Path) -> VfsDriver:
    return VfsDriver(tmp_path)


def fill(driver: VfsDriver, layer: str = "base") -> Path:
    driver.create(layer, "")
    entries = [
        folder(".", 0o751, mtime_ns=MTIME + 1),
        folder("d", 0o3775, mtime_ns=3),
        Entry("d/f", data=b"x" * 5000, mode=0o4755, mtime_ns=-1, xattrs={b"user.a": b"1"}),
        hard_link("d/g", "d/f", mode=0o4755, mtime_ns=-1),
        symlink("d/l", "/etc", mtime_ns=MTIME + 9),
        Entry("fifo", "6", mode=0o640),
        folder("ro", 0o555),
        Entry("ro/f", mode=0o400),
    ]
    driver.apply_diff(layer, "", entries)
    return driver.get(layer)


def test_a_base_layer_is_empty_and_has_the_mode_of_containers_storage(driver: VfsDriver, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        driver.create("one", "")
    finally:
        os.umask(before)
    root = driver.get("one")
    assert root == tmp_path / "vfs/dir/one"
    assert list(root.iterdir()) == []
    assert stat.S_IMODE(root.stat().st_mode) == 0o555
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


def test_a_child_is_an_exact_copy(driver: VfsDriver) -> None:
    need_root()
    root = fill(driver)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "sock", stat.S_IFSOCK | 0o600)
    os.chown(root / "d/f", 12, 34)
    (root / "d/f").chmod(0o6755)
    os.chown(root / "d/l", 5, 6, follow_symlinks=False)
    os.chown(root, 7, 8)
    os.setxattr(root / "d", "trusted.x", b"y")
    os.utime(root, ns=(1, MTIME + 1))
    driver.create("child", "base")
    assert driver.get("child").lstat().st_atime_ns == 1
    assert picture(driver.get("child")) == picture(root)
    assert driver.changes("child", "base") == []


def test_sparse_files_stay_sparse(driver: VfsDriver) -> None:
    driver.create("base", "")
    size = 64 << 20
    driver.get("base").chmod(0o755)
    path = driver.get("base") / "sparse"
    with path.open("wb") as file:
        file.seek(10 << 20)
        file.write(b"data" * 1000)
        file.truncate(size)
    driver.create("child", "base")
    copied = driver.get("child") / "sparse"
    assert copied.stat().st_size == size
    assert copied.stat().st_blocks <= path.stat().st_blocks + 16
    assert copied.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("call", ["clone", "range", "none"])
def test_large_files_are_copied_whatever_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def cannot(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EOPNOTSUPP, "cannot")

    monkeypatch.setattr(fcntl, "ioctl", cannot)
    if call == "none":
        monkeypatch.setattr(os, "copy_file_range", cannot)
    if call == "clone":
        monkeypatch.setattr(fcntl, "ioctl", lambda to, _, from_: os.sendfile(to, from_, 0, 1 << 30))
    data = os.urandom(3 << 20)
    make_tree(tmp_path / "a", {"large": data, "small": b"1"})
    (tmp_path / "b").mkdir()
    copy_tree(tmp_path / "a", tmp_path / "b")
    assert picture(tmp_path / "a") == picture(tmp_path / "b")


@pytest.mark.parametrize("fault", ["stop", "full", "interrupt"])
def test_a_failure_leaves_nothing_of_the_layer(driver: VfsDriver, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    fill(driver)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        if fault == "interrupt" and calls == 5:
            raise KeyboardInterrupt
        return fault == "stop" and calls == 5

    expected: dict[str, type[BaseException]] = {"stop": Cancelled, "full": OSError, "interrupt": KeyboardInterrupt}
    if fault == "full":

        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "write", full)
    with pytest.raises(expected[fault]) as caught:
        driver.create("child", "base", should_stop=stop)
    if fault == "full":
        assert isinstance(caught.value, OSError)
        assert str(caught.value.filename).endswith("d/f")
    assert driver.list_layers() == ["base"]


def test_a_staging_folder_holds_its_lock_against_the_peer(tmp_path: Path) -> None:
    with tempdirs.staging_folder(tmp_path) as staging:
        lock = next(path for path in tmp_path.iterdir() if path.name.startswith("lock-"))
        assert staging.name == f"temp-dir-{lock.name.removeprefix('lock-')}"
        with lock.open("r+") as file:
            request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, request)
        assert struct.unpack("hhqqi", answer)[0] == fcntl.F_WRLCK


def test_a_lock_on_a_deleted_file_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fcntl.fcntl
    seen: list[str] = []

    def recovered_at_once(descriptor: int, command: int, request: bytes) -> Any:
        answer = whole(descriptor, command, request)
        if not seen:
            seen.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            os.unlink(seen[0])
        return answer

    monkeypatch.setattr(fcntl, "fcntl", recovered_at_once)
    with tempdirs.staging_folder(tmp_path) as staging:
        assert sorted(os.listdir(tmp_path)) == [f"lock-{staging.name.removeprefix('temp-dir-')}", staging.name]
    assert os.listdir(tmp_path) == []


def test_facts_for_people(driver: VfsDriver, tmp_path: Path) -> None:
    fill(driver)
    assert ("Layers", "1") in driver.status()
    assert driver.paths("base") == {"dir": tmp_path / "vfs/dir/base"}


def test_an_ordinary_user_creates_changes_and_removes_layers() -> None:
    def work(home: Path) -> Any:
        driver = VfsDriver(home)
        root = fill(driver)
        driver.apply_diff("base", "", [folder("none", 0), Entry("none/f", data=b"1", mode=0)])
        driver.create("child", "base")
        same = driver.changes("child", "base")
        modes = stat.filemode((driver.get("child") / "none").stat().st_mode), stat.filemode(root.stat().st_mode)
        driver.apply_diff("child", "base", [Entry("ro/new"), Entry(".wh.d"), folder(".", 0o555)])
        changed = [change.path for change in driver.changes("child", "base")]
        inodes = driver.usage("child").inodes
        driver.replace("base", "child")
        driver.remove("base")
        driver.remove("child")
        return same, modes, changed, inodes, driver.list_layers(), os.listdir(driver.home / "tempdirs")

    same, modes, changed, inodes, layers, left = as_nobody(work)
    assert same == []
    assert modes == ("d---------", "drwxr-x--x")
    assert changed == ["/d", "/ro", "/ro/new"]
    assert inodes == 7
    assert (layers, left) == ([], [])


def test_a_copy_by_an_ordinary_user_skips_devices() -> None:
    need_root()
    with tempfile.TemporaryDirectory() as folder:  # only root may enter pytest's folders
        source = Path(folder)
        source.chmod(0o755)
        os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

        def work(home: Path) -> list[str]:
            (home / "copy").mkdir()
            copy_tree(source, home / "copy")
            return os.listdir(home / "copy")

        assert as_nobody(work) == []


def test_containers_storage_reads_what_we_create(tmp_path: Path) -> None:
    """containers/storage creates two layers, and finds the same differences after ours replaces the child."""
    peer = Peer(tmp_path)
    base, files = peer.create()
    make_tree(files, {"d/f": b"1", "d/g": b"2", "l": "d"})
    layer, theirs = peer.create(base)
    driver = VfsDriver(peer.graph)
    assert set(driver.list_layers()) == {base, layer}
    driver.remove(layer)
    driver.create(layer, base)
    assert driver.get(layer) == theirs
    assert peer.changes(layer) == []
    driver.apply_diff(layer, base, [Entry("d/.wh.f"), Entry("new")])
    assert peer.changes(layer) == ['Add "/new"', 'Delete "/d/f"', 'Modify "/d"']
    peer.run("delete-layer", layer)
    assert driver.list_layers() == [base]


def test_containers_storage_creates_the_same_child(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    base, _ = peer.create()
    driver = VfsDriver(peer.graph)
    driver.apply_diff(
        base,
        "",
        [folder(".", 0o700), folder("d", 0o1777, mtime_ns=7), Entry("d/f", data=b"1", uid=3), symlink("l", "d")],
    )
    _, theirs = peer.create(base)
    driver.create("ours", base)
    assert picture(driver.get("ours")) == picture(theirs)


def test_a_file_that_shrinks_while_it_is_copied_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "a", {"f": bytes(1 << 20)})
    (tmp_path / "b").mkdir()
    whole = copytree.open_regular

    def shrink(*arguments: Any, **keywords: Any) -> int:
        os.truncate(tmp_path / "a/f", 1000)
        return whole(*arguments, **keywords)

    monkeypatch.setattr(fcntl, "ioctl", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOTTY, "no")))
    monkeypatch.setattr(copytree, "open_regular", shrink)
    with pytest.raises(OSError, match="shrank") as caught:
        copy_tree(tmp_path / "a", tmp_path / "b")
    assert caught.value.filename == "f"
