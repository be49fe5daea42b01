"""Tests of ID maps: owners are translated, compared and packed, and one that is not mapped is an error."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore import BadArchive, ChangeKind, Compression, IDMap, IDMappings, LayerStore, NotSupported
from layerstore.archive.compare import compare_trees
from layerstore.archive.pack import pack_changes, pack_tree
from layerstore.idmap import NO_MAPS, Unmapped
from support.needs import need_root
from support.stores import OpenStore
from support.tars import make_tar
from support.trees import Entry, as_nobody, folder, make_tree

MAPS = IDMappings((IDMap(0, 100_000, 1000), IDMap(1000, 5, 1)), (IDMap(0, 200_000, 500),))


def test_ids_are_translated_both_ways() -> None:
    assert MAPS.to_host(0, 0) == (100_000, 200_000)
    assert MAPS.to_host(999, 499) == (100_999, 200_499)
    assert MAPS.to_host(1000, 1) == (5, 200_001)
    assert MAPS.to_container(5, 200_001) == (1000, 1)
    assert NO_MAPS.to_host(70_000, 3) == NO_MAPS.to_container(70_000, 3) == (70_000, 3)
    assert MAPS.root == (100_000, 200_000)
    assert not NO_MAPS
    assert NO_MAPS.root == (0, 0)
    only_uids = IDMappings(MAPS.uids)
    assert only_uids.to_host(1, 70_000) == (100_001, 70_000)


@given(st.integers(0, 1000), st.integers(0, 499))
def test_translating_back_gives_the_same_ids(uid: int, gid: int) -> None:
    assert MAPS.to_container(*MAPS.to_host(uid, gid)) == (uid, gid)


@pytest.mark.parametrize(
    ("call", "owner", "text"),
    [
        (MAPS.to_host, (1001, 0), "UID 1001 is outside"),
        (MAPS.to_host, (-1, 0), "UID -1 is outside"),
        (MAPS.to_host, (0, 500), r"GID 500 is outside the layer's GID map \(0:200000:500\)"),
        (MAPS.to_container, (0, 200_000), "UID 0 on disk is outside"),
        (MAPS.to_container, (101_000, 200_000), r"101000 .* \(0:100000:1000 1000:5:1\)"),
    ],
)
def test_the_error_names_an_unmapped_id(call: Any, owner: tuple[int, int], text: str) -> None:
    with pytest.raises(Unmapped, match=text):
        call(*owner)


def test_the_root_of_a_map() -> None:
    assert IDMappings((IDMap(1000, 7, 1),), (IDMap(0, 8, 1),)).root == (7, 8), "the only ID in a map is that of root"
    for maps in (IDMappings((IDMap(1, 7, 5),)), IDMappings((IDMap(0, 7, 0),)), IDMappings((), (IDMap(0, -7, 9),))):
        with pytest.raises(NotSupported):
            _ = maps.root


def owned(root: Path, owners: dict[str, tuple[int, int]]) -> Path:
    make_tree(root, {name: name.encode() for name in owners})
    for name, owner in owners.items():
        os.chown(root / name, *owner)
    return root


def test_owners_are_compared_as_containers_see_them(tmp_path: Path) -> None:
    need_root()
    old = owned(tmp_path / "old", {"same": (3, 4), "moved": (3, 4), "odd": (7, 8), "host": (3, 4), "left": (9, 9)})
    new = owned(
        tmp_path / "new",
        {"same": (100_003, 200_004), "moved": (100_004, 200_004), "odd": (7, 8), "host": (3, 4), "left": (5, 200_001)},
    )
    plain = {change.path for change in compare_trees(new, old)}
    assert plain == {"/same", "/moved", "/left"}
    mapped = {change.path: change.kind for change in compare_trees(new, old, new_maps=MAPS)}
    # Owners that are not mapped are compared as they are on disk, because the host set them.
    assert mapped == {"/moved": ChangeKind.MODIFY, "/left": ChangeKind.MODIFY}
    back = {change.path for change in compare_trees(old, new, old_maps=MAPS)}
    assert back == set(mapped)
    assert compare_trees(new, new, new_maps=MAPS, old_maps=MAPS) == []


def test_packing_translates_owners_and_names_a_file_with_an_unmapped_one(tmp_path: Path) -> None:
    need_root()
    root = owned(tmp_path / "tree", {"a": (100_003, 200_004), "d/b": (5, 200_000)})
    os.chown(root / "d", 100_000, 200_000)
    changes = compare_trees(root, None)
    for tar in (pack_tree(root, maps=MAPS), pack_changes(root, changes, maps=MAPS)):
        with tarfile.open(fileobj=io.BytesIO(b"".join(tar))) as archive:
            owners = {member.name: (member.uid, member.gid) for member in archive}
        assert owners == {"a": (3, 4), "d": (0, 0), "d/b": (1000, 0)}
    os.chown(root / "d/b", 0, 0)
    with pytest.raises(NotSupported, match=r"'d/b': UID 0 on disk is outside"):
        list(pack_tree(root, maps=MAPS))


def test_a_layer_with_its_own_maps(store: LayerStore) -> None:
    need_root()
    info = tarfile.TarInfo("deep/er/file")
    info.uid, info.gid = 1000, 3
    diff = make_tar({"deep/er/file": info})
    base, _ = store.put(diff, maps=MAPS)
    assert (base.uidmap, base.gidmap) == (MAPS.uids, MAPS.gids)
    assert (base.uidset, base.gidset) == ((1000,), (3,))
    assert json.loads(store.record(base.id))["uidmap"][1] == {"container_id": 1000, "host_id": 5, "size": 1}
    root = next(path for name, path in store.paths(base.id).items() if name in {"dir", "diff"})
    for name, owner in {"": (100_000, 200_000), "deep/er": (100_000, 200_000), "deep/er/file": (5, 200_003)}.items():
        found = os.lstat(root / name)
        assert (found.st_uid, found.st_gid) == owner, name
    with store.diff(base.id, compression=Compression.NONE) as reader:
        assert reader.read() == diff
        assert reader.verified
    with store.diff(base.id, "", compression=Compression.NONE) as reader:
        assert reader.read() == diff
    child = store.create(parent=base.id)
    assert (child.uidmap, child.gidmap) == (base.uidmap, base.gidmap)
    assert store.changes(child.id) == []
    store.apply_diff(child.id, make_tar({"more": info.replace(name="more", deep=False)}))
    assert store.get(child.id).uidmap == MAPS.uids
    with store.diff(child.id, base.id, compression=Compression.NONE) as reader:
        assert b"more" in reader.read()
    with pytest.raises(NotSupported, match="other ID maps"):
        store.create(parent=base.id, maps=NO_MAPS)
    assert store.create(parent=base.id, maps=MAPS).uidmap == MAPS.uids


def test_a_tar_with_an_unmapped_owner_leaves_no_layer(store: LayerStore, open_store: OpenStore) -> None:
    need_root()
    info = tarfile.TarInfo("file")
    info.gid = 500
    with pytest.raises(BadArchive, match=r"'file'.*GID 500"):
        store.put(make_tar({"file": info}), maps=MAPS)
    with pytest.raises(NotSupported, match="root folder has no owner"):
        store.create(maps=IDMappings((IDMap(5, 5, 5),)))
    assert open_store().layers() == []
    assert open_store().status()[-1]


def test_an_unprivileged_user_is_told_to_use_a_namespace() -> None:
    def work(home: Path) -> Any:
        make_tree(home / "tree", {"a": b"a"})
        make_tree(home / "old", {"a": b"b"})
        texts = []
        for call in (
            lambda: list(pack_tree(home / "tree", maps=MAPS)),
            lambda: compare_trees(home / "tree", home / "old", new_maps=MAPS),
        ):
            with pytest.raises(NotSupported) as caught:
                call()
            texts.append(str(caught.value))
        same = compare_trees(home / "tree", home / "old", new_maps=MAPS, old_maps=MAPS)
        return texts, same

    texts, same = as_nobody(work)
    assert all("podman unshare" in text for text in texts)
    assert same == [], "equal maps need no translation"


def test_folders_without_an_entry_belong_to_the_container_root(tmp_path: Path) -> None:
    need_root()
    from layerstore.archive.unpack import unpack

    unpack(tmp_path, [folder("a"), Entry("a/b/c", data=b"x")], owner=(12, 34))
    found = [os.lstat(tmp_path / name) for name in ("a", "a/b", "a/b/c")]
    assert [(one.st_uid, one.st_gid) for one in found] == [(0, 0), (12, 34), (0, 0)]
