"""A layer's file system without a mount: listing, reading and extraction."""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore import Cancelled, LayerStore, LayerStoreError, NotSupported, StoreAccess
from layerstore.content.extract import extract
from layerstore.content.files import FileEntry, FileKind, LayerFiles
from layerstore.drivers.base import Stack
from layerstore.errors import NoSuchFile, TargetExists, UnusableFile
from layerstore.model import ChangeKind
from support.needs import need_root
from support.stacks import put_stack
from support.tars import make_tar
from support.trees import as_nobody, picture

ADD, MODIFY, DELETE = ChangeKind.ADD, ChangeKind.MODIFY, ChangeKind.DELETE
BASE = make_tar({"etc": None, "etc/a": b"1", "etc/b": b"22", "usr/bin": None, "usr/bin/sh": b"#!", "bin": "usr/bin"})
MIDDLE = make_tar({"etc/a": b"111", "etc/.wh.b": b"", "etc/C": None, "usr/lib/x": b"x" * 9}, mtime=1_700_000_001)
TOP = make_tar({"etc/b": b"2", "usr/.wh.lib": b"", "etc/loop": "loop", "etc/d": b"4"}, mtime=1_700_000_002)


def info(path: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(path)
    made.type, made.mtime = kind, 1_700_000_000
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def files(store: LayerStore) -> LayerFiles:
    store.put(BASE, id="base")
    store.put(MIDDLE, id="middle", parent="base")
    store.put(TOP, id="top", parent="middle", names=["the-top"])
    return store.files("the-top")


def listed(entries: list[FileEntry]) -> list[tuple[str, FileKind, str | None, bool | None]]:
    return [(entry.name, entry.kind, entry.layer, entry.below) for entry in entries]


def test_a_listing_has_the_layer_of_each_file(files: LayerFiles) -> None:
    assert listed(files.list("/etc")) == [
        ("C", FileKind.FOLDER, "middle", False),
        ("a", FileKind.FILE, "middle", True),
        ("b", FileKind.FILE, "top", files.union.whiteouts is not None),  # deleted between: in base, not in middle
        ("d", FileKind.FILE, "top", False),
        ("loop", FileKind.LINK, "top", False),
    ]
    assert [entry.path for entry in files.list()] == ["/etc", "/usr", "/bin"]
    assert [entry.path for entry in files.list("/usr")] == ["/usr/bin"]
    assert files.list("/etc/C") == []
    assert files.list("/bin/../bin") == files.list("/usr/bin")
    for path in ("/", "/etc", "/usr"):
        for entry in files.list(path):
            assert files.stat(entry.path) == entry


def test_a_file_has_all_attributes(store: LayerStore) -> None:
    members = {
        "f": info("f", mode=0o4711, uid=12, gid=34),
        "g": info("g", tarfile.LNKTYPE, linkname="f", mode=0o4711, uid=12, gid=34),
        "null": info("null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
        "pipe": info("pipe", tarfile.FIFOTYPE),
    }
    store.put(make_tar(members), id="one")
    files = store.files("one")
    entry = files.stat("/g")
    assert (entry.path, entry.kind, stat.S_IMODE(entry.mode)) == ("/g", FileKind.FILE, 0o4711)
    assert (entry.uid, entry.gid, entry.size, entry.links) == (12, 34, 0, 2)
    assert (entry.mtime_ns, entry.layer, entry.below) == (1_700_000_000 * 10**9, "one", False)
    assert files.stat("null").device == (1, 3)
    assert files.stat("pipe").kind is FileKind.FIFO
    assert (files.stat("/").name, files.stat("/").kind) == ("/", FileKind.FOLDER)


def test_reading_a_part(files: LayerFiles) -> None:
    assert files.read("/etc/a") == b"111"
    assert files.read("bin/sh") == b"#!"
    assert files.read("/bin/sh", 1, 100) == b"!"
    assert files.read("/bin/sh", 2) == b""
    assert files.stat("/bin").target == "usr/bin"
    assert files.stat("/bin", follow=True).path == "/usr/bin"


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/etc/none", NoSuchFile, "'/etc/none' in layer top"),
        ("/usr/lib/x", NoSuchFile, "/usr/lib/x"),
        ("/etc/a/b", UnusableFile, "Not a directory"),
        ("/etc/loop", UnusableFile, "symbolic links"),
        ("/etc/loop/x", UnusableFile, "symbolic links"),
        ("/etc/\0", NoSuchFile, "no file"),
        ("/etc/" + "n" * 300, UnusableFile, "too long"),
        ("/etc", UnusableFile, "it is a folder"),
    ],
    ids=["missing", "deleted", "below-a-file", "circle", "below-a-circle", "nul", "long", "folder"],
)
def test_unreadable_paths_are_named(files: LayerFiles, path: str, error: type[LayerStoreError], words: str) -> None:
    with pytest.raises(error, match=words):
        files.read(path)
    with pytest.raises(UnusableFile, match="Not a directory"):
        files.list("/etc/a")


