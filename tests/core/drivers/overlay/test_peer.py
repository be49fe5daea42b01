"""The overlay driver and containers-storage on one store give the same results."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.archive.read import TarReader
from layerstore.archive.write import BLOCK
from layerstore.drivers.overlay import mount, syscalls
from layerstore.drivers.overlay.driver import OverlayDriver
from layerstore.errors import NotSupported
from support.needs import skip
from support.tars import make_tar
from support.trees import Entry, Peer, folder, make_tree, picture

MTIME = 1_600_000_000


class OverlayPeer(Peer):
    """containers-storage with the overlay driver, and our driver on the same store."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._command[-1] = "overlay"
        self._place = place
        self.ours = OverlayDriver(self.graph)

    def create(self, parent: str = "") -> tuple[str, Path]:
        layer = self.run("create-layer", *([parent] if parent else [])).split()[0].decode()
        return layer, self.graph / "overlay" / layer / "diff"

    def apply(self, layer: str, tar: bytes) -> None:
        file = self._place / "diff.tar"
        file.write_bytes(tar)
        self.run("applydiff", "-f", file, layer)

    def knows_changes(self, layer: str) -> bool:
        """Return whether containers-storage succeeds. It fails for self-referencing links and replaced folders."""
        return subprocess.run([*self._command, "changes", layer], capture_output=True, check=False).returncode == 0

    def our_changes(self, layer: str, parent: str = "") -> list[str]:
        words = ("Modify", "Add", "Delete")
        return sorted(f'{words[change.kind]} "{change.path}"' for change in self.ours.changes(layer, parent))

    def our_diff(self, layer: str, parent: str = "") -> bytes:
        return b"".join(self.ours.diff(layer, parent))

    @contextlib.contextmanager
    def mounted(self, layer: str) -> Iterator[Path]:
        """Mount a layer with containers-storage."""
        yield Path(self.run("mount", layer).split()[0].decode())
        self.run("unmount", layer)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[OverlayPeer]:
    peer = OverlayPeer(tmp_path)
    try:
        peer.ours.create("probe", "")
    except NotSupported as error:
        skip(str(error))
    peer.ours.remove("probe")
    yield peer
    # containers-storage bind-mounts its folder on itself; mounts left by a failed test are on top of that.
    for point in [point for point, _ in mount._mounts() if point.startswith(f"{tmp_path}/")][::-1]:
        syscalls.unmount(point, lazily=True)


