"""What one side writes, the other reads, and diffs are the same byte for byte."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore import Change, Compression, DamagedLayer, LayerStore
from support.needs import need_program
from support.peers import Peer
from support.tars import make_tar


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with every kind of file that real layers contain."""
    root = tmp_path / "tree"
    script = r"""
    mkdir -p usr/bin usr/share/deep/er var/tmp etc
    printf '#!/bin/sh\n' > usr/bin/run; chmod 4755 usr/bin/run; ln usr/bin/run usr/bin/again
    ln -s ../usr/bin/run etc/link; ln -s /absolute var/absolute
    mkfifo var/fifo; mknod var/null c 1 3; mknod var/block b 7 0
    head -c 300000 /dev/urandom > usr/share/noise; : > usr/share/empty
    truncate -s 1M usr/share/sparse; printf end >> usr/share/sparse
    printf x > "usr/share/$(printf 'n%.0s' $(seq 120))"; printf y > 'usr/share/ü 日本'
    printf z > "$(printf 'usr/share/\xff\xfe')"
    setfattr -n user.note -v 'a b' usr/share/empty; setcap cap_net_raw+ep usr/bin/run 2>/dev/null || true
    chmod 1777 var/tmp; chmod 0000 usr/share/deep; chown 1000:2000 usr/share/noise
    touch -d '1969-12-31 23:59:58 UTC' etc/link usr/share/empty; touch -d '2020-01-02 03:04:05.678901234' usr/bin/run
    """
    root.mkdir()
    subprocess.run(["bash", "-ec", script], cwd=root, check=True)
    return root


def as_json_says(changes: list[Change]) -> list[tuple[int, str]]:
    """Return kinds and paths, with bytes that are not UTF-8 replaced as in the peer's JSON."""
    lossy = [(change.kind, os.fsencode(change.path).decode(errors="replace")) for change in changes]
    return sorted(lossy, key=lambda change: change[1].encode())


Packer = Callable[[Path], bytes]


def packed(*command: str) -> Packer:
    def pack(tree: Path) -> bytes:
        need_program(command[0])
        return subprocess.run([*command, "-C", str(tree), "."], capture_output=True, check=True).stdout

    return pack


PACKERS = {
    "gnu": packed("tar", "--format=gnu", "-cf", "-"),
    "pax": packed("tar", "--format=pax", "--xattrs", "-cf", "-"),
    "bsdtar": packed("bsdtar", "--format=pax", "--no-read-sparse", "-cf", "-"),
    "bsdtar-sparse": packed("bsdtar", "--format=pax", "-cf", "-"),
}
EXACT_THERE = [name for name in PACKERS if name != "bsdtar-sparse"]
COMPRESSIONS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.compress,
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
}
UPPER = make_tar({"./usr/share/.wh.noise": b"", "./etc": None, "./etc/new": b"new", "./usr/share/empty": b"full now"})


@pytest.mark.parametrize("packer", EXACT_THERE)
def test_their_layers_open_here(peer: Peer, tree: Path, tmp_path: Path, packer: str) -> None:
    base = PACKERS[packer](tree)
    (tmp_path / "base.tar").write_bytes(base)
    (tmp_path / "upper.tar.gz").write_bytes(gzip.compress(UPPER))
    peer("create-layer", "--id", "base", "-n", "first", "-n", "second")
    peer("applydiff", "-f", str(tmp_path / "base.tar"), "base")
    peer("create-layer", "--id", "upper", "base")
    peer("applydiff", "-f", str(tmp_path / "upper.tar.gz"), "upper")
    peer("set-metadata", "-m", "their words", "upper")
    store = LayerStore.open(peer.graph, peer.run, driver=peer.driver)
    assert [layer.id for layer in store.layers()] == ["base", "upper"]
    assert store.get("base").names == ("first", "second")
    assert store.metadata("upper") == "their words"
    assert store.get("upper").diff_compression is Compression.GZIP
    for layer in ("base", "upper"):
        assert as_json_says(store.changes(layer)) == peer.changes(layer)
    with store.diff("base", compression=Compression.NONE) as reader:
        assert reader.read() == base
    with store.diff("upper", compression=Compression.NONE) as reader:
        assert reader.read() == UPPER


def test_a_tar_that_they_cannot_reproduce_is_refused_here(peer: Peer, tree: Path, tmp_path: Path) -> None:
    base = PACKERS["bsdtar-sparse"](tree)
    (tmp_path / "base.tar").write_bytes(base)
    peer("import-layer", "--id", "base", "-f", str(tmp_path / "base.tar"))
    assert peer.diff("base", tmp_path) != base
    store = LayerStore.open(peer.graph, peer.run, driver=peer.driver)
    with pytest.raises(DamagedLayer, match=r"sha256:\w{64} and is now sha256:\w{64}"), store.diff("base") as reader:
        reader.read()


