"""What goes wrong from outside: each gets its clear error, and the store stays as it was."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, LayerStoreError, ParentUnknown, StoreAccess, StoreCorrupt, UnusableID
from support import make_tar, need_root
from trees import as_nobody

BIG = make_tar({f"file{number}": os.urandom(1 << 16) for number in range(64)})
SMALL = make_tar({"a": b"a"})


def picture(root: Path) -> dict[str, bytes]:
    """Return every file of a store but its locks."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_doubled_id_is_shown_kept_and_not_edited(tmp_path: Path) -> None:
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


def test_parents_in_a_circle_end_no_call(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    (tmp_path / "g/vfs-layers/layers.json").write_text('[{"id":"a","parent":"b"},{"id":"b","parent":"a"}]')
    (tmp_path / "g/vfs-images").mkdir()
    (tmp_path / "g/vfs-images/images.json").write_text('[{"id":"i","layer":"a"}]')
    assert {problem.kind for problem in store.problems()} == {"circle"}
    assert store.references().images("b") == ("i",)
    with pytest.raises(LayerStoreError, match="in use"):
        store.delete("a", force=True)


def test_ids_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
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
    with pytest.raises(OSError, match="No space left"):
        store.set_metadata("small", "m" * 100_000)
    filler.unlink()
    assert picture(small_disk) == before
    store.delete("small")


def test_a_store_without_permission_is_named(tmp_path: Path) -> None:
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


def test_a_parent_that_is_gone_from_disk_is_named(tmp_path: Path) -> None:
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


def test_a_lost_tar_split_falls_back_to_comparing(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="a")
    (tmp_path / "g/vfs-layers/a.tar-split.gz").unlink()
    with store.diff("a") as reader:
        made = reader.read()
    store.put(made, id="b")
    assert store.changes("b", "a") == []


@pytest.mark.parametrize("kind", ["layers.json", "a.tar-split.gz"])
def test_a_folder_in_a_files_place_is_an_error(tmp_path: Path, kind: str) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(SMALL, id="a")
    path = tmp_path / "g/vfs-layers" / kind
    path.unlink()
    path.mkdir()
    with pytest.raises((LayerStoreError, OSError)), store.diff("a") as reader:
        reader.read()