def comparable(tar: bytes) -> list[tuple[bytes, bytes]]:
    """Split a tar into headers and what follows each, without details that older versions write differently.

    That are the file type in the mode beside the typeflag (before 1.48), the owners' names (before 1.53) and, because
    of those, the checksums.
    """
    found = []
    at = 0
    while at < len(tar):
        block = bytearray(tar[at : at + BLOCK])
        size = int(block[124:135], 8) if any(block) else 0
        end = at + BLOCK + -(-size // BLOCK) * BLOCK
        if any(block):
            block[148:156] = b" " * 8
            block[100:108] = b"%07o\0" % (int(block[100:107], 8) & 0o7777)
            block[265:329] = bytes(64)
        found.append((bytes(block), tar[at + BLOCK : end]))
        at = end
    return found


def edit(root: Path, rng: random.Random) -> None:
    """Make one random change in a tree with few names, if it is possible. Links are never followed."""
    inside = [path for path in root.rglob("*") if not path.is_symlink()]
    at = rng.choice([root, *(path for path in inside if path.is_dir())])
    path = at / rng.choice("abcdef")
    there = os.path.lexists(path) and not path.is_symlink()
    with contextlib.suppress(OSError):
        match rng.randrange(10):
            case 0:
                path.mkdir()
            case 1:
                path.symlink_to(rng.choice(("gone/x", "../a/b")))
            case 2:
                os.link(rng.choice([*inside, root]), path, follow_symlinks=False)
            case 3:
                path.rename(at / rng.choice("abcdef"))
            case 4 | 5 if path.is_dir() and there:
                shutil.rmtree(path)
            case 4 | 5:
                path.unlink()
            case 6 if there:
                path.chmod(rng.choice((0o755, 0o700, 0o4755)))
            case 7 if there:
                os.utime(path, (1, rng.choice((2, 2.5))))
            case 8 if there and path.is_dir():
                shutil.rmtree(path)
                path.mkdir()
            case 8 | 9 if there or not os.path.lexists(path):
                path.write_bytes(b"x" * rng.randrange(6))


def test_random_edits_give_the_same_changes_and_the_same_tar(peer: OverlayPeer) -> None:
    """Edit mounted layers at random. containers-storage must report the same changes and the same tar."""
    compared = 0
    for seed in range(14):
        rng = random.Random(seed)
        parent = ""
        for _ in range(3):
            layer, _ = peer.create(parent)
            merged = peer.ours.get(layer)
            for _ in range(16):
                edit(merged, rng)
            peer.ours.put(layer)
            if peer.knows_changes(layer):
                assert peer.our_changes(layer, parent) == peer.changes(layer), f"seed {seed}"
                compared += 1
            assert comparable(peer.our_diff(layer, parent)) == comparable(peer.diff(layer)), f"seed {seed}"
            parent = layer
    assert compared > 30


def test_the_same_tars_give_the_same_layers(peer: OverlayPeer) -> None:
    """Apply tars with whiteouts and opaque folders. The layers' folders, mounts and changes must be the same."""
    compared = 0
    base, _ = peer.create()
    peer.apply(base, make_tar({"a/a/f": b"1", "a/b/g": b"2", "b/f": b"3", "b/a/h": b"4", "f": b"5", "l": "a"}))
    for seed in range(40):
        tar = random_tar(random.Random(seed))
        theirs, files = peer.create(base)
        try:
            peer.apply(theirs, tar)
        except AssertionError:
            continue  # an invalid tar, such as one with a file and its whiteout
        ours = f"ours-{seed}"
        peer.ours.create(ours, base)
        peer.ours.apply_diff(ours, base, TarReader([tar]))
        assert facts(peer.ours.diff_root(ours)) == facts(files), f"seed {seed}"
        assert peer.our_changes(ours, base) == peer.our_changes(theirs, base)
        if peer.knows_changes(theirs):
            assert peer.our_changes(theirs, base) == peer.changes(theirs), f"seed {seed}"
        compared += 1
    assert compared > 10


def random_tar(rng: random.Random) -> bytes:
    """Return a tar with few names, so that layers collide. As in real tars, no name is both a file and a whiteout."""
    buffer = io.BytesIO()
    hidden: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(7):
            parts = [*rng.choices("ab", k=rng.randrange(3)), rng.choice("abfgh")]
            name = "/".join(parts)
            if any("/".join(parts[:count]) in hidden for count in range(1, len(parts) + 1)):
                continue
            info = tarfile.TarInfo(name)
            info.mtime = MTIME + number
            info.mode = rng.choice((0o644, 0o755, 0o1777))
            info.uid, info.gid = rng.choice((0, 7)), rng.choice((0, 8))
            data = b""
            kind = rng.random()
            if kind < 0.25:
                info.name = "/".join([*parts[:-1], f".wh.{parts[-1]}"])
                hidden.add(name)
            elif kind < 0.4 and parts[-1] in "ab":
                info.name += "/.wh..wh..opq"
            elif parts[-1] in "ab":
                info.type = tarfile.DIRTYPE
            else:
                data = b"x" * number
                info.size = number
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Return a picture of a layer's folder, without the times of folders and whiteouts, which are those of creation."""
    found = picture(root)
    return {path: (*fact[:3], fact[0][0] not in "dc" and fact[3], *fact[4:]) for path, fact in found.items()}


@pytest.mark.parametrize("below", ["nothing", "file", "folder", "whiteout", "opaque"])
def test_whiteouts_in_every_combination(peer: OverlayPeer, below: str) -> None:
    """Three layers, with every combination of what the two upper ones do to a name of the base."""
    base, _ = peer.create()
    names = "wofd"
    peer.apply(base, make_tar({f"{name}/x/y": b"1" for name in names} | {f"{name}-file": b"2" for name in names}))
    middle: dict[str, bytes | None] = {}
    for name in names:
        wanted: dict[str, dict[str, bytes | None]] = {
            "nothing": {},
            "file": {f".wh.{name}": b""},
            "folder": {f"{name}/x/z": b"3"},
            "whiteout": {f".wh.{name}": b"", f".wh.{name}-file": b""},
            "opaque": {f"{name}/.wh..wh..opq": b"", f"{name}/x": None},
        }
        middle |= wanted[below]
    second, _ = peer.create(base)
    peer.apply(second, make_tar(middle))
    if below == "file":
        files = peer.ours.diff_root(second)
        for name in names:
            (files / name).unlink()
            (files / name).write_bytes(b"a file now")
    third, _ = peer.create(second)
    top: dict[str, bytes | None] = {
        ".wh.w": b"",
        ".wh.w-file": b"",
        "o": None,
        "o/.wh..wh..opq": b"",
        "o/new": b"4",
        "f": b"5",
        "d": None,
        "d/.wh.x": b"",
        "d/new": b"6",
    }
    peer.apply(third, make_tar(top))
    peer.ours.create("ours", second)
    peer.ours.apply_diff("ours", second, TarReader([make_tar(top)]))
    assert facts(peer.ours.diff_root("ours")) == facts(peer.ours.diff_root(third))
    for layer, parent in ((second, base), (third, second)):
        if peer.knows_changes(layer):
            assert peer.our_changes(layer, parent) == peer.changes(layer)
        (peer.graph / "overlay-layers" / f"{layer}.tar-split.gz").unlink()
        assert comparable(peer.our_diff(layer, parent)) == comparable(peer.diff(layer))
    with peer.mounted(third) as merged:
        seen = visible(merged)
    merged = peer.ours.get("ours")
    assert visible(merged) == seen
    peer.ours.put("ours")
    assert [name for name, _ in listed(peer.our_diff("ours", ""))] == sorted(seen, key=lambda path: path.split("/"))


def visible(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the visible files. The kernel lists a whiteout that hides nothing, although it does not exist."""
    there = [path for path in root.rglob("*") if os.path.lexists(path)]
    return {
        str(path.relative_to(root)): (path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in there
    }


def test_comparing_with_another_layer_than_the_parent(peer: OverlayPeer) -> None:
    """containers-storage 1.43 ignores the times of folders, so here they are equal or very different."""
    chain = [""]
    for number, tree in enumerate(({"a/b": b"1", "c": b"2", "d/e": b"3"}, {"a/f": b"4"}, {"g": b"5", "d/e": b"66"})):
        layer, files = peer.create(chain[-1])
        make_tree(files, tree)
        for path in [path for path in files.rglob("*") if path.is_dir()]:
            os.utime(path, (1, 1))
        chain.append(layer)
        if number == 2:
            os.mknod(files / "c", 0o020000)
    for one, other in itertools.permutations(chain[1:], 2):
        assert peer.our_changes(one, other) == peer.changes(one, other)
        theirs = peer.run("diff", "-u", one, other)
        ours = peer.our_diff(one, other)
        assert [name for name, *_ in listed(ours)] == [name for name, *_ in listed(theirs)]
    assert peer.our_changes(chain[3], "") == [
        'Add "/a"',
        'Add "/a/b"',
        'Add "/a/f"',
        'Add "/d"',
        'Add "/d/e"',
        'Add "/g"',
    ]


def listed(tar: bytes) -> list[tuple[str, int]]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return [(member.name, member.size) for member in archive]


def test_containers_storage_uses_layers_that_we_created(peer: OverlayPeer) -> None:
    """containers-storage has the records; our driver recreated the files of the second and third layer."""
    base, _ = peer.create()
    peer.apply(base, make_tar({"d/f": b"1", "d/g": b"2", "e/x": b"3"}))
    layer, files = peer.create(base)
    before = sorted((path.name, path.stat().st_mode) for path in files.parent.iterdir())
    peer.ours.remove(layer)
    peer.ours.create(layer, base)
    assert sorted((path.name, path.stat().st_mode) for path in files.parent.iterdir()) == before
    top, _ = peer.create(layer)
    peer.ours.apply_diff(layer, base, [Entry("d/.wh.f"), folder("e"), Entry("e/.wh..wh..opq"), Entry("new", data=b"4")])
    assert peer.changes(layer) == peer.our_changes(layer, base) != []
    with peer.mounted(top) as merged:
        theirs = picture(merged)
        assert sorted(theirs) == [".", "d", "d/g", "e", "new"]
        assert peer.ours.is_mounted(top)
        assert peer.ours.get(top) == merged
    assert not peer.ours.is_mounted(top)
    merged = peer.ours.get(top)
    assert picture(merged) == theirs
    (merged / "written").touch()
    peer.ours.put(top)
    assert peer.changes(top) == ['Add "/written"']
    for gone in (top, layer, base):
        peer.run("delete-layer", gone)
    assert peer.ours.list_layers() == []
    assert os.listdir(peer.ours.home / "l") == []


def test_both_repair_the_same_links(peer: OverlayPeer) -> None:
    base, _ = peer.create()
    peer.apply(base, make_tar({"f": b"1"}))
    layer, _ = peer.create(base)
    links = peer.ours.home / "l"
    shutil.rmtree(links)
    assert peer.our_changes(layer, base) == []
    assert not links.exists()
    peer.ours.get(layer)
    peer.ours.put(layer)
    repaired = {name: os.readlink(links / name) for name in os.listdir(links)}
    assert list(repaired.values()) == [f"../{base}/diff"]
    for name in repaired:
        (links / name).unlink()
    with peer.mounted(layer) as merged:
        assert os.listdir(merged) == ["f"]
    assert {name: os.readlink(links / name) for name in repaired} == repaired


def test_layers_with_redirects_and_metacopies_are_refused(peer: OverlayPeer) -> None:
    """The kernel creates these for a moved folder and for a file with a changed mode."""
    base, _ = peer.create()
    peer.apply(base, make_tar({"d/f": b"1" * 9000, "g": b"2" * 9000}))
    layer, _ = peer.create(base)
    mounter = OverlayDriver(peer.graph, mount_options=("redirect_dir=on", "metacopy=on"))
    merged = mounter.get(layer)
    (merged / "g").chmod(0o600)
    mounter.put(layer)
    with pytest.raises(NotSupported, match=r"'g' .*metacopy"):
        peer.our_diff(layer, base)
    assert peer.our_changes(layer, base) == ['Modify "/g"']
    merged = mounter.get(layer)
    (merged / "g").unlink()
    (merged / "d").rename(merged / "e")
    mounter.put(layer)
    for call in (peer.our_changes, peer.our_diff):
        with pytest.raises(NotSupported, match=r"'/e' .*redirect_dir"):
            call(layer, base)


def test_a_folder_that_replaces_a_whiteout_is_opaque(peer: OverlayPeer) -> None:
    """The result is that of vfs. containers-storage shows the files below or fails, depending on the order."""
    base, _ = peer.create()
    peer.apply(base, make_tar({"d/old": b"1", "e/old": b"1", "gone": b"1", "keep/old": b"2"}))
    tars: list[list[Entry]] = [
        [Entry(".wh.d"), folder("d"), Entry("d/new")],
        [Entry(".wh..wh..opq"), folder("keep"), Entry("keep/new")],
        [folder("keep"), Entry("keep/new"), Entry(".wh..wh..opq")],
        [Entry("d/x"), Entry(".wh.d")],
        [Entry("f"), Entry(".wh.f"), Entry("f")],
    ]
    shown = [
        ["d", "d/new", "e", "e/old", "gone", "keep", "keep/old"],
        ["keep", "keep/new"],
        ["keep", "keep/new"],
        ["e", "e/old", "gone", "keep", "keep/old"],
        ["d", "d/old", "e", "e/old", "f", "gone", "keep", "keep/old"],
    ]
    for number, (entries, expected) in enumerate(zip(tars, shown, strict=True)):
        layer = f"layer-{number}"
        peer.ours.create(layer, base)
        peer.ours.apply_diff(layer, base, entries)
        merged = peer.ours.get(layer)
        assert sorted(str(path.relative_to(merged)) for path in merged.rglob("*")) == expected
        peer.ours.put(layer)


def test_overlay_attributes_in_a_tar_are_dropped(peer: OverlayPeer) -> None:
    peer.ours.create("one", "")
    evil = {b"trusted.overlay.redirect": b"/etc", b"user.overlay.opaque": b"y", b"user.fine": b"1"}
    peer.ours.apply_diff("one", "", [folder("d", xattrs=evil), Entry("f", xattrs=evil)])
    for name in ("d", "f"):
        assert os.listxattr(peer.ours.diff_root("one") / name) == ["user.fine"]


def test_short_names_have_the_form_of_containers_storage(peer: OverlayPeer) -> None:
    layer, files = peer.create()
    peer.ours.create("ours", layer)
    for one in (files.parent / "link", peer.ours.home / "ours/link"):
        assert re.fullmatch("[A-Z2-7]{26}", one.read_text())
