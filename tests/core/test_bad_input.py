"""Damaged stores, full disks and missing permissions: each raises a clear error and changes nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import DuplicateID, LayerStore, LayerStoreError, ParentUnknown, StoreAccess, StoreCorrupt, UnusableID
from support.mounts import unmount_below
from support.needs import need_root
from support.tars import make_tar
from support.trees import as_nobody

BIG = make_tar({f"file{number}": os.urandom(1 << 16) for number in range(64)})
SMALL = make_tar({"a": b"a"})


def picture(root: Path) -> dict[str, bytes]:
    """Return the content of every file of a store except its locks."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_layers_with_the_same_id_are_reported_and_not_edited(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(id="other")
    path = tmp_path / "g/vfs-layers/layers.json"
    text = '[{"id":"twin","metadata":"first"},{"id":"twin","metadata":"second"},{"id":"other"}]'
    path.write_text(text)
    assert [problem.kind for problem in store.problems()] == ["duplicate"]
    assert store.metadata("twin") == "first"
    with pytest.raises(StoreCorrupt, match="twin"):
        store.set_metadata("twin", "x")
    assert path.read_text() == text
    store.set_metadata("other", "y")
    assert [record.get("metadata") for record in json.loads(path.read_text())] == ["first", "second", "y"]


def test_files_of_a_duplicate_id_are_kept_if_one_record_is_incomplete(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="twin")
    store.create(id="other")
    path = tmp_path / "g/vfs-layers/layers.json"
    path.write_text('[{"id":"twin","flags":{"incomplete":true}},' + path.read_text()[1:])
    before = picture(tmp_path / "g/vfs")
    store.set_metadata("other", "y")
    assert store.load() == []
    assert picture(tmp_path / "g/vfs") == before
    assert path.read_text().count("twin") == 2


def test_a_name_lost_by_a_duplicate_id_does_not_block_writes(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(id="other")
    path = tmp_path / "g/vfs-layers/layers.json"
    path.write_text('[{"id":"twin","names":["n"]},{"id":"twin"},{"id":"other","names":["n"]}]')
    store.set_metadata("other", "y")
    assert store.lookup("n") == "other"
    assert [record.get("metadata") for record in json.loads(path.read_text())] == [None, None, "y"]


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
@pytest.mark.parametrize("left", ["files", "tar-split", "blobs"])
def test_a_new_layer_does_not_take_over_files_without_a_record(tmp_path: Path, driver: str, left: str) -> None:
    if driver == "overlay":
        need_root()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver=driver)
    store.put(SMALL, id="lost")
    layers = tmp_path / f"g/{driver}-layers"
    if left == "files":
        (layers / "layers.json").write_text("[]")
    else:
        store.delete("lost")
        (layers / "lost").mkdir()
        (layers / "lost/blob").write_bytes(b"data")
        if left == "tar-split":
            (layers / "lost/blob").rename(layers / "lost.tar-split.gz")
            (layers / "lost").rmdir()
    before = picture(tmp_path / "g")
    for make in (lambda: store.create(id="lost"), lambda: store.put(SMALL, id="lost")):
        with pytest.raises(DuplicateID, match="without a record") as caught:
            make()
        assert os.path.lexists(caught.value.path)
        assert picture(tmp_path / "g") == before


def test_an_incomplete_layer_that_cannot_be_removed_does_not_block_writes(tmp_path: Path) -> None:
    need_root()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="overlay")
    store.put(SMALL, id="busy")
    store.create(id="other")
    store.mount("busy")
    try:
        path = tmp_path / "g/overlay-layers/layers.json"
        records = json.loads(path.read_text())
        records[0]["flags"] = {"incomplete": True}
        path.write_text(json.dumps(records))
        store.set_metadata("other", "y")
        store.delete("other")
        assert [layer.id for layer in store.layers()] == ["busy"]
        store.unmount("busy")
        assert store.load() == ["busy"]
    finally:
        unmount_below(tmp_path)