def test_links_stay_inside_the_layer(store: LayerStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"host")
    secret = str(tmp_path / "secret")
    links = {
        "up": "../../../../../.." + secret,
        "abs": secret,
        "magic": "/proc/self/root" + secret,
        "dir": str(tmp_path),
    }
    store.put(make_tar({**links, "pipe": info("pipe", tarfile.FIFOTYPE), "topipe": "pipe"}), id="one")
    store.put(make_tar({"x": b""}), id="two", parent="one")
    files = store.files("two")
    for path in ("up", "abs", "magic", "dir/secret", f"/../../..{secret}"):
        with pytest.raises(NoSuchFile):
            files.read(path)
    for path in ("pipe", "topipe"):
        with pytest.raises(UnusableFile, match="fifo"):
            files.read(path)
    store.put(make_tar({secret.strip("/"): b"layer"}), id="three", parent="two")
    assert {store.files("three").read(path) for path in ("up", "abs", "dir/secret")} == {b"layer"}


def test_a_link_that_replaces_a_folder_meanwhile_is_not_followed(files: LayerFiles, tmp_path: Path) -> None:
    """A running container could replace a folder or a file with a link to the host before it is opened."""
    node = files.union.resolve("/etc/d")
    folder = Path(files.union.folders[0]) / "etc"
    (tmp_path / "host").mkdir()
    (tmp_path / "host/d").write_bytes(b"host")
    folder.rename(tmp_path / "aside")
    folder.symlink_to(tmp_path / "host")
    with pytest.raises(NotADirectoryError):
        files.union.open(node)
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    (folder / "d").unlink()
    (folder / "d").symlink_to(tmp_path / "host/d")
    with pytest.raises(OSError, match="not a regular file"):
        files.union.open(node)


def test_names_that_are_not_utf_8_and_paths_beyond_the_limit(store: LayerStore, tmp_path: Path) -> None:
    odd = os.fsdecode(b"not-\xff-utf8\x1b[31m\n")
    store.put(make_tar({odd: b"1"}), id="base")
    store.create(id="top", parent="base")
    root = store.paths("top")["diff" if store.driver_name == "overlay" else "dir"]
    name, depth = "n" * 200, 30
    at = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        above, at = at, os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(above)
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    files = store.files("top")
    every = list(files.walk())
    assert sorted(entry.path.count("/") for entry in every) == [1, *range(1, depth + 2)]
    assert odd in [entry.name for entry in every]
    assert files.read(f"/{odd}") == b"1"
    assert files.stat(max(entry.path for entry in every if entry.name == "deep")).layer == "top"
    done = store.extract("top", "/", tmp_path / "out")
    assert (done.files, done.folders, done.skipped) == (2, depth + 1, [])
    assert (tmp_path / "out" / odd).read_bytes() == b"1"


def test_a_link_in_one_layer_leads_into_another(store: LayerStore) -> None:
    store.put(make_tar({"lib/a": b"old", "usr/lib/b": b"b"}), id="base")
    tar = make_tar({".wh.lib": b"", "usr/lib/c": b"c"})
    store.put(tar, id="middle", parent="base")
    store.put(make_tar({"lib": "usr/lib"}), id="top", parent="middle")
    files = store.files("top")
    assert [entry.name for entry in files.list("/lib")] == ["b", "c"]
    assert (files.read("/lib/b"), files.read("/lib/c")) == (b"b", b"c")
    with pytest.raises(NoSuchFile):
        files.read("/lib/a")


