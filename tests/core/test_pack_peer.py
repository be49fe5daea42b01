"""Packing beside the real containers-storage: the same bytes but for the whiteouts' times."""

from __future__ import annotations

import os
import random
import socket
import stat
from pathlib import Path

from trees import MTIME, Peer, make_tree

from layerstore.archive.changes import compare_trees
from layerstore.archive.pack import pack_changes, pack_tree
from layerstore.archive.tarheader import BLOCK

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def without_whiteout_times(tar: bytes) -> bytes:
    """Blank time and checksum in the headers of whiteouts."""
    found = bytearray(tar)
    for start in range(0, len(found), BLOCK):
        block = found[start : start + BLOCK]
        if block[257:262] == b"ustar" and b".wh." in bytes(block[:100]):
            found[start + 136 : start + 156] = bytes(20)
    return bytes(found)


def fill(root: Path) -> None:
    """Make one of everything whose header has a form of its own."""
    long, deep = "n" * 120, "/".join(["folder" * 8] * 4)
    make_tree(
        root,
        {
            "plain": b"x" * 600,
            "a/b": b"",
            "a-b": b"1",
            "a.": b"",
            "ümläut/ß": b"2",
            "ascii/" + "x" * 95 + "é": b"",
            long: b"3",
            f"{deep}/{'m' * 60}": b"4",
            f"{deep}/{long}": b"5",
            f"{'d' * 101}/e": b"6",
            "l-short": "a/b",
            "l-long": "t" * 101,
            "l-utf8": "ö",
            "first": b"linked" * 100,
            "empty": None,
            "old": b"",
            "older": None,
        },
    )
    (root / "d" / "e").mkdir(parents=True)
    os.link(root / "first", root / "d/e/second")
    os.link(root / "first", root / "a/third")
    os.link(root / "l-short", root / "l-second", follow_symlinks=False)
    os.mkfifo(root / "fifo", 0o644)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 300))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{os.open(root, os.O_PATH)}/socket")
    os.chown(root / "plain", 3_000_000, 2_097_152)
    os.chown(root / f"{deep}/{'m' * 60}", 1 << 31, 5)
    os.chown(root / "l-long", 1, 2, follow_symlinks=False)
    for path, mode in {"plain": 0o6755, "empty": 0o1777, "a": 0o2750}.items():
        (root / path).chmod(mode)
    os.setxattr(root / "a/b", "security.capability", CAPABILITY)
    os.setxattr(root / "a/b", "user.zzz", b"\0\xff\n")
    os.setxattr(root / "empty", "user.overlay.opaque", b"y")
    os.setxattr(root / "empty", "user.é", b"1")
    os.setxattr(root / "d", "trusted.left", b"out")
    os.utime(root / "a-b", ns=(0, MTIME + 999_999_999))
    os.utime(root / "old", ns=(0, -1))
    os.utime(root / "older", ns=(0, 1))


def test_a_layer_without_a_parent_gives_the_same_bytes(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    layer, root = peer.create()
    fill(root)
    assert b"".join(pack_tree(root)) == peer.diff(layer)


def test_a_layer_on_a_layer_gives_the_same_bytes(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    base, below = peer.create()
    make_tree(below, {"gone/x": b"", "goné": b"", "w" * 110: b"", "a/old": b"", "stays": b""})
    layer, root = peer.create(base)
    for path in ("gone/x", "goné", "w" * 110, "a/old"):
        (root / path).unlink()
    (root / "gone").rmdir()
    fill(root)
    ours = b"".join(pack_changes(root, compare_trees(root, below)))
    assert without_whiteout_times(ours) == without_whiteout_times(peer.diff(layer))


def test_random_names_give_the_same_bytes(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    layer, root = peer.create()
    rng = random.Random(1)
    for _ in range(400):
        parts = ["".join(rng.choices("abé/-. ", k=rng.randint(1, 70))) for _ in range(rng.randint(1, 4))]
        path = root / "/".join(part.strip("/. ") or "x" for part in parts)
        if not any(above.is_file() for above in path.parents if above != root) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randint(0, 1500)))
    assert b"".join(pack_tree(root)) == peer.diff(layer)
