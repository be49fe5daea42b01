"""A layer's files without a mount are those of the kernel's mount of the same layers."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore
from layerstore.content.files import FileKind, LayerFiles
from layerstore.content.waste import waste
from layerstore.drivers.base import Stack
from layerstore.drivers.overlay.whiteouts import marks_of
from layerstore.model import ChangeKind
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.stacks import put_stack
from support.tars import make_tar
from support.trees import make_tree, picture

SEEDS = range(12)


@pytest.fixture
def store(tmp_path: Path, driver: str) -> Iterator[LayerStore]:
    need_root()
    yield LayerStore.open(tmp_path / "graph", tmp_path / "run", driver=driver, lock_timeout=5)
    unmount_below(tmp_path)


def seen(files: LayerFiles) -> dict[str, tuple[object, ...]]:
    """Return all files of a layer with their attributes, without a mount."""
    found: dict[str, tuple[object, ...]] = {}
    for entry in files.walk():
        content = files.read(entry.path, 0, 1 << 20) if entry.kind is FileKind.FILE else b""
        device = os.makedev(*entry.device) if entry.device is not None else 0
        facts = (stat.filemode(entry.mode), entry.uid, entry.gid, entry.size, entry.mtime_ns, entry.target, device)
        found[entry.path] = (*facts, content)
        assert files.stat(entry.path).mtime_ns == entry.mtime_ns
    return found


def shown(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the same for the kernel's mount."""
    found: dict[str, tuple[object, ...]] = {}
    for at, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(at, name)
            if not os.path.lexists(path):  # the kernel lists a whiteout that hides nothing
                continue
            status = os.lstat(path)
            is_link, is_file = stat.S_ISLNK(status.st_mode), stat.S_ISREG(status.st_mode)
            found["/" + os.path.relpath(path, root)] = (
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_size if is_link or is_file else 0,
                status.st_mtime_ns,
                os.readlink(path) if is_link else None,
                status.st_rdev,
                Path(path).read_bytes() if is_file else b"",
            )
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_files_are_those_of_the_kernel_s_mount(store: LayerStore, seed: int) -> None:
    for layer in put_stack(store, seed):
        mounted = store.mount(layer)
        assert seen(store.files(layer)) == shown(mounted)
        store.unmount(layer)


@pytest.mark.parametrize("seed", SEEDS)
def test_extraction_gives_what_cp_copies_from_the_mount(store: LayerStore, seed: int, tmp_path: Path) -> None:
    top = put_stack(store, seed)[-1]
    mounted = store.mount(top)
    # cp complains about whiteouts that hide nothing: they are listed but do not exist.
    subprocess.run([need_program("cp"), "-a", mounted, tmp_path / "truth"], check=False, capture_output=True)
    done = store.extract(top, "/", tmp_path / "ours")
    store.unmount(top)
    truth = picture(tmp_path / "truth")
    assert picture(tmp_path / "ours") == truth
    assert done.skipped == []
    assert done.files + done.folders == len(truth)
    store.extract_tar(top, "/", tmp_path / "ours.tar")
    (tmp_path / "unpacked").mkdir()
    tar = [need_program("tar"), "-C", tmp_path / "unpacked", "--xattrs", "--xattrs-include=*", "-xpf"]
    subprocess.run([*tar, tmp_path / "ours.tar"], check=True)
    truth.pop(".")
    unpacked = picture(tmp_path / "unpacked")
    unpacked.pop(".")
    assert unpacked == truth


def test_files_of_a_real_distribution(store: LayerStore, tmp_path: Path) -> None:
    """The folders of this host's /etc have the names, modes and links of a distribution."""
    tar = subprocess.run([need_program("tar"), "-C", "/", "-cf", "-", "etc"], capture_output=True, check=False).stdout
    base, _ = store.put(tar)
    top, _ = store.put(make_tar({"etc/.wh.hostname": b"", "etc/new": b"1"}), parent=base.id)
    mounted = store.mount(top.id)
    files = store.files(top.id)
    assert seen(files) == shown(mounted)
    assert "/etc/passwd" in [entry.path for entry in files.search("PASSW")]
    store.extract(top.id, "/etc", tmp_path / "etc")
    assert picture(tmp_path / "etc") == picture(mounted / "etc")
    store.unmount(top.id)