def test_occurrences_of_a_path(files: LayerFiles) -> None:
    def told(path: str) -> list[tuple[str, ChangeKind, int]]:
        return [(found.layer, found.kind, found.size) for found in files.occurrences(path)]

    assert told("/etc/a") == [("base", ADD, 1), ("middle", MODIFY, 3)]
    assert told("etc/../etc/b") == [("base", ADD, 2), ("middle", DELETE, 0), ("top", ADD, 1)]
    assert told("/usr/lib/x") == [("middle", ADD, 9), ("top", DELETE, 0)]
    assert told("/bin/sh") == [], "links are not followed"
    assert told("/../../etc/d") == [("top", ADD, 1)]
    assert told("/")[0] == ("base", ADD, 0)


def test_opaque_folders_and_replaced_folders_delete(store: LayerStore) -> None:
    store.put(make_tar({"d/x": b"1", "e/x": b"2"}), id="base")
    store.put(make_tar({"d": None, "d/.wh..wh..opq": b"", "d/y": b"3", "e": b"file"}), id="top", parent="base")
    files = store.files("top")
    for path in ("/d/x", "/e/x"):
        assert [(found.layer, found.kind) for found in files.occurrences(path)] == [("base", ADD), ("top", DELETE)]
    assert [entry.path for entry in files.walk()] == ["/d", "/d/y", "/e"]


def test_walking_and_searching(files: LayerFiles) -> None:
    every = [entry.path for entry in files.walk()]
    assert every == [
        "/etc",
        "/etc/C",
        "/etc/a",
        "/etc/b",
        "/etc/d",
        "/etc/loop",
        "/usr",
        "/usr/bin",
        "/usr/bin/sh",
        "/bin",
    ]
    assert [entry.path for entry in files.walk("/usr")] == ["/usr/bin", "/usr/bin/sh"]
    assert [entry.path for entry in files.search("B")] == ["/etc/b", "/usr/bin", "/bin"]
    assert [entry.path for entry in files.search("r/bin")] == ["/usr/bin", "/usr/bin/sh"]
    heard: list[int] = []
    assert len(list(files.walk(progress=lambda done, _: heard.append(done)))) == 10
    assert heard == sorted(heard)
    assert 1 < len(heard) <= 10
    with pytest.raises(Cancelled):
        list(files.walk(should_stop=lambda: True))


def test_a_deleted_layer_is_an_error(store: LayerStore, files: LayerFiles) -> None:
    store.delete("top")
    for look in (files.list, lambda: files.read("/etc/a"), lambda: list(files.walk())):
        with pytest.raises(UnusableFile, match="deleted meanwhile"):
            look()
    with pytest.raises(LookupError):
        store.files("top")


def test_composefs_is_refused(tmp_path: Path) -> None:
    need_root()
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="overlay")
    store.put(BASE, id="base")
    store.put(TOP, id="top", parent="base")
    (tmp_path / "graph/overlay/base/composefs-data").mkdir()
    with pytest.raises(NotSupported, match="composefs"):
        store.files("top")


def test_a_long_listing_leaves_the_layer_of_a_file_to_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LayerStore.open(tmp_path / "graph", tmp_path / "run", driver="vfs")
    store.put(make_tar({"a": b"1", "b": b"2"}), id="base")
    for number, parent in enumerate(["base", "l0", "l1"]):
        store.put(make_tar({"b": b"3"}, mtime=1_700_000_001 + number), id=f"l{number}", parent=parent)
    monkeypatch.setattr("layerstore.content.files._LOOKS", 3)
    files = store.files("l2")
    assert [(entry.name, entry.layer) for entry in files.list()] == [("a", None), ("b", "l2")]
    assert (files.stat("/a").layer, files.stat("/a").below) == ("base", False)
    assert [found.layer for found in files.occurrences("/b")] == ["base", "l0", "l1", "l2"]