@pytest.mark.parametrize("packer", PACKERS)
def test_our_layers_open_there(peer: Peer, ours: LayerStore, tree: Path, tmp_path: Path, packer: str) -> None:
    base = PACKERS[packer](tree)
    ours.put(base, id="base", names=["first", "second"])
    ours.put(gzip.compress(UPPER), id="upper", parent="base", flags={"colour": "red"})
    ours.set_metadata("upper", "our words")
    records = peer.layers()
    assert records["base"]["names"] == ["first", "second"]
    assert records["upper"]["parent"] == "base"
    assert peer("metadata", "-q", "upper").decode().strip() == "our words"
    for layer in ("base", "upper"):
        assert as_json_says(ours.changes(layer)) == peer.changes(layer)
    assert peer.diff("base", tmp_path) == base
    assert peer.diff("upper", tmp_path) == UPPER


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_are_the_same_for_the_same_tar(
    peer: Peer, ours: LayerStore, tree: Path, tmp_path: Path, compression: Compression
) -> None:
    data = COMPRESSIONS[compression](PACKERS["gnu"](tree))
    (tmp_path / "diff").write_bytes(data)
    peer("import-layer", "--id", "theirs", "-f", str(tmp_path / "diff"))
    ours.put(data, id="ours")
    records = peer.layers()
    for record in records.values():
        record.pop("created")
        record.pop("id")
        record.pop("big-data-names", None)
    assert records["ours"] == records["theirs"]


def test_their_unpacked_tree_is_our_unpacked_tree(peer: Peer, ours: LayerStore, tree: Path, tmp_path: Path) -> None:
    # containers-storage changes times before 1970 to 1970, and layerstore preserves them.
    os.utime(tree / "usr/share/empty", (5, 5))
    data = PACKERS["pax"](tree)
    (tmp_path / "diff").write_bytes(data)
    peer("import-layer", "--id", "theirs", "-f", str(tmp_path / "diff"))
    ours.put(data, id="ours")
    assert ours.changes("ours", "theirs") == []
    assert ours.changes("theirs", "ours") == []
    assert peer.changes("ours", "theirs") == []
    listing = (
        "find . -mindepth 1 -printf '%P %y %m %U %G %s %T@ %l\\n' | LC_ALL=C sort;"
        "{ getfattr -R -d -m - . 2>/dev/null || true; }"
    )
    listed = [
        subprocess.run(["bash", "-c", listing], cwd=ours.mount(layer), capture_output=True, check=True).stdout
        for layer in ("ours", "theirs")
    ]
    assert listed[0] == listed[1]


def test_a_layer_without_a_tar_is_packed_as_they_pack_it(
    peer: Peer, ours: LayerStore, tree: Path, tmp_path: Path
) -> None:
    peer("create-layer", "--id", "base")
    peer("create-layer", "--id", "child", "base")
    for layer in ("base", "child"):
        target = peer("mount", layer).decode().strip()
        subprocess.run(["cp", "-a", f"{tree}/.", target], check=True)
        with ours.diff(layer, compression=Compression.NONE) as reader:
            mine = reader.read()
        theirs = peer.diff(layer, tmp_path)
        assert len(mine) == len(theirs)
        assert members(mine) == members(theirs)


def members(tar: bytes) -> list[object]:
    """Return the members of a tar without type bits and owner names, which differ between versions of the peer."""
    found: list[object] = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            info = {**member.get_info(), "mode": member.mode & 0o7777, "chksum": 0, "uname": "", "gname": ""}
            found.append((info, member.pax_headers, file.read() if file else b""))
    return found


def test_names_mounts_and_deletion_are_shared(peer: Peer, ours: LayerStore) -> None:
    ours.put(make_tar({"a": b"a"}), id="aa")
    peer("set-names", "-n", "theirs", "aa")
    assert ours.lookup("theirs") == "aa"
    ours.set_names("aa", ["mine"])
    assert peer("get-names", "aa").decode().split() == ["mine"]
    path = peer("mount", "aa").decode().strip()
    assert ours.get("aa").mount_point == path
    ours.mount("aa")
    peer("unmount", "aa")
    assert ours.get("aa").mount_count == 1
    ours.unmount("aa")
    assert peer.json("layers")[0]["id"] == "aa"
    assert (peer.run / f"{peer.driver}-layers/mountpoints.json").read_bytes() == b"[]"
    peer("delete-layer", "aa")
    assert not ours.exists("aa")


def test_unknown_fields_and_big_data_survive_us(peer: Peer, ours: LayerStore, tmp_path: Path) -> None:
    peer("create-layer", "--id", "aa")
    (tmp_path / "blob").write_bytes(b"blob")
    peer("set-layer-data", "-f", str(tmp_path / "blob"), "aa", "key")
    before = peer.layers()["aa"]
    ours.set_flag("aa", "x", 1)
    ours.clear_flag("aa", "x")
    assert peer.layers()["aa"] == before
    assert peer("get-layer-data", "aa", "key") == b"blob"
    ours.delete("aa")
    assert not (peer.graph / f"{peer.driver}-layers/aa").exists()
