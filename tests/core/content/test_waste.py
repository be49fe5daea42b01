"""Wasted bytes, compared with values computed by hand and with the visible files."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from layerstore import Cancelled, LayerStore, NotSupported
from layerstore.content.chain import folders_of
from layerstore.content.waste import WasteReport, waste
from layerstore.errors import UnusableFile
from layerstore.model import ChangeKind
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.stacks import put_stack
from support.tars import Content, make_tar

ADD, MODIFY, DELETE = ChangeKind.ADD, ChangeKind.MODIFY, ChangeKind.DELETE


def put(store: LayerStore, *layers: dict[str, Content]) -> str:
    """Create a chain of layers l0, l1, ..., each a second later, and return the ID of the top layer."""
    for number, members in enumerate(layers):
        tar = make_tar(members, mtime=1_700_000_000 + number)
        store.put(tar, id=f"l{number}", parent=f"l{number - 1}" if number else None)
    return f"l{len(layers) - 1}"


def told(report: WasteReport) -> list[tuple[str, int, list[tuple[str, ChangeKind, int]]]]:
    return [
        (entry.path, entry.wasted, [(copy.layer, copy.kind, copy.size) for copy in entry.copies])
        for entry in report.entries
    ]


def link(path: str, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(path)
    made.type, made.linkname, made.mtime = tarfile.LNKTYPE, target, 1_700_000_000
    return made


def test_all_copies_but_the_last_are_wasted_and_all_of_a_deleted_file(store: LayerStore) -> None:
    top = put(
        store,
        {"kept": b"1" * 7, "app": b"2" * 100, "gone": b"3" * 40},
        {"app": b"4" * 110, "gone": b"5" * 50},
        {"app": b"6" * 120, ".wh.gone": b""},
    )
    report = store.waste(top)
    assert told(report) == [
        ("/app", 210, [("l0", ADD, 100), ("l1", MODIFY, 110), ("l2", MODIFY, 120)]),
        ("/gone", 90, [("l0", ADD, 40), ("l1", MODIFY, 50), ("l2", DELETE, 0)]),
    ]
    assert (report.total, report.wasted) == (427, 300)
    assert report.efficiency == 1 - 300 / 427
    layers = [(layer.layer, layer.total, layer.wasted, layer.caused) for layer in report.layers]
    assert layers == [("l0", 147, 140, 0), ("l1", 160, 160, 140), ("l2", 120, 0, 160)]
    below = store.waste("l1")
    assert (below.total, below.wasted) == (307, 140)


def test_a_chain_without_waste(store: LayerStore) -> None:
    top = put(store, {"d/a": b"1", "s": "d/a"}, {"d/b": b"2", "s": "d/b", "d/empty": b""}, {"d/empty": b""})
    report = store.waste(top)
    assert (report.entries, report.total, report.wasted, report.efficiency) == ((), 2, 0, 1.0)
    store.create(id="none")
    assert store.waste("none").efficiency == 1.0


def test_a_change_of_mode_copies_the_whole_file(store: LayerStore) -> None:
    """A container changes the mode, and its layer then has the whole file."""
    put(store, {"big": b"1" * 1000})
    store.create(id="top", parent="l0")
    if store.driver_name == "overlay":
        root = store.mount("top")
        os.chmod(root / "big", 0o600)
        store.unmount("top")
    else:
        os.chmod(store.paths("top")["dir"] / "big", 0o600)
    assert told(store.waste("top")) == [("/big", 1000, [("l0", ADD, 1000), ("top", MODIFY, 1000)])]


def test_a_folder_that_is_deleted_counts_file_by_file(store: LayerStore) -> None:
    top = put(
        store,
        {"d/x": b"1" * 10, "d/e/y": b"2" * 20, "o/x": b"3" * 5},
        {"d/x": b"4" * 11},
        {".wh.d": b"", "o": None, "o/.wh..wh..opq": b"", "o/new": b"5"},
        {"d/e/y": b"6" * 3},
    )
    report = store.waste(top)
    assert told(report) == [
        ("/d/x", 21, [("l0", ADD, 10), ("l1", MODIFY, 11), ("l2", DELETE, 0)]),
        ("/d/e/y", 20, [("l0", ADD, 20), ("l2", DELETE, 0), ("l3", ADD, 3)]),
        ("/o/x", 5, [("l0", ADD, 5), ("l2", DELETE, 0)]),
    ]
    assert [layer.caused for layer in report.layers] == [0, 10, 36, 0]


def test_files_folders_and_links_that_replace_each_other(store: LayerStore) -> None:
    top = put(
        store,
        {"a": b"1" * 10, "b/x": b"2" * 20, "c": b"3" * 30, "d/x": b"4" * 40},
        {"a": None, "a/in": b"5", "b": b"6", "c": "a/in"},
        {"a": b"7" * 2, "b": None, "b/x": b"8" * 3, "d": "b"},
    )
    assert told(store.waste(top)) == [
        ("/d/x", 40, [("l0", ADD, 40), ("l2", DELETE, 0)]),
        ("/c", 30, [("l0", ADD, 30), ("l1", MODIFY, 0)]),
        ("/b/x", 20, [("l0", ADD, 20), ("l1", DELETE, 0), ("l2", ADD, 3)]),
        ("/a", 10, [("l0", ADD, 10), ("l1", DELETE, 0), ("l2", ADD, 2)]),
        ("/a/in", 1, [("l1", ADD, 1), ("l2", DELETE, 0)]),
        ("/b", 1, [("l1", ADD, 1), ("l2", DELETE, 0)]),
    ]


def test_hard_links_count_once_and_as_visible_while_one_is(store: LayerStore) -> None:
    names = {"one": b"1" * 100, "two": link("two", "one"), "three": link("three", "one")}
    top = put(store, names, {".wh.one": b""}, {".wh.three": b"", "two": b"2"})
    some, all_of_them = store.waste("l1"), store.waste(top)
    assert (some.total, some.wasted, some.entries) == (100, 0, ())
    assert (all_of_them.total, all_of_them.wasted) == (101, 100)
    assert told(all_of_them) == [("/one", 100, [("l0", ADD, 100), ("l1", DELETE, 0)])]


def shown_bytes(root: Path) -> int:
    """Return the bytes of the visible regular files. Hard links count once."""
    inodes = {}
    for at, _, files in os.walk(root):
        for name in files:
            path = os.path.join(at, name)
            if os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode):
                inodes[os.lstat(path).st_ino] = os.lstat(path).st_size
    return sum(inodes.values())


@pytest.mark.parametrize("seed", range(100, 120))
def test_bytes_that_are_not_wasted_are_visible(store: LayerStore, seed: int) -> None:
    for layer in put_stack(store, seed, layers=6):
        report = store.waste(layer)
        mounted = store.mount(layer)
        assert report.total - report.wasted == shown_bytes(mounted)
        store.unmount(layer)
        assert report.wasted == sum(entry.wasted for entry in report.entries)
        assert report.wasted == sum(one.wasted for one in report.layers) == sum(one.caused for one in report.layers)
        assert report.total == sum(one.total for one in report.layers)
        for entry in report.entries:
            assert entry.wasted <= sum(copy.size for copy in entry.copies)
            kinds = [copy.kind for copy in entry.copies]
            assert kinds[0] is ADD
            assert all((kind is ADD) == (before is DELETE) for before, kind in itertools.pairwise(kinds))


def test_progress_and_cancellation(store: LayerStore) -> None:
    top = put_stack(store, 1)[-1]
    heard: list[int] = []
    report = store.waste(top, progress=lambda done, _: heard.append(done))
    assert heard == sorted(heard)
    assert heard[-1] == report.total > 0
    with pytest.raises(Cancelled):
        store.waste(top, should_stop=lambda: True)


def test_a_deleted_layer_is_an_error(store: LayerStore) -> None:
    top = put(store, {"a": b"1"}, {"b": b"2"})
    with store._backend.reading() as records:
        folders = folders_of(store._backend.driver, records, records.find(top))
    store.delete(top)
    with pytest.raises(UnusableFile, match="deleted meanwhile"):
        waste(*folders)


def test_redirects_are_refused_and_metacopies_are_not(tmp_path: Path) -> None:
    need_root()
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="overlay")
    store.put(make_tar({"data/x": b"1" * 9000, "data/y": b"2" * 10}), id="base")
    store.create(id="top", parent="base")
    overlay, merged = tmp_path / "graph/overlay", tmp_path / "merged"
    merged.mkdir()
    layers = f"lowerdir={overlay}/base/diff,upperdir={overlay}/top/diff,workdir={overlay}/top/work"
    options = f"redirect_dir=on,metacopy=on,{layers}"
    subprocess.run([need_program("mount"), "-t", "overlay", "-o", options, "overlay", merged], check=True)
    try:
        os.chmod(merged / "data/x", 0o600)
        report = store.waste("top")
        assert (report.total, report.wasted) == (9010, 0), "its content is still in the base"
        os.rename(merged / "data", merged / "moved")
        with pytest.raises(NotSupported, match="'/moved' was moved"):
            store.waste("top")
    finally:
        unmount_below(tmp_path)