def test_an_ordinary_user_skips_unreadable_folders() -> None:
    def work(home: Path) -> tuple[list[str], list[str], list[str], bool, int]:
        store = LayerStore.open(home / "g", home / "r", driver="vfs")
        members = {"open/x": b"1", "shut": None, "shut/y": b"2", "suid": info("suid", mode=0o4755), "key": b"k"}
        store.put(make_tar(members), id="one")
        root = home / "g/vfs/dir/one"
        os.chmod(root / "key", 0)
        os.chmod(root / "shut", 0)
        files, errors = store.files("one"), []
        seen = [entry.path for entry in files.walk(on_error=lambda entry, error: errors.append(str(error)))]
        with pytest.raises(StoreAccess, match="sudo"):
            list(files.walk())
        assert files.read("/key") == b"k", "its owner may change the mode and restore it"
        done = store.extract("one", "/", home / "out")
        reasons = [f"{left.path}: {left.reason}" for left in done.skipped]
        mode = stat.S_IMODE((home / "out/suid").stat().st_mode)
        restored = stat.S_IMODE((root / "key").stat().st_mode) == 0
        os.chmod(root / "shut", 0o755)
        return seen, errors, reasons, restored, mode

    seen, errors, reasons, restored, mode = as_nobody(work)
    assert seen == ["/open", "/open/x", "/shut", "/key", "/suid"]
    assert len(errors) == len(reasons) == 1
    assert "'/shut' in layer one: this user may not read it" in errors[0]
    assert restored
    assert mode == 0o4755, "the owner is kept"


# Extracting


def test_extracting_one_file(store: LayerStore, files: LayerFiles, tmp_path: Path) -> None:
    done = store.extract("top", "/bin/sh", tmp_path / "sh")
    assert (tmp_path / "sh").read_bytes() == b"#!"
    assert (done.target, done.files, done.folders, done.size) == (str(tmp_path / "sh"), 1, 0, 2)
    assert (tmp_path / "sh").stat().st_mtime == 1_700_000_000
    store.extract("top", "/bin", tmp_path / "bin")
    assert os.readlink(tmp_path / "bin") == "usr/bin", "a link is extracted as a link"
    store.extract("top", "/usr/bin/", tmp_path / "folder/")
    assert os.listdir(tmp_path / "folder") == ["sh"]
    with pytest.raises(NoSuchFile):
        store.extract("top", "/none", tmp_path / "none")
    assert sorted(os.listdir(tmp_path)) == ["bin", "folder", "graph", "run", "sh"]


@pytest.mark.parametrize("source", ["/etc/a", "/etc", "/bin"])
@pytest.mark.parametrize("target", ["file", "folder", "link", "folder-link"])
def test_an_existing_target_is_replaced_only_with_overwrite(
    store: LayerStore, files: LayerFiles, tmp_path: Path, source: str, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    place = tmp_path / "place"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: place.write_bytes(b"mine"),
        "folder": lambda: (place.mkdir(), (place / "mine").write_bytes(b"mine")),
        "link": lambda: place.symlink_to(outside / "kept"),
        "folder-link": lambda: place.symlink_to(outside),
    }
    make[target]()
    before = picture(tmp_path)
    with pytest.raises(TargetExists, match="overwrite"):
        store.extract("top", source, place)
    assert picture(tmp_path, times=False) == {key: (*one[:3], 0, *one[4:]) for key, one in before.items()}
    store.extract("top", source, place, overwrite=True)
    if source == "/etc":
        assert sorted(os.listdir(place)) == ["C", "a", "b", "d", "loop"]
        assert not place.is_symlink()
    elif source == "/bin":
        assert os.readlink(place) == "usr/bin"
    else:
        assert place.read_bytes() == b"111"
        assert not place.is_symlink()
    assert picture(outside)["kept"] == (*before["outside/kept"][:4], "kept", *before["outside/kept"][5:])
    assert sorted(os.listdir(tmp_path)) == ["graph", "outside", "place", "run"]


def test_a_target_without_a_name(store: LayerStore, files: LayerFiles, tmp_path: Path) -> None:
    for target in (f"{tmp_path}/..", "/", "", f"{tmp_path}/."):
        with pytest.raises(TargetExists):
            store.extract("top", "/etc", target, overwrite=True)
    with pytest.raises(FileNotFoundError, match="absent"):
        store.extract("top", "/etc", tmp_path / "absent/etc")
    (tmp_path / "f").touch()
    with pytest.raises(NotADirectoryError):
        store.extract("top", "/etc", tmp_path / "f/etc")