def test_an_incomplete_layer_with_an_invalid_id_is_removed(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    victim = tmp_path / "g/victim.tar-split.gz"
    store.create(id="other")
    victim.write_bytes(b"keep")
    path = tmp_path / "g/vfs-layers/layers.json"
    path.write_text('[{"id":"../victim","flags":{"incomplete":true}},' + path.read_text()[1:])
    store.set_metadata("other", "y")
    assert [layer.id for layer in store.layers()] == ["other"]
    assert victim.read_bytes() == b"keep"


def test_calls_return_if_parents_form_a_circle(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    (tmp_path / "g/vfs-layers/layers.json").write_text('[{"id":"a","parent":"b"},{"id":"b","parent":"a"}]')
    (tmp_path / "g/vfs-images").mkdir()
    (tmp_path / "g/vfs-images/images.json").write_text('[{"id":"i","layer":"a"}]')
    assert {problem.kind for problem in store.problems()} == {"circle"}
    assert store.references().images("b") == ("i",)
    with pytest.raises(LayerStoreError, match="in use"):
        store.delete("a", force=True)


def test_ids_that_are_paths_are_refused(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    victim = tmp_path / "g/victim.tar-split.gz"
    victim.write_bytes(b"keep")
    (tmp_path / "g/vfs-layers/layers.json").write_text('[{"id":"../victim"},{"id":"/etc"},{"id":".."}]')
    for layer in ("../victim", "/etc", ".."):
        for call in (store.delete, store.changes, store.usage, store.mount, store.paths, store.diff):
            with pytest.raises(UnusableID):
                call(layer)
    assert victim.read_bytes() == b"keep"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    need_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    store = LayerStore.open(small_disk / "g", small_disk / "r", driver="vfs")
    store.put(SMALL, id="small")
    before = picture(small_disk)
    for call in (lambda: store.put(BIG, parent="small"), lambda: store.apply_diff("small", BIG)):
        with pytest.raises(OSError, match="No space left") as caught:
            call()
        assert caught.value.errno == errno.ENOSPC
        assert picture(small_disk) == before
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(4 << 20))
    with pytest.raises(OSError, match=r"No space left on device: '.*layers.json'$"):
        store.set_metadata("small", "m" * 100_000)
    filler.unlink()
    assert picture(small_disk) == before
    store.delete("small")


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_disk_without_free_inodes_loses_nothing_and_allows_deletions(tmp_path: Path, driver: str) -> None:
    """A deletion moves files to a temporary folder first, which cannot be created here either."""
    need_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=150", "none", str(disk)], check=True)
    try:
        store = LayerStore.open(disk / "g", disk / "r", driver=driver)
        store.put(SMALL, id="small")
        before = picture(disk)
        many = make_tar({f"file{number}": b"" for number in range(300)})
        with pytest.raises(OSError, match=r"No space left on device: 'file\d+'$"):
            store.put(many, id="big", parent="small")
        assert picture(disk) == before
        store.delete("small")
        assert store.layers() == []
    finally:
        unmount_below(disk)
        subprocess.run(["umount", str(disk)], check=True)


def test_the_record_file_keeps_its_owner(tmp_path: Path) -> None:
    need_root()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(id="a")
    path = tmp_path / "g/vfs-layers/layers.json"
    os.chown(path, 65534, 65533)
    store.set_metadata("a", "x")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)


def test_a_store_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    need_root()
    LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs").create(id="a")

    def work(_: Path) -> str:
        try:
            LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs", create=False)
        except StoreAccess as error:
            return str(error)
        return "opened"

    said = as_nobody(work)
    assert str(tmp_path / "g") in said
    assert "sudo" in said


def test_a_read_only_folder_can_be_read_and_refuses_changes() -> None:
    need_root()

    def work(home: Path) -> list[str]:
        LayerStore.open(home / "g", home / "r", driver="vfs").put(SMALL, id="a")
        frozen = [home / "g", *(path for path in (home / "g").rglob("*") if path.is_dir())]
        for path in frozen:
            path.chmod(0o555)
        for path in (home / "g/vfs-layers").iterdir():
            path.chmod(0o444)
        before = picture(home / "g")
        look = LayerStore.open(home / "g", home / "r", driver="vfs", read_only=True)
        with look.diff("a") as reader:
            said = [str(reader.read() == SMALL)]
        store = LayerStore.open(home / "g", home / "r", driver="vfs")
        for call in (lambda: store.set_metadata("a", "x"), lambda: store.put(SMALL), lambda: store.delete("a")):
            try:
                call()
            except (LayerStoreError, PermissionError) as error:
                said.append(str(error))
        said.append(str(picture(home / "g") == before))
        for path in frozen:
            path.chmod(0o755)
        return said

    said = as_nobody(work)
    assert said[0] == said[-1] == "True"
    assert len(said) == 5
    assert all("vfs-layers" in text for text in said[1:-1])


def test_a_parent_missing_on_disk_is_named(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="a")
    (tmp_path / "g/vfs/dir/a").chmod(0o755)
    (tmp_path / "g/vfs/dir/a/a").unlink()
    (tmp_path / "g/vfs/dir/a").rmdir()
    before = picture(tmp_path / "g")
    with pytest.raises(FileNotFoundError, match="vfs/dir/a"):
        store.create(parent="a")
    with pytest.raises(ParentUnknown):
        store.create(parent="zzz")
    assert picture(tmp_path / "g") == before


def test_without_a_tar_split_the_diff_is_made_by_comparing(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="a")
    (tmp_path / "g/vfs-layers/a.tar-split.gz").unlink()
    with store.diff("a") as reader:
        made = reader.read()
    store.put(made, id="b")
    assert store.changes("b", "a") == []


@pytest.mark.parametrize("kind", ["layers.json", "a.tar-split.gz"])
def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path, kind: str) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="a")
    path = tmp_path / "g/vfs-layers" / kind
    path.unlink()
    path.mkdir()
    with pytest.raises((LayerStoreError, OSError), match=kind), store.diff("a") as reader:
        reader.read()
    assert path.is_dir()
