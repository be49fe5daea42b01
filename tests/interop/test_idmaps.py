"""ID-mapped layers, which Podman creates for user namespaces: owners on disk differ from those in containers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from layerstore import BadArchive, ChangeKind, Compression, IDMappings, Layer, LayerStore, NotSupported
from support.images import GIDS, MAPS, OWNED, UIDS, as_podman_prints, podman_diff
from support.peers import PeerFailed, PodmanStore, assert_same_records, diff_digest
from support.tars import make_tar
from support.trees import picture

CHANGE = r"""
printf x >> etc/a; rm usr/bin/c; mkdir new; printf f > new/f
chown -h 100005:200006 new new/f; chown 100009:200000 etc/b
"""


def change(podman: PodmanStore) -> None:
    root = podman.podman("mount", "box")
    subprocess.run(["bash", "-euc", CHANGE], cwd=root, check=True, timeout=60)
    podman.podman("unmount", "box")


def by_use(podman: PodmanStore) -> tuple[LayerStore, Layer, Layer, Layer]:
    """Return the store, the image's own top layer, the copy with mapped owners, and the container's layer."""
    store = podman.ours()
    container = store.get("box-layer")
    copy = store.get(container.parent)
    (own,) = [layer for layer in store.layers() if layer.diff_digest == copy.diff_digest and layer.id != copy.id]
    return store, own, copy, container


def headers(tar: bytes) -> list[tuple[Any, ...]]:
    """Return the members of a tar, without the times of whiteouts, which are those of the diff."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            time = 0 if "/.wh." in f"/{member.name}" else member.mtime
            data = archive.extractfile(member)
            content = data.read() if data is not None and member.isreg() else b""
            facts = (member.mode & 0o7777, member.uid, member.gid, member.type, member.linkname, time, content)
            found.append((member.name, *facts))
    return sorted(found)


def our_diff(store: LayerStore, layer: str, base: str | None = None) -> bytes:
    with store.diff(layer, base, compression=Compression.NONE) as reader:
        return reader.read()


def peers_diff(podman: PodmanStore, layer: str) -> bytes:
    return podman.storage.diff(layer, podman.folder)


def test_the_maps_are_read_as_podman_writes_them(mapped: PodmanStore) -> None:
    store, own, copy, container = by_use(mapped)
    assert (own.uidmap, own.gidmap) == ((), ())
    for layer in (copy, container):
        assert (layer.uidmap, layer.gidmap) == (UIDS, GIDS)
        record = json.loads(store.record(layer.id))
        assert record["uidmap"] == [{"container_id": 0, "host_id": 100000, "size": 5000}]
    references = store.references()
    assert references.images(copy.id) == ("localhost/two:latest",), "mapped-layers count as layers of the image"
    assert references.containers(copy.id) == ("box",)
    if mapped.driver == "overlay":
        assert "diff1" in store.paths(copy.id)
        assert store.usage(copy.id).inodes > store.usage(own.id).inodes, (
            "the copy holds the files of the layers below, too"
        )
    assert_same_records(store, mapped.storage)


def test_mapped_owners_are_not_changes(mapped: PodmanStore) -> None:
    store, own, copy, container = by_use(mapped)
    assert store.changes(container.id) == []
    assert podman_diff(mapped, "box") == []
    for layer in (own, copy):
        assert [(found.kind, found.path) for found in store.changes(layer.id)] == mapped.storage.changes(layer.id)
    assert "/etc/link" not in [found.path for found in store.changes(copy.id)], (
        "a different owner on disk is not a change"
    )
    # When the peer copies a layer and changes owners, it recreates hard links, which changes the time of their folder.
    # Only newer versions of it compare times of folders.
    assert {found.path for found in store.changes(copy.id, own.id)} <= {"/etc"}
    assert mapped.storage.changes(copy.id, own.id) == []
    change(mapped)
    changes = store.changes(container.id)
    assert as_podman_prints(changes) == podman_diff(mapped, "box")
    assert [(found.kind, found.path) for found in changes] == mapped.storage.changes(container.id)
    # A layer with other maps is compared file by file, with the owners that containers see.
    against = {found.path: found.kind for found in store.changes(container.id, own.id)}
    assert against["/new/f"] == ChangeKind.ADD
    assert against["/etc/b"] == ChangeKind.MODIFY, "its owner changed"
    assert "/etc/link" not in against
    assert "/home" not in against
    assert [(kind, path) for path, kind in against.items()] == mapped.storage.changes(container.id, own.id)


