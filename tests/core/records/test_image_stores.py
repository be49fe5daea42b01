"""Additional image stores: their layers are visible, can be parents, and are never changed."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerstore import (
    DuplicateID,
    LayerStore,
    LayerStoreError,
    LayerUnknown,
    LockTimeout,
    NotSupported,
    StoreReadOnly,
)
from layerstore.drivers.overlay.links import Links
from layerstore.linux.lockfile import LockFile
from support.mounts import unmount_below
from support.needs import need_root
from support.tars import make_tar
from support.trees import as_nobody

BASE = make_tar({"etc": None, "etc/one": b"1", "etc/two": b"22", "bin/sh": b"#!"})
TOP = make_tar({"etc": None, "etc/.wh.two": b"", "etc/three": b"333"})


@pytest.fixture(autouse=True)
def nothing_is_left_mounted(tmp_path: Path) -> Iterator[None]:
    yield
    unmount_below(tmp_path)


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest) -> str:
    if request.param == "overlay":
        need_root()
    return str(request.param)


def open_at(place: Path, driver: str, *image_stores: Path, **options: object) -> LayerStore:
    given = {"additionalimagestores": ",".join(map(str, image_stores))} if image_stores else {}
    opened: dict[str, object] = {"lock_timeout": 1.0, "driver": driver, "options": given, **options}
    return LayerStore.open(place, place.with_name(f"{place.name}-run"), **opened)  # type: ignore[arg-type]


@pytest.fixture
def shared(driver: str, tmp_path: Path) -> Path:
    """Return the graph root of an image store with two layers and an image."""
    store = open_at(tmp_path / "shared", driver)
    store.put(BASE, id="base", names=["the-base"])
    store.put(TOP, id="top", parent="base")
    images = tmp_path / "shared" / f"{driver}-images"
    images.mkdir()
    (images / "images.json").write_text(json.dumps([{"id": "i" * 64, "names": ["localhost/app"], "layer": "top"}]))
    return tmp_path / "shared"


@pytest.fixture
def store(driver: str, tmp_path: Path, shared: Path) -> LayerStore:
    return open_at(tmp_path / "own", driver, shared)


def everything_below(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            status = os.lstat(os.path.join(at, name))
            found[os.path.join(at, name)] = (status.st_mtime_ns, status.st_ino, status.st_mode)
    return found


def names_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_their_layers_are_listed_with_their_image_store(store: LayerStore, shared: Path) -> None:
    store.create(id="mine")
    seen = {layer.id: (layer.read_only, layer.image_store) for layer in store.layers()}
    assert seen == {"mine": (False, ""), "base": (True, str(shared)), "top": (True, str(shared))}
    assert next(iter(store.layers())).id == "mine"
    assert store.get("the-base").id == "base"
    assert store.lookup("to") == "top"
    assert store.problems() == []
    assert store.image_stores == (shared,)
    assert ("Image Store", str(shared)) in store.status()
    assert json.loads(store.record("top"))["parent"] == "base"
    assert [layer.image_store for layer in open_at(shared, store.driver_name).layers()] == ["", ""]


def test_reading_them_changes_nothing(store: LayerStore, shared: Path) -> None:
    before = everything_below(shared)
    assert [change.path for change in store.changes("top")] == ["/etc", "/etc/three", "/etc/two"]
    with store.diff("top") as diff:
        assert diff.readall() == TOP
    assert [change.path for change in store.changes("top", "")] == [
        "/bin",
        "/bin/sh",
        "/etc",
        "/etc/one",
        "/etc/three",
    ]
    assert store.diff_size("top") == 3
    assert store.usage("base").inodes >= 5
    assert {shared in path.parents for path in store.paths("top").values()} == {True}
    assert everything_below(shared) == before


def test_their_images_and_our_containers_use_their_layers(store: LayerStore, tmp_path: Path) -> None:
    store.create(id="mine", parent="top")
    containers = tmp_path / "own" / f"{store.driver_name}-containers"
    containers.mkdir()
    (containers / "containers.json").write_text(json.dumps([{"id": "c" * 64, "names": ["web"], "layer": "mine"}]))
    references = store.references()
    assert references.images("base") == references.top_images("top") == ("localhost/app",)
    assert references.containers("base") == ("web",)
    assert store.dependents("top").children == ("mine",)
    # An image in both stores is taken from the store itself.
    images = tmp_path / "own" / f"{store.driver_name}-images"
    images.mkdir()
    (images / "images.json").write_text(json.dumps([{"id": "i" * 64, "names": ["renamed"], "layer": "top"}]))
    assert store.references().images("base") == ("renamed",)


CHANGES: dict[str, Callable[[LayerStore], object]] = {
    "mount": lambda store: store.mount("top"),
    "unmount": lambda store: store.unmount("top"),
    "delete": lambda store: store.delete("top"),
    "force": lambda store: store.delete("top", force=True),
    "names": lambda store: store.set_names("the-base", ["x"]),
    "metadata": lambda store: store.set_metadata("top", "x"),
    "flag": lambda store: store.set_flag("top", "x", 1),
    "clear": lambda store: store.clear_flag("top", "x"),
    "apply": lambda store: store.apply_diff("top", TOP),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_refused_and_names_the_image_store(store: LayerStore, shared: Path, change: str) -> None:
    before = everything_below(shared)
    with pytest.raises(StoreReadOnly) as caught:
        CHANGES[change](store)
    assert caught.value.path == str(shared)
    assert caught.value.layer in {"top", "base"}
    assert str(shared) in str(caught.value)
    assert everything_below(shared) == before


def test_wiping_and_loading_do_not_change_them(store: LayerStore, shared: Path) -> None:
    open_at(shared, store.driver_name).set_flag("top", "incomplete", True)
    before = everything_below(shared)
    store.create(id="mine", parent="base")
    assert store.load() == []
    assert [problem.kind for problem in store.problems()] == ["incomplete"]
    store.wipe()
    store.save()
    assert [layer.id for layer in store.layers()] == ["base", "top"]
    assert everything_below(shared) == before


def test_a_layer_can_be_created_on_top_of_theirs(store: LayerStore, shared: Path, tmp_path: Path) -> None:
    store.put(make_tar({"etc": None, "etc/.wh.one": b"", "etc/four": b"4444"}), id="mine", parent="top")
    assert [change.path for change in store.changes("mine")] == ["/etc", "/etc/four", "/etc/one"]
    assert store.problems() == []
    path = store.mount("mine")
    try:
        assert names_in(path) == {"bin/sh", "etc/three", "etc/four"}
    finally:
        store.unmount("mine")
    # A layer on top of that has ancestors in both stores.
    store.create(id="over", parent="mine")
    path = store.mount("over")
    try:
        (path / "etc/five").write_bytes(b"55555")
        assert names_in(path) == {"bin/sh", "etc/three", "etc/four", "etc/five"}
    finally:
        store.unmount("over")
    assert [change.path for change in store.changes("over")] == ["/etc", "/etc/five"]
    assert [change.path for change in store.changes("over", "top")] == ["/etc", "/etc/five", "/etc/four", "/etc/one"]
    store.delete("over")
    store.delete("mine")
    assert {layer.id for layer in store.layers()} == {"base", "top"}


def test_ids_are_unique_across_stores_and_our_names_take_precedence(store: LayerStore) -> None:
    with pytest.raises(DuplicateID):
        store.create(id="top")
    store.create(id="mine", names=["the-base"])
    assert store.lookup("the-base") == "mine"
    assert store.get("base").names == ("the-base",)
    store.create(id="topping")
    assert store.lookup("topp") == "topping"
    assert store.lookup("to") == "topping"


def test_the_first_of_several_image_stores_takes_precedence(
    store: LayerStore, shared: Path, driver: str, tmp_path: Path
) -> None:
    other = open_at(tmp_path / "other", driver)
    other.put(make_tar({"other": b"1"}), id="base", names=["others"])
    other.create(id="only")
    both = open_at(tmp_path / "own", driver, shared, tmp_path / "other", shared)
    assert both.image_stores == (shared, tmp_path / "other")
    assert both.get("base").image_store == str(shared)
    assert both.get("only").image_store == str(tmp_path / "other")
    assert [layer.id for layer in both.layers()] == ["base", "top", "only"]
    assert both.problems() == []
    with pytest.raises(LayerUnknown):
        both.get("others")


def test_the_store_itself_is_not_its_image_store(driver: str, tmp_path: Path) -> None:
    open_at(tmp_path / "own", driver).create(id="mine")
    store = open_at(tmp_path / "own", driver, tmp_path / "own", tmp_path / "own" / ".")
    assert store.image_stores == ()
    store.delete("mine")


def test_a_missing_image_store_is_a_problem_and_not_an_error(
    store: LayerStore, shared: Path, driver: str, tmp_path: Path
) -> None:
    store.create(id="mine", parent="top")
    stamp = store.stamp()
    gone = shared.rename(tmp_path / "gone")
    assert store.stamp() != stamp
    assert [layer.id for layer in store.layers()] == ["mine"]
    kinds = {problem.kind: problem for problem in store.problems()}
    assert kinds["image-store"].text == f"image store {shared} cannot be read: the folder is missing"
    assert kinds["image-store"].layer == ""
    assert kinds["no-parent"].layer == "mine"
    fresh = open_at(tmp_path / "own", driver, shared)
    assert [layer.id for layer in fresh.layers()] == ["mine"]
    gone.rename(shared)
    assert [layer.id for layer in store.layers()] == ["mine", "base", "top"]
    assert store.problems() == []


@pytest.mark.parametrize("text", ["[{", '[{"id":5}]', "{}"])
@pytest.mark.parametrize("file", ["{0}-layers/layers.json", "{0}-images/images.json"])
def test_an_invalid_image_store_is_a_problem(store: LayerStore, shared: Path, file: str, text: str) -> None:
    path = shared / file.format(store.driver_name)
    path.write_text(text)
    store.create(id="mine")
    assert "mine" in {layer.id for layer in store.layers()}
    assert store.references().images("top") == (() if "images" in file else ("localhost/app",))
    reports = [problem for problem in store.problems() if problem.kind == "image-store"]
    assert [str(path) in report.text for report in reports] == [True]


def test_a_file_or_a_store_of_another_driver_is_a_problem(driver: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    other = "vfs" if driver == "overlay" else "overlay"
    (tmp_path / "other" / f"{other}-layers").mkdir(parents=True)
    store = open_at(tmp_path / "own", driver, *(tmp_path / name for name in ("empty", "file", "other")))
    store.create(id="mine")
    texts = [problem.text for problem in store.problems()]
    assert len(texts) == 2
    assert texts[0].endswith("file cannot be read: it is not a folder")
    assert texts[1].endswith(f"it has no store of the {driver} driver, only of {other}")


def test_an_inaccessible_image_store_is_a_problem(tmp_path: Path) -> None:
    def work(home: Path) -> tuple[list[str], list[str]]:
        store = open_at(home / "own", "vfs", Path("/root/nothing"), shared)
        store.create(id="mine")
        return [layer.id for layer in store.layers()], [problem.text for problem in store.problems()]

    need_root()
    shared = tmp_path / "shared"
    open_at(shared, "vfs").create(id="base")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    layers, problems = as_nobody(work)
    assert layers == ["mine"]
    assert problems[0].startswith("image store /root/nothing cannot be read: this user may not")
    assert problems[1].startswith(f"image store {shared} cannot be read: ")
    assert "may not" in problems[1]


def test_a_relative_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="slash"):
        LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs", options={"additionalimagestores": "shared"})


def test_a_write_to_an_image_store_is_noticed(store: LayerStore, shared: Path, driver: str) -> None:
    stamp = store.stamp()
    assert store.stamp() == stamp
    open_at(shared, driver).create(id="later", parent="top")
    assert store.stamp() != stamp
    assert "later" in {layer.id for layer in store.layers()}


def test_their_lock_is_held_while_a_diff_is_read(store: LayerStore, shared: Path, driver: str) -> None:
    lock = LockFile(str(shared / f"{driver}-layers" / "layers.lock"), timeout=0.1)
    outcome: list[object] = []

    def write() -> None:
        try:
            with lock.write():
                outcome.append("written")
        except LockTimeout as error:
            outcome.append(error)

    def in_another_thread() -> object:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        return outcome.pop()

    with store.diff("top"):
        assert isinstance(in_another_thread(), LockTimeout)
    assert in_another_thread() == "written"
    with lock.write(), pytest.raises(LockTimeout):
        open_at(store.graph_root, driver, shared, lock_timeout=0.1)


def test_an_image_store_on_a_read_only_file_system(driver: str, tmp_path: Path, shared: Path) -> None:
    need_root()
    (shared / f"{driver}-layers" / "layers.lock").unlink()
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    subprocess.run(["mount", "--bind", shared, mounted], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
        store = open_at(tmp_path / "own", driver, mounted)
        assert [layer.image_store for layer in store.layers()] == [str(mounted)] * 2
        with store.diff("top") as diff:
            assert diff.readall() == TOP
        store.create(id="mine", parent="top")
        path = store.mount("mine")
        assert names_in(path) == {"bin/sh", "etc/one", "etc/three"}
        store.unmount("mine")
        assert store.problems() == []
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_read_only_store_lists_them_too(store: LayerStore, shared: Path, driver: str, tmp_path: Path) -> None:
    store.create(id="mine", parent="top")
    looking = open_at(tmp_path / "own", driver, shared, read_only=True)
    assert [layer.read_only for layer in looking.layers()] == [True, True, True]
    assert [change.path for change in looking.changes("top")] == ["/etc", "/etc/three", "/etc/two"]
    with pytest.raises(StoreReadOnly):
        looking.delete("mine")


def test_a_record_cannot_claim_to_be_in_an_image_store(driver: str, tmp_path: Path) -> None:
    store = open_at(tmp_path / "own", driver)
    store.create(id="mine")
    path = tmp_path / "own" / f"{driver}-layers" / "layers.json"
    records = json.loads(path.read_text())
    records[0]["-image-store"] = "/elsewhere"
    path.write_text(json.dumps(records))
    assert store.get("mine").image_store == ""
    store.delete("mine")


def test_a_lost_link_of_theirs_is_worked_around_and_not_repaired(tmp_path: Path) -> None:
    need_root()
    shared = open_at(tmp_path / "shared", "overlay")
    shared.put(BASE, id="base")
    store = open_at(tmp_path / "own", "overlay", tmp_path / "shared")
    store.create(id="mine", parent="base")
    link = Links(tmp_path / "shared" / "overlay").path("base")
    assert link is not None
    link.unlink()
    before = everything_below(tmp_path / "shared")
    path = store.mount("mine")
    assert names_in(path) == {"bin/sh", "etc/one", "etc/two"}
    store.unmount("mine")
    assert everything_below(tmp_path / "shared") == before
    (tmp_path / "shared" / "overlay" / "base" / "link").unlink()
    with pytest.raises(LayerStoreError, match="link"):
        store.create(id="second", parent="base")


def test_their_tar_split_may_be_in_our_store(store: LayerStore, shared: Path, driver: str, tmp_path: Path) -> None:
    """With the option `imagestore`, containers/storage keeps them below the graph root."""
    theirs = shared / f"{driver}-layers" / "top.tar-split.gz"
    theirs.rename(tmp_path / "own" / f"{driver}-layers" / theirs.name)
    with store.diff("top") as diff:
        assert diff.readall() == TOP
    assert not theirs.exists()


def test_the_files_of_a_layer_come_from_all_stores(store: LayerStore) -> None:
    store.put(make_tar({"etc": None, "etc/four": b"4444"}), id="mine", parent="top")
    names = {path.name for path in store.paths("mine").values()}
    assert names
    report = store.waste("mine")
    assert [layer.layer for layer in report.layers][-1] == "mine"
    assert {entry.path for entry in report.entries} == {"/etc/two"}