def test_moved_folders_and_copied_metadata(tmp_path: Path) -> None:
    """An overlay with redirect_dir and metacopy, as on Fedora, leaves these in layers."""
    need_root()
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="overlay")
    store.put(make_tar({"data/deep/x": b"1" * 9000, "data/y": b"2" * 5000, "other/z": b"3"}), id="base")
    store.put(make_tar({"data/deep/more": b"4", "data/big": b"5" * 7000}), id="middle", parent="base")
    store.create(id="top", parent="middle")
    overlay, merged = tmp_path / "graph/overlay", tmp_path / "merged"
    merged.mkdir()
    lower = f"{overlay}/middle/diff:{overlay}/base/diff"
    options = f"redirect_dir=on,metacopy=on,lowerdir={lower},upperdir={overlay}/top/diff,workdir={overlay}/top/work"
    subprocess.run([need_program("mount"), "-t", "overlay", "-o", options, "overlay", merged], check=True)
    try:
        os.rename(merged / "data/deep", merged / "data/renamed")
        os.rename(merged / "data/renamed", merged / "moved")
        os.rename(merged / "other", merged / "else")
        os.chmod(merged / "data/big", 0o600)
        os.chmod(merged / "data/y", 0o640)
        os.rename(merged / "data/y", merged / "else/why")
        (merged / "moved/fresh").write_bytes(b"6")
        files = store.files("top")
        truth = shown(merged)
        assert seen(files) == truth
        assert truth["/moved/x"][-1] == b"1" * 9000
        assert truth["/else/why"][-1] == b"2" * 5000
        store.extract("top", "/", tmp_path / "ours")
        shutil.copytree(merged, tmp_path / "truth", symlinks=True)
        assert picture(tmp_path / "ours") == picture(tmp_path / "truth")
    finally:
        unmount_below(tmp_path)


def test_marks_of_fuse_overlayfs(tmp_path: Path) -> None:
    """It writes files called `.wh.…` in addition to, or instead of, the kernel's whiteouts."""
    need_root()
    program = need_program("fuse-overlayfs")
    layers = [tmp_path / name for name in ("top", "base")]
    for folder in (*layers, tmp_path / "work", tmp_path / "merged"):
        folder.mkdir()
    make_tree(layers[1], {"d/x": b"12345", "d/y": b"2", "a": b"333", "e/z": b"4", "kept": b"5", "f/in": b"66"})
    (layers[0] / ".wh.kept").touch()  # as if it may not create devices
    (layers[0] / "f").mkdir()
    (layers[0] / "f/.wh.in").touch()
    merged = tmp_path / "merged"
    options = f"lowerdir={layers[1]},upperdir={layers[0]},workdir={tmp_path / 'work'}"
    mount = [program, "-o", options, merged]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        (merged / "a").unlink()
        shutil.rmtree(merged / "d")
        (merged / "d").mkdir()
        (merged / "d/x").write_bytes(b"new")
        shutil.move(merged / "e", merged / "g")
        # The kernel may have cached times from before the write; a new mount reads those on disk.
        unmount_below(tmp_path)
        subprocess.run(mount, check=True, capture_output=True)
        stack = Stack(tuple((path.name, str(path)) for path in layers), marks_of(layers[0], fuse=True))
        files = LayerFiles(stack)
        truth = shown(merged)
        assert sorted(truth) == ["/d", "/d/x", "/f", "/g", "/g/z"]
        assert seen(files) == truth
        told = [(found.layer, found.kind) for found in files.occurrences("/d/y")]
        assert told == [("base", ChangeKind.ADD), ("top", ChangeKind.DELETE)]
        wasted = {entry.path: entry.wasted for entry in waste(stack).entries}
        assert wasted == {"/d/x": 5, "/d/y": 1, "/a": 3, "/e/z": 1, "/kept": 1, "/f/in": 2}
    finally:
        unmount_below(tmp_path)
