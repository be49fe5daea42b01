"""Compare unpacked trees with those that containers-storage makes of the same tars."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

from layerstore.archive.read import TarReader
from layerstore.archive.unpack import unpack
from layerstore.drivers.vfs import VfsDriver
from support.tars import make_tar
from support.trees import Peer, picture

MTIME = 1_600_000_000


def random_name(rng: random.Random) -> str:
    """Return a name in one of a few folders. "l" may be a link to one of them."""
    return "/".join([*rng.choices("abl", weights=(4, 4, 1), k=rng.randint(0, 2)), rng.choice("abcfgl")])


def random_tar(rng: random.Random) -> bytes:
    """Return a tar of folders, files, links and whiteouts that share a few names and so affect each other."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(10):
            info = tarfile.TarInfo(random_name(rng))
            info.mtime = MTIME + number + rng.choice((0, 0.25))
            info.mode = rng.choice((0o644, 0o755, 0o1777, 0o4711))
            info.uid, info.gid = rng.choice((0, 7)), rng.choice((0, 8))
            base = info.name[-1]
            data = b""
            if base in "ab":
                info.type = tarfile.DIRTYPE
            elif base == "l":
                info.type, info.linkname = tarfile.SYMTYPE, rng.choice(("/a", "../b", "a", "b"))
            elif base == "c":
                hidden = random_name(rng)
                info.name = hidden[:-1] + ".wh." + hidden[-1]
            elif rng.random() < 0.2:
                info.name += "/.wh..wh..opq"
            else:
                data = bytes([65 + number]) * number
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Describe a tree without the times of folders, which are arbitrary for folders that have no entry."""
    found = picture(root)
    found.pop(".")
    return {path: (*fact[:3], fact[0][0] != "d" and fact[3], *fact[4:]) for path, fact in found.items()}


def test_random_tars_give_the_same_trees(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer")
    compared = 0
    for seed in range(60):
        tar = random_tar(random.Random(seed))
        layer, theirs = peer.create()
        file = tmp_path / "diff.tar"
        file.write_bytes(tar)
        ours = tmp_path / f"ours-{seed}"
        ours.mkdir()
        try:
            peer.run("applydiff", "-f", file, layer)
        except AssertionError:
            continue  # the tar is nonsense, such as a file below a file
        unpack(ours, TarReader([tar]))
        assert facts(ours) == facts(theirs), f"seed {seed}"
        compared += 1
    assert compared > 20


def test_a_layer_with_a_parent_gives_the_same_tree(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer")
    base = make_tar({"etc": None, "etc/a": b"1", "etc/d/x": b"2", "usr/bin/sh": b"#!", "bin": "usr/bin"})
    top = make_tar(
        {"etc/.wh.a": b"", "etc/d/.wh..wh..opq": b"", "etc/d/y": b"3", "bin/ls": b"ls", "etc": b"now a file"}
    )
    driver = VfsDriver(tmp_path / "ours")
    parent, folder = "", Path()
    for number, tar in enumerate((base, top), 1):
        file = tmp_path / f"{number}.tar"
        file.write_bytes(tar)
        parent, folder = peer.create(parent)
        peer.run("applydiff", "-f", file, parent)
        driver.create(str(number), str(number - 1) if number > 1 else "")
        driver.apply_diff(str(number), "", TarReader([tar]))
    ours = picture(driver.get("2"), times=False)
    assert ours == picture(folder, times=False)
