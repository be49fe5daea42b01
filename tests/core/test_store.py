"""The methods of `LayerStore`, each with every driver."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from layerstore import (
    BadArchive,
    Cancelled,
    ChangeKind,
    Compression,
    DamagedLayer,
    DuplicateID,
    DuplicateName,
    LayerInUse,
    LayerStore,
    LayerStoreError,
    LayerUnknown,
    LockTimeout,
    ParentUnknown,
    StoreCorrupt,
    StoreMissing,
    StoreReadOnly,
)
from support.stores import OpenStore
from support.tars import make_tar

BASE = make_tar({"etc": None, "etc/a": b"one", "etc/b": b"two", "bin": "usr/bin"})
UPPER = make_tar({"etc": None, "etc/.wh.b": b"", "etc/a": b"changed", "etc/c": b"new"})


def files(store: LayerStore) -> list[str]:
    """Return the paths of all files except locks, mounts and the temporary folder for deletions."""
    root = store.graph_root
    paths = (path.relative_to(root) for path in root.rglob("*") if not path.name.endswith(".lock"))
    return sorted(str(path) for path in paths if not {"tempdirs", "merged", "work"} & set(path.parts))


def records(store: LayerStore) -> list[dict[str, object]]:
    text = (store.graph_root / f"{store.driver_name}-layers/layers.json").read_text()
    loaded: list[dict[str, object]] = json.loads(text)
    return loaded


@pytest.fixture
def family(store: LayerStore) -> LayerStore:
    """Return a store with a layer "base" and a layer "upper" on top of it."""
    store.put(BASE, id="base", names=["b"])
    store.put(gzip.compress(UPPER), id="upper", parent="b", names=["u", "v"])
    return store


def test_a_new_store_is_empty_and_opens_again(store: LayerStore, open_store: OpenStore) -> None:
    assert store.layers() == []
    assert store.problems() == []
    assert open_store().driver_name == store.driver_name


def test_put_records_the_facts_about_its_tar(family: LayerStore) -> None:
    layer = family.get("upper")
    assert layer.parent == "base"
    assert layer.names == ("u", "v")
    assert layer.diff_size == len(UPPER)
    assert layer.diff_compression is Compression.GZIP
    assert layer.diff_digest.startswith("sha256:")
    assert layer.compressed_diff_digest != layer.diff_digest
    assert not layer.incomplete
    assert layer.created is not None
    assert abs(layer.created - datetime.now(UTC)) < timedelta(minutes=1)
    base = family.get("base")
    assert base.compressed_diff_digest == base.diff_digest
    assert base.uidset == (0,)


def test_a_generated_id_is_64_hexadecimal_digits(store: LayerStore) -> None:
    layer = store.create()
    assert len(layer.id) == 64
    int(layer.id, 16)
    assert store.get(layer.id[:10]).id == layer.id


def test_diff_returns_the_original_bytes(family: LayerStore) -> None:
    with family.diff("base") as reader:
        assert reader.read() == BASE
    with family.diff("upper", compression=Compression.NONE) as reader:
        assert reader.read() == UPPER
    with family.diff("upper") as reader:
        assert gzip.decompress(reader.read()) == UPPER


def test_diff_against_another_layer_is_computed(family: LayerStore) -> None:
    with family.diff("upper", "", compression=Compression.NONE) as reader:
        whole = reader.read()
    family.put(whole, id="flat")
    assert [change.path for change in family.changes("flat", "upper")] == []


def test_changes_are_sorted_and_complete(family: LayerStore) -> None:
    assert [(change.path, change.kind) for change in family.changes("upper")] == [
        ("/etc", ChangeKind.MODIFY),
        ("/etc/a", ChangeKind.MODIFY),
        ("/etc/b", ChangeKind.DELETE),
        ("/etc/c", ChangeKind.ADD),
    ]
    assert {change.kind for change in family.changes("base")} == {ChangeKind.ADD}
    assert family.diff_size("upper") == len(b"changed") + len(b"new")


def test_an_unknown_from_is_an_error_not_the_parent(family: LayerStore) -> None:
    with pytest.raises(LayerUnknown):
        family.changes("upper", "nobody")
    with pytest.raises(LayerUnknown):
        family.diff("upper", "nobody")
    family.set_names("base", ["free"])  # the lock has been released


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"id": "base"}, DuplicateID),
        ({"names": ["x", "u"]}, DuplicateName),
        ({"parent": "nobody"}, ParentUnknown),
        ({"id": "a/b"}, LayerStoreError),
        ({"id": ".."}, LayerStoreError),
        ({"names": ["bell\a"]}, LayerStoreError),
    ],
)
def test_a_refused_put_leaves_nothing(family: LayerStore, wrong: dict[str, object], error: type[Exception]) -> None:
    before = files(family), records(family)
    with pytest.raises(error):
        family.put(BASE, **wrong)  # type: ignore[arg-type]
    assert (files(family), records(family)) == before


BAD_TARS = {
    "cut": UPPER[:700],
    "junk": b"junk" * 400,
    "cut gzip": gzip.compress(UPPER)[:-20],
    "outside": make_tar({"../x": b""}),
}


@pytest.mark.parametrize("diff", BAD_TARS.values(), ids=BAD_TARS)
def test_a_bad_tar_leaves_nothing(family: LayerStore, diff: bytes) -> None:
    before = files(family), records(family)
    with pytest.raises(BadArchive):
        family.put(diff, parent="base")
    with pytest.raises(BadArchive):
        family.apply_diff("upper", diff)
    assert (files(family), records(family)) == before
    with family.diff("upper", compression=Compression.NONE) as reader:
        assert reader.read() == UPPER


def test_a_cancelled_put_leaves_nothing(family: LayerStore) -> None:
    before = files(family), records(family)
    with pytest.raises(Cancelled):
        family.put(BASE, should_stop=lambda: True)
    assert (files(family), records(family)) == before


def test_apply_diff_replaces_the_diff(family: LayerStore) -> None:
    second = make_tar({"etc/d": b"fourth"})
    assert family.apply_diff("upper", second) == 6
    with family.diff("upper") as reader:
        assert reader.read() == second
    layer = family.get("upper")
    assert layer.diff_compression is Compression.NONE
    assert layer.names == ("u", "v")
    assert [layer.id for layer in family.layers()] == ["base", "upper"]
    assert (family.mount("upper") / "etc/d").read_bytes() == b"fourth"
    assert (family.mount("upper") / "etc/c").read_bytes() == b"new"


def test_exporting_a_changed_file_is_an_error(family: LayerStore) -> None:
    (family.mount("upper") / "etc/c").write_bytes(b"NEW")
    with pytest.raises(DamagedLayer, match="etc/c") as caught, family.diff("upper") as reader:
        reader.read()
    assert caught.value.layer == "upper"


def test_names_are_replaced_and_taken_from_others(family: LayerStore) -> None:
    family.set_names("upper", ["b", "w", "w"])
    assert family.get("upper").names == ("b", "w")
    assert family.get("base").names == ()
    assert family.lookup("b") == "upper"
    assert "names" not in records(family)[0]
    with pytest.raises(LayerUnknown):
        family.lookup("v")


def test_flags_and_metadata(family: LayerStore) -> None:
    family.set_flag("base", "colour", {"r": 1})
    family.set_flag("base", "size", 2.5)
    family.set_metadata("base", "text <&> \u2028 ü")
    assert family.get("base").flags == {"colour": {"r": 1}, "size": 2.5}
    assert family.metadata("b") == "text <&> \u2028 ü"
    family.clear_flag("base", "colour")
    family.clear_flag("base", "never-there")
    assert family.get("base").flags == {"size": 2.5}
    with pytest.raises(LayerStoreError, match="JSON"):
        family.set_flag("base", "bad", object())
    with pytest.raises(LayerStoreError, match="JSON"):
        family.set_metadata("base", "\udcff")


def test_mounts_are_counted(family: LayerStore, open_store: OpenStore) -> None:
    path = family.mount("u")
    assert family.mount("upper") == path
    assert open_store().get("upper").mount_count == 2
    assert open_store().get("upper").mount_point == str(path)
    assert family.unmount("upper") is True
    assert family.unmount(f"{path}/../{path.name}") is False
    assert family.unmount("upper") is False
    assert family.get("upper").mount_point == ""
    with pytest.raises(LayerUnknown):
        family.unmount("/nowhere")


def test_force_unmounts_whatever_the_count(family: LayerStore) -> None:
    family.mount("u")
    family.mount("u")
    assert family.unmount("u", force=True) is False
    assert family.get("u").mount_count == 0


def test_mountpoints_json_is_as_podman_writes_it(family: LayerStore) -> None:
    path = family.mount("upper")
    text = (family.run_root / f"{family.driver_name}-layers/mountpoints.json").read_text()
    assert text == f'[{{"id":"upper","path":"{path}","count":1}}]'


def test_delete_refuses_while_something_depends_on_the_layer(family: LayerStore) -> None:
    images = family.graph_root / f"{family.driver_name}-images"
    images.mkdir(exist_ok=True)
    (images / "images.json").write_text('[{"id":"i","names":["img"],"layer":"upper"}]')
    before = files(family)
    with pytest.raises(LayerInUse) as caught:
        family.delete("base", force=True)
    assert caught.value.children == ("upper",)
    family.mount("upper")
    with pytest.raises(LayerInUse) as caught:
        family.delete("upper")
    assert caught.value.images == ("img",)
    assert caught.value.mounts
    assert files(family) == before
    family.delete("upper", force=True)
    assert not family.exists("upper")
    (images / "images.json").write_text("[]")
    family.delete("b")
    assert family.layers() == []
    assert not [path for path in files(family) if "base" in path or "upper" in path]


def test_wipe_deletes_children_first(family: LayerStore) -> None:
    family.put(BASE, id="third", parent="upper")
    family.mount("third")
    with pytest.raises(LayerInUse):
        family.wipe()
    assert len(family.layers()) == 3
    family.wipe(force=True)
    assert family.layers() == []
    assert records(family) == []


def test_reading_keeps_incomplete_layers_and_writing_removes_them(family: LayerStore, open_store: OpenStore) -> None:
    layers_json = family.graph_root / f"{family.driver_name}-layers/layers.json"
    cut_short = [
        record | ({"flags": {"incomplete": True}} if record["id"] == "upper" else {}) for record in records(family)
    ]
    layers_json.write_text(json.dumps(cut_short))
    look = open_store(read_only=True)
    assert look.get("upper").incomplete
    assert [problem.kind for problem in look.problems()] == ["incomplete"]
    assert look.load() == []
    other = open_store()
    assert other.exists("upper")
    assert other.load() == ["upper"]
    assert not look.exists("upper")
    assert not [path for path in files(family) if "upper" in path]


def test_an_incomplete_layer_with_children_is_kept(family: LayerStore) -> None:
    family.set_flag("base", "incomplete", True)
    family.set_metadata("upper", "x")
    assert {layer.id for layer in family.layers()} == {"base", "upper"}


def test_a_store_with_a_lost_parent_opens_and_reports_it(family: LayerStore) -> None:
    path = family.graph_root / f"{family.driver_name}-layers/layers.json"
    path.write_text(json.dumps([record for record in records(family) if record["id"] != "base"]))
    assert [problem.kind for problem in family.problems()] == ["no-parent"]
    with pytest.raises(ParentUnknown) as caught:
        family.changes("upper")
    assert caught.value.parent == "base"
    with family.diff("upper", compression=Compression.NONE) as reader:
        assert reader.read() == UPPER, "the original tar does not depend on the parent"


def test_a_read_only_store_refuses_every_change(family: LayerStore, open_store: OpenStore) -> None:
    look = open_store(read_only=True)
    before = files(family)
    for change in (
        look.create,
        lambda: look.put(BASE),
        lambda: look.apply_diff("base", BASE),
        lambda: look.set_names("base", []),
        lambda: look.set_metadata("base", ""),
        lambda: look.set_flag("base", "f", 1),
        lambda: look.clear_flag("base", "f"),
        lambda: look.mount("base"),
        lambda: look.unmount("base"),
        lambda: look.delete("upper"),
        look.wipe,
        look.touch,
        look.save,
    ):
        with pytest.raises(StoreReadOnly):
            change()
    assert files(family) == before
    assert [layer.read_only for layer in look.layers()] == [True, True]
    with look.diff("base") as reader:
        assert reader.read() == BASE


def test_a_write_by_another_process_is_noticed(family: LayerStore, open_store: OpenStore) -> None:
    other = open_store()
    stamp = family.stamp()
    assert family.get("base").metadata == ""
    assert not family.modified()
    other.set_metadata("base", "theirs")
    assert family.stamp() != stamp
    assert family.modified()
    assert family.metadata("base") == "theirs"
    assert not family.modified()


def test_touch_is_a_write_without_a_change(family: LayerStore, open_store: OpenStore) -> None:
    before, stamp = datetime.now(UTC) - timedelta(seconds=5), family.stamp()
    open_store().touch()
    assert family.modified()
    assert family.stamp() != stamp
    assert family.touched_since(before)
    assert not family.touched_since(datetime.now(UTC) + timedelta(seconds=5))


def test_save_keeps_the_records(family: LayerStore) -> None:
    before = records(family)
    family.save()
    assert records(family) == before


def test_locked_holds_over_several_calls(family: LayerStore, open_store: OpenStore) -> None:
    other = open_store(lock_timeout=0.1)

    def try_it(results: list[object]) -> None:
        try:
            results.append(other.get("base"))
        except LockTimeout as error:
            results.append(error)

    results: list[object] = []
    with family.locked(write=True):
        family.set_metadata("base", "one")
        thread = threading.Thread(target=try_it, args=(results,))
        thread.start()
        thread.join()
        with family.diff("base") as reader:
            assert reader.read() == BASE
    assert isinstance(results[0], LockTimeout)
    try_it(results)
    assert not isinstance(results[1], LockTimeout)


def test_an_open_diff_blocks_writers_until_closed(family: LayerStore, open_store: OpenStore) -> None:
    other = open_store(lock_timeout=0.1)
    reader = family.diff("base")
    with pytest.raises(LockTimeout):
        other.delete("upper")
    reader.close()
    other.delete("upper")


def test_opening_a_missing_store_without_create_creates_nothing(tmp_path: Path) -> None:
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(StoreMissing, match="nothing"):
            LayerStore.open(tmp_path / "nothing", tmp_path / "run", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "nothing").exists()


def test_a_corrupt_file_is_left_unchanged(family: LayerStore) -> None:
    path = family.graph_root / f"{family.driver_name}-layers/layers.json"
    cut = path.read_bytes()[:-30]
    path.write_bytes(cut)
    with pytest.raises(StoreCorrupt, match="line 1"):
        family.layers()
    with pytest.raises(StoreCorrupt):
        family.put(BASE)
    assert path.read_bytes() == cut


def test_the_next_write_resolves_a_name_that_two_records_claim(family: LayerStore) -> None:
    path = family.graph_root / f"{family.driver_name}-layers/layers.json"
    path.write_text(json.dumps([record | {"names": ["same"]} for record in records(family)]))
    assert family.lookup("same") == "upper"
    assert [record["names"] for record in records(family)] == [["same"], ["same"]], "reading changes nothing"
    family.set_metadata("upper", "x")
    assert [record.get("names") for record in records(family)] == [None, ["same"]]


def test_record_returns_the_json_on_disk(family: LayerStore) -> None:
    assert json.loads(family.record("u")) == records(family)[1]


def test_usage_and_paths(family: LayerStore) -> None:
    usage = family.usage("upper")
    assert usage.inodes >= 4
    assert usage.size > 0
    paths = family.paths("upper")
    assert [name for name, path in paths.items() if not path.exists()] == []
    assert any(path.is_dir() for path in paths.values())
    assert ("Driver", family.driver_name) in family.status()