def test_tars_have_the_owners_that_containers_see(mapped: PodmanStore) -> None:
    change(mapped)
    store, own, copy, container = by_use(mapped)
    ours, theirs = headers(our_diff(store, container.id)), headers(peers_diff(mapped, container.id))
    owners = {name: (uid, gid) for name, _, uid, gid, *_ in ours}
    assert owners["new"] == owners["new/f"] == (5, 6)
    assert owners["etc/a"] == (0, 0)
    assert owners["etc/b"] == (9, 0)
    if mapped.driver == "overlay":
        # Whiteouts of the kernel belong to the host's root. The peer cannot map this owner and skips them.
        assert [entry for entry in ours if ".wh." in entry[0]] == [
            ("usr/bin/.wh.c", 0, 0, 0, tarfile.REGTYPE, "", 0, b"")
        ]
        ours = [entry for entry in ours if ".wh." not in entry[0]]
    assert ours == theirs
    # The original tar is reproduced, even from the copy with other owners.
    for layer in (own, copy):
        assert diff_digest(store, layer.id) == layer.diff_digest
    assert our_diff(store, copy.id) == our_diff(store, own.id) == peers_diff(mapped, own.id)
    whole = {entry[0]: entry[2:4] for entry in headers(our_diff(store, copy.id, ""))}
    assert whole["home/user/b"] == (1000, 1001)
    assert whole["usr/bin/c"] == (33, 44)
    assert store.diff_size(container.id) == int(mapped.storage("diffsize", container.id))
    entry = store.files(container.id).stat("/home/user/b")
    assert (entry.uid, entry.gid) == (1000, 1001)
    store.extract_tar(container.id, "/home", mapped.folder / "home.tar")
    packed = {entry[0]: entry[2:4] for entry in headers((mapped.folder / "home.tar").read_bytes())}
    assert packed == {"home": (0, 0), "home/user": (1000, 1001), "home/user/b": (1000, 1001)}


def test_podmans_default_mapping_on_this_kernel(podman: PodmanStore) -> None:
    podman.build("scratch", OWNED, "one")
    podman.podman("create", "--pull=never", "--name", "box", *MAPS, "localhost/one", "/none")
    store = podman.ours()
    layer = store.get("box-layer")
    assert store.changes(layer.id) == []
    Path(podman.podman("mount", "box"), "file").write_text("x")
    podman.podman("unmount", "box")
    assert as_podman_prints(store.changes(layer.id)) == podman_diff(podman, "box") == ["A /file"]


