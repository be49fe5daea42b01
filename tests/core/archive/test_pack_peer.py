"""Compare packed tars with those of containers-storage, byte for byte except for what `comparable` removes."""

from __future__ import annotations

import os
import random
import socket
import stat
from pathlib import Path

from layerstore.archive.compare import compare_trees
from layerstore.archive.pack import pack_changes, pack_tree
from layerstore.archive.write import BLOCK
from support.trees import MTIME, Peer, make_tree

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def comparable(tar: bytes) -> list[tuple[bytes, bytes]]:
    """Split a tar into pairs of a header and its payload, without the parts that may differ.

    These are the times of whiteouts, the file type that versions before 1.48 write into the mode, the owner names that
    versions before 1.53 look up, and the checksums, which are verified first.
    """
    found = []
    at = 0
    while at < len(tar):
        block = bytearray(tar[at : at + BLOCK])
        size = int(block[124:135], 8) if any(block) else 0
        end = at + BLOCK + -(-size // BLOCK) * BLOCK
        if any(block):
            total = int(block[148:154], 8)
            block[148:156] = b" " * 8
            assert sum(block) == total
            block[100:108] = b"%07o\0" % (int(block[100:107], 8) & 0o7777)
            block[265:329] = bytes(64)
            if b".wh." in block[:100]:
                block[136:148] = bytes(12)
        found.append((bytes(block), tar[at + BLOCK : end]))
        at = end
    return found


def fill(root: Path) -> None:
    """Create files that cover every form of header."""
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
    os.setxattr(root / "empty", "user.é", b"1")
    os.setxattr(root / "d", "trusted.left", b"out")
    os.utime(root / "a-b", ns=(0, MTIME + 999_999_999))
    os.utime(root / "old", ns=(0, -1))
    os.utime(root / "older", ns=(0, 1))


def test_a_base_layer_gives_the_same_bytes(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    layer, root = peer.create()
    fill(root)
    assert comparable(b"".join(pack_tree(root))) == comparable(peer.diff(layer))


def test_a_layer_with_a_parent_gives_the_same_bytes(tmp_path: Path) -> None:
    peer = Peer(tmp_path)
    base, below = peer.create()
    make_tree(below, {"gone/x": b"", "goné": b"", "w" * 110: b"", "a/old": b"", "stays": b""})
    layer, root = peer.create(base)
    for path in ("gone/x", "goné", "w" * 110, "a/old"):
        (root / path).unlink()
    (root / "gone").rmdir()
    fill(root)
    ours = b"".join(pack_changes(root, compare_trees(root, below)))
    assert comparable(ours) == comparable(peer.diff(layer))


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
    assert comparable(b"".join(pack_tree(root))) == comparable(peer.diff(layer))
