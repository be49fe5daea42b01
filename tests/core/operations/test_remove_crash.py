"""Crashes at every step of a deletion or replacement leave the layer complete, or to be removed by the next writer."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from layerstore import Compression, LayerStore
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.tars import make_tar

BASE = make_tar({"etc": None, "etc/keep": b"keep", "etc/gone": b"gone", "bin": None, "bin/tool": b"x" * 9000})
TOP = make_tar({"etc/.wh.gone": b"", "etc/new": b"new", "more": None, "more/deep": None, "more/deep/file": b"f"})
OTHER = make_tar({"etc/other": b"other" * 2000})
STEPS = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
DIED = 77


def writes(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event precedes a change on disk."""
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in STEPS


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in another process that dies right before its n-th change on disk, and return whether it got there.

    As if it were killed, no exception handler or `finally` block runs, and its locks are released.
    """
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if writes(event, arguments):
                left -= 1
                if left == 0:
                    os._exit(DIED)

        try:
            sys.addaudithook(hook)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, DIED}
    return code == DIED


def make(folder: Path, driver: str) -> LayerStore:
    store = LayerStore.open(folder / "graph", folder / "run", driver=driver, lock_timeout=5)
    store.put(BASE, id="a" * 64)
    store.put(TOP, id="b" * 64, parent="a" * 64, names=["top"])
    big = folder / f"graph/{driver}-layers" / ("b" * 64)
    big.mkdir()
    (big / "blob").write_bytes(b"data")
    return store


def exact(store: LayerStore, layer: str) -> bool:
    with store.diff(layer, compression=Compression.NONE) as reader:
        return reader.read() in {BASE, TOP}


def leftovers(folder: Path, driver: str) -> list[str]:
    """Return what is on disk of the upper layer, by ID or link, and what is in the temporary folder for deletions."""
    found = [str(path.relative_to(folder)) for path in (folder / "graph").rglob("*") if path.name.startswith("b" * 64)]
    links = folder / "graph/overlay/l"
    if driver == "overlay":
        found += [link.name for link in links.iterdir() if "b" * 64 in os.readlink(link)]
    tempdirs = folder / "graph" / driver / "tempdirs"
    return found + [path.name for path in (tempdirs.iterdir() if tempdirs.exists() else ())]


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "overlay":
        need_root()
    yield request.param
    unmount_below(tmp_path)


def crashes(tmp_path: Path, driver: str, stride: int = 1) -> Iterator[tuple[Path, LayerStore]]:
    """Yield a store after a deletion that died, for each of its steps, and check the layers before any recovery."""
    step = 1 - stride
    while True:
        step += stride
        folder = tmp_path / str(step)
        store = make(folder, driver)
        if not dies_at(step, partial(store.delete, "b" * 64)):
            assert not leftovers(folder, driver)
            assert step > 8, "a deletion takes more steps than that"
            return
        seen = LayerStore.open(folder / "graph", folder / "run", driver=driver, read_only=True)
        layers = {layer.id: layer for layer in seen.layers()}
        assert exact(seen, "a" * 64)
        if "b" * 64 in layers and not layers["b" * 64].incomplete:
            assert exact(seen, "b" * 64), "a layer without the flag is complete"
            assert [change.path for change in seen.changes("b" * 64)]
        yield folder, store


def test_loading_finishes_a_deletion_that_died(tmp_path: Path, driver: str) -> None:
    whole = []
    for folder, store in crashes(tmp_path, driver):
        store.load()
        whole.append(store.exists("b" * 64))
        if whole[-1]:
            assert exact(store, "b" * 64)
            assert not (folder / "graph" / driver / "tempdirs").exists()
            store.delete("b" * 64)
        assert not leftovers(folder, driver)
        assert [layer.id for layer in store.layers()] == ["a" * 64]
        assert exact(store, "a" * 64)
        store.put(TOP, id="b" * 64, parent="a" * 64)
        assert exact(store, "b" * 64), "the ID can be reused"
    assert whole == sorted(whole, reverse=True), "once the flag is set, the layer is removed"
    assert {True, False} == set(whole)


def test_containers_storage_finishes_a_deletion_that_died(tmp_path: Path, driver: str) -> None:
    need_root()
    program = need_program("containers-storage")
    for folder, store in crashes(tmp_path, driver, 2):
        peer = [program, "-g", folder / "graph", "-R", folder / "run", "-s", driver]
        subprocess.run([*peer, "create-layer", "-i", "c" * 64, "a" * 64], capture_output=True, check=True, timeout=60)
        incomplete = [layer.id for layer in store.layers() if layer.incomplete]
        assert incomplete == [], "containers-storage removed it when it loaded the store for writing"
        listed = subprocess.run([*peer, "layers", "-j"], capture_output=True, check=True, text=True, timeout=60).stdout
        assert ("b" * 64 in listed) == store.exists("b" * 64)
        if store.exists("b" * 64):
            assert exact(store, "b" * 64)
            diff = subprocess.run([*peer, "diff", "-u", "b" * 64], capture_output=True, check=True, timeout=60).stdout
            assert hashlib.sha256(diff).digest() == hashlib.sha256(TOP).digest()
            store.delete("b" * 64)
        store.load()
        assert not leftovers(folder, driver), "temporary files, which older versions leave behind"
        unmount_below(folder)


def replacements(tmp_path: Path, driver: str) -> Iterator[tuple[Path, LayerStore]]:
    """Yield a store after replacing `TOP` with `OTHER` died, for each of its steps, and at last after it succeeded."""
    for step in range(1, 200):
        folder = tmp_path / str(step)
        store = make(folder, driver)
        died = dies_at(step, partial(store.apply_diff, "b" * 64, OTHER))
        yield folder, store
        if not died:
            return


def names_on_disk(folder: Path, driver: str) -> set[str]:
    """Return the IDs that name a folder of files or a tar-split."""
    home = folder / "graph" / (driver if driver == "overlay" else f"{driver}/dir")
    files = {path.name for path in home.iterdir()} - {"l", "tempdirs"}
    splits = (folder / f"graph/{driver}-layers").glob("*.tar-split.gz")
    return files | {path.name.removesuffix(".tar-split.gz") for path in splits}


def upper(store: LayerStore) -> bytes:
    """Return the diff of the upper layer."""
    with store.diff("b" * 64, compression=Compression.NONE) as reader:
        return reader.read()


def test_content_is_replaced_completely_or_not_at_all(tmp_path: Path, driver: str) -> None:
    contents = []
    for folder, store in replacements(tmp_path, driver):
        store.load()
        assert sorted(layer.id for layer in store.layers()) == ["a" * 64, "b" * 64]
        assert names_on_disk(folder, driver) == {"a" * 64, "b" * 64}, "the copy is gone"
        contents.append(upper(store))
        paths = {change.path for change in store.changes("b" * 64)}
        assert ("/etc/other" in paths) == (contents[-1] == OTHER)
    assert contents[-1] == OTHER
    assert set(contents) == {TOP, OTHER}
    assert contents == sorted(contents, key=lambda content: content == OTHER), "first the old content, then the new one"


def test_the_old_content_survives_containers_storage(tmp_path: Path, driver: str) -> None:
    """containers-storage removes incomplete layers, but does not know about an exchange in progress."""
    need_root()
    program = need_program("containers-storage")
    contents = []
    for folder, store in replacements(tmp_path, driver):
        peer = [program, "-g", folder / "graph", "-R", folder / "run", "-s", driver]
        subprocess.run([*peer, "create-layer", "-i", "c" * 64, "a" * 64], capture_output=True, check=True, timeout=60)
        store.load()
        assert sorted(layer.id for layer in store.layers()) == ["a" * 64, "b" * 64, "c" * 64]
        contents.append(upper(store))
        unmount_below(folder)
    assert set(contents) == {TOP, OTHER}
    assert contents == sorted(contents, key=lambda content: content == OTHER)


def test_old_temporary_files_are_deleted(tmp_path: Path, driver: str) -> None:
    make(tmp_path, driver)
    old, fresh = (tmp_path / f"graph/{driver}-layers" / name for name in (".tmp-layers.json1", ".tmp-layers.json2"))
    for path in (old, fresh):
        path.write_bytes(b"[")
    os.utime(old, (0, 0))
    LayerStore.open(tmp_path / "graph", tmp_path / "run", driver=driver).set_names("b" * 64, ["x"])
    assert (old.exists(), fresh.exists()) == (False, True)


def test_temporary_files_are_looked_for_only_when_one_can_be_old(tmp_path: Path) -> None:
    """With many layers, looking on every write would take longer than the write."""
    make(tmp_path, "vfs")
    almost, later = (tmp_path / "graph/vfs-layers" / name for name in (".tmp-layers.json1", ".tmp-layers.json2"))
    almost.write_bytes(b"[")
    os.utime(almost, (0, time.time() - 3599))
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="vfs")
    store.set_names("b" * 64, ["x"])
    later.write_bytes(b"[")
    os.utime(later, (0, 0))  # no new file is that old
    store.set_names("b" * 64, ["y"])
    assert (almost.exists(), later.exists()) == (True, True)
    time.sleep(max(0.0, almost.stat().st_mtime + 3600.1 - time.time()))
    store.set_names("b" * 64, ["z"])
    assert (almost.exists(), later.exists()) == (False, False)


PEERS = ("temp-dir-123", "temp-dir-lockless", "lock-456")


def test_temporary_folders_of_containers_storage_are_deleted(tmp_path: Path, driver: str) -> None:
    """containers/storage 1.59 uses the same folders as `drivers.staging` (internal/tempdir), with or without locks.

    That version is not available everywhere, so the test writes what it leaves when it is killed: `lock-X`, which is
    created first, and `temp-dir-X` with `0-ID`, `1-LINK` and, for a new layer, `0-addition`. Files from the folder of
    records are moved to `tmp` in it.
    """
    store = make(tmp_path, driver)
    tempdirs = tmp_path / "graph" / driver / "tempdirs"
    tempdirs.mkdir(mode=0o700)
    (tempdirs / "lock-123").touch()
    (tempdirs / "lock-456").touch()
    for name in ("temp-dir-123/0-addition/diff", "temp-dir-123/1-" + "d" * 64, "temp-dir-lockless/0-" + "e" * 64):
        (tempdirs / name).mkdir(parents=True)
        (tempdirs / name / "file").write_bytes(b"x")
    assert {path.name for path in tempdirs.iterdir()} >= set(PEERS)
    records = tmp_path / f"graph/{driver}-layers/tmp"
    (records / "temp-dir-9").mkdir(parents=True)
    (records / "temp-dir-9" / f"0-{'d' * 64}.tar-split.gz").write_bytes(b"x")
    (records / "lock-9").touch()
    assert sorted(layer.id for layer in store.layers()) == ["a" * 64, "b" * 64]
    store.load()
    assert not tempdirs.exists() or not list(tempdirs.iterdir())
    assert not list(records.iterdir())
    assert exact(store, "b" * 64)


def test_the_tempdirs_folder_is_kept_if_containers_storage_uses_it(tmp_path: Path, driver: str) -> None:
    store = make(tmp_path, driver)
    tempdirs = tmp_path / "graph" / driver / "tempdirs"
    (tmp_path / f"graph/{driver}-layers/tmp").mkdir()
    store.delete("b" * 64)
    assert list(tempdirs.iterdir()) == []
    store.load()
    assert tempdirs.is_dir()