def test_a_diff_applied_to_a_mapped_layer_suits_the_peer(mapped: PodmanStore) -> None:
    store, _, copy, _ = by_use(mapped)
    info = tarfile.TarInfo("deep/er/file")
    info.uid, info.gid, info.mtime = 12, 34, 1_700_000_000
    gone = tarfile.TarInfo("etc/.wh.a")
    gone.uid = 99_999
    diff = make_tar({"deep/er/file": info, "etc/.wh.a": gone})
    layer, _ = store.put(diff, parent=copy.id, names=["ours"])
    assert (layer.uidmap, layer.gidmap) == (UIDS, GIDS)
    assert (layer.uidset, layer.gidset) == ((12,), (34,)), "those of the tar"
    root = store.paths(layer.id)["dir" if mapped.driver == "vfs" else "diff"]
    for name, owner in {"deep/er/file": (100012, 200034), "deep": (100000, 200000)}.items():
        found = os.lstat(root / name)
        assert (found.st_uid, found.st_gid) == owner
    assert our_diff(store, layer.id) == diff
    assert mapped.storage.layers()[layer.id]["uidmap"] == [{"container_id": 0, "host_id": 100000, "size": 5000}]
    assert [(found.kind, found.path) for found in store.changes(layer.id)] == mapped.storage.changes(layer.id)
    assert_same_records(store, mapped.storage)
    # For the same user namespace, the peer uses the layer as it is.
    mapped.storage("create-image", "-n", "localhost/ours:latest", layer.id)
    mapped.storage("create-container", "-n", "more", *MAPS, "localhost/ours:latest")
    ((_, (top,)),) = [found for found in store.references().container_tops if found[0] == "more"]
    assert store.get(top).parent == layer.id
    assert store.changes(top) == []


def test_files_get_the_owners_that_the_peer_gives(mapped: PodmanStore) -> None:
    store, _, copy, _ = by_use(mapped)
    members: dict[str, Any] = {}
    for name, kind in {"d": b"5", "d/file": b"0", "d/link": b"2", "d/fifo": b"6", "d/dev": b"3", "etc": b"5"}.items():
        members[name] = info = tarfile.TarInfo(name)
        info.type, info.uid, info.gid, info.linkname, info.mode = (
            kind,
            40 + len(name),
            4999,
            "x" * (kind == b"2"),
            0o755,
        )
    diff = make_tar(members)
    (mapped.folder / "tmp/diff").write_bytes(diff)
    ours, _ = store.put(diff, parent=copy.id)
    theirs = mapped.storage("create-layer", *MAPS, copy.id).split()[0].decode()
    mapped.storage("apply-diff", "-f", str(mapped.folder / "tmp/diff"), theirs)
    part = "dir" if mapped.driver == "vfs" else "diff"
    pictures = [picture(store.paths(layer)[part], times=False) for layer in (ours.id, theirs)]
    assert pictures[0] == pictures[1]
    assert pictures[0]["d/file"][1:3] == (100046, 204999)
    if mapped.driver == "overlay":
        for name in ("", "merged", "work"):
            found = [(mapped.graph / "overlay" / layer / name).stat() for layer in (ours.id, theirs)]
            assert (found[0].st_uid, found[0].st_gid) == (found[1].st_uid, found[1].st_gid), name


def test_owners_outside_the_map_are_named_in_the_error(mapped: PodmanStore) -> None:
    store, own, copy, container = by_use(mapped)
    outside = tarfile.TarInfo("file")
    outside.uid = 5000
    with pytest.raises(BadArchive, match=r"'file'.*UID 5000 .*0:100000:5000") as caught:
        store.put(make_tar({"file": outside}), parent=copy.id)
    assert caught.value.entry == "file"
    root = Path(mapped.podman("mount", "box"))
    (root / "etc/foreign").touch()  # owned by the host's root, who is not in the map
    mapped.podman("unmount", "box")
    assert "/etc/foreign" in [found.path for found in store.changes(container.id)]
    with pytest.raises(NotSupported, match=r"'etc/foreign'.*UID 0 on disk"):
        our_diff(store, container.id)
    with pytest.raises(NotSupported, match="podman create --uidmap"):
        store.create(parent=own.id, maps=IDMappings(UIDS, GIDS))
    assert len(store.layers()) == len(mapped.storage.layers())


def test_podman_can_delete_mapped_layers(mapped: PodmanStore) -> None:
    store, _, copy, container = by_use(mapped)
    with pytest.raises(PeerFailed):
        mapped.podman("rmi", "localhost/two")
    store.delete(container.id, force=True)
    assert not store.exists(container.id)
    mapped.podman("rm", "--force", "box")
    mapped.podman("rmi", "localhost/two", "localhost/one")
    assert not store.exists(copy.id)
    assert store.layers() == []