def test_a_cancel_leaves_nothing(store: LayerStore, tmp_path: Path) -> None:
    top = put_stack(store, 3)[-1]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    for calls in range(11):
        answers = iter([False] * calls + [True])
        with pytest.raises(Cancelled):
            store.extract(top, "/", tmp_path / "out", overwrite=True, should_stop=lambda: next(answers))  # noqa: B023
        assert os.listdir(tmp_path / "out") == ["mine"]
        assert sorted(os.listdir(tmp_path)) == ["graph", "out", "run"]
    with pytest.raises(Cancelled):
        store.extract_tar(top, "/", tmp_path / "tar", should_stop=lambda: True)
    assert sorted(os.listdir(tmp_path)) == ["graph", "out", "run"]


def test_holes_and_hard_links_are_kept(store: LayerStore, tmp_path: Path) -> None:
    store.create(id="one")
    root = Path(store.paths("one")["diff" if store.driver_name == "overlay" else "dir"])
    with (root / "sparse").open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
    (root / "d").mkdir()
    (root / "d/first").write_bytes(b"1" * 300_000)
    os.link(root / "d/first", root / "second")
    os.link(root / "d/first", root / "d/third")
    heard: list[int] = []
    done = store.extract("one", "/", tmp_path / "out", progress=lambda size, _: heard.append(size))
    assert picture(tmp_path / "out") == picture(root)
    assert (tmp_path / "out/sparse").stat().st_blocks * 512 < 1 << 20
    assert (tmp_path / "out/d/third").stat().st_nlink == 3
    assert heard[-1] == done.size >= 300_003
    assert done.files == 4
    store.extract("one", "/d", tmp_path / "part")
    assert (tmp_path / "part/first").stat().st_nlink == 2


def test_owners_are_kept_on_request(store: LayerStore, tmp_path: Path) -> None:
    need_root()
    store.put(make_tar({"s": info("s", uid=12, gid=34, mode=0o6755)}), id="one")
    store.extract("one", "/s", tmp_path / "with")
    store.extract("one", "/s", tmp_path / "without", owners=False)
    found = [(tmp_path / name).stat() for name in ("with", "without")]
    assert [(one.st_uid, one.st_gid, stat.S_IMODE(one.st_mode)) for one in found] == [(12, 34, 0o6755), (0, 0, 0o755)]


def test_an_ordinary_user_gets_no_devices_and_no_set_id_bits() -> None:
    need_root()
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        root.chmod(0o755)
        os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (root / "secret").touch(mode=0o600)
        (root / "suid").touch()
        (root / "suid").chmod(0o4755)
        files = LayerFiles(Stack((("one", made),)))

        def work(home: Path) -> tuple[list[str], list[str], int]:
            for path, error in (("/null", UnusableFile), ("/secret", StoreAccess)):
                with pytest.raises(error, match=f"'{path}' in layer one"):
                    extract(files, path, home / "x")
            done = extract(files, "/", home / "out")
            skipped = [f"{left.path}: {left.reason}" for left in done.skipped]
            return skipped, sorted(os.listdir(home / "out")), stat.S_IMODE((home / "out/suid").stat().st_mode)

        skipped, names, mode = as_nobody(work)
    assert skipped[0] == "/null: only root may create a device"
    assert skipped[1].startswith("/secret: '/secret' in layer one: this user may not read it")
    assert names == ["suid"]
    assert mode == 0o755


def test_a_tar_of_a_folder(store: LayerStore, files: LayerFiles, tmp_path: Path) -> None:
    size = store.extract_tar("top", "/usr/bin", tmp_path / "one.tar")
    assert size == (tmp_path / "one.tar").stat().st_size
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert tar.getnames() == ["bin", "bin/sh"]
    store.extract_tar("top", "/etc/a", tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert [(member.name, member.size) for member in tar] == [("a", 3)]
    with pytest.raises(TargetExists):
        store.extract_tar("top", "/etc/a", tmp_path / "a.tar")


def test_several_threads_at_once(files: LayerFiles) -> None:
    expected = [entry.path for entry in files.walk()]
    found: list[list[str]] = []

    def look() -> None:
        found.extend([entry.path for entry in files.walk()] for _ in range(20))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80
