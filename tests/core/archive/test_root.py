"""Names never lead out of the root, whatever links lie in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore.archive.root import Root, components
from layerstore.errors import BadArchive, Cancelled
from layerstore.linux.folders import FolderStack, remove_tree
from support.needs import need_root
from support.trees import as_nobody, make_tree


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"", []),
        (b".", []),
        (b"/", []),
        (b"./", []),
        (b"a", [b"a"]),
        (b"/a//b/./c/", [b"a", b"b", b"c"]),
        (b"a/../b", [b"b"]),
        (b"a/b/../..", []),
        (b"/../../a", [b"a"]),
        (b"...", [b"..."]),
        (b"\xff/\xfe", [b"\xff", b"\xfe"]),
    ],
)
def test_names_are_cleaned(name: bytes, parts: list[bytes]) -> None:
    assert components(name) == parts


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/../..", b"./..", b"a/../../b", b"a\0b"])
def test_names_that_climb_are_refused(name: bytes) -> None:
    with pytest.raises(BadArchive):
        components(name)


def reach(root: Root, name: bytes) -> tuple[int, int] | None:
    """Return which folder a name is in, or None where there is none."""
    try:
        folder, _ = root.parent(name)
    except (OSError, BadArchive):
        return None
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def chrooted(top: Path, parts: list[str], links: int = 0) -> tuple[int, int] | None:
    """Say which folder these parts lead to below `top`, as a chroot would: the plain model to compare with."""
    at: list[str] = []
    pending = parts[::-1]
    while pending:
        part = pending.pop()
        if part == "..":
            at = at[:-1]
        elif part not in {"", "."}:
            path = top.joinpath(*at, part)
            if path.is_symlink():
                links += 1
                if links > 40:
                    return None
                target = os.readlink(path)
                at = [] if target.startswith("/") else at
                pending += target.split("/")[::-1]
            elif path.is_dir():
                at.append(part)
            else:
                return None
    status = top.joinpath(*at).stat()
    return status.st_dev, status.st_ino


PART = st.sampled_from(["a", "b", "c", "..", "."])
PATH = st.lists(PART, min_size=1, max_size=5).map("/".join)
TARGET = st.builds(str.__add__, st.sampled_from(["", "/", "../../../"]), PATH)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.lists(st.tuples(PATH, TARGET), max_size=6), folders=st.lists(PATH, max_size=6), names=st.lists(PATH))
def test_no_name_leads_out_of_the_root(
    tmp_path_factory: pytest.TempPathFactory,
    links: list[tuple[str, str]],
    folders: list[str],
    names: list[str],
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a/b/c").mkdir(parents=True)
    top = outside / "root"
    top.mkdir()
    for name in folders:
        clean = [part for part in name.split("/") if part not in {".", ".."}]
        top.joinpath(*clean).mkdir(parents=True, exist_ok=True)
    for name, target in links:
        clean = [part for part in name.split("/") if part not in {".", ".."}]
        path = top.joinpath(*clean)
        if (
            clean
            and Path(os.path.realpath(path.parent)).is_relative_to(top)
            and path.parent.is_dir()
            and not os.path.lexists(path)
        ):
            path.symlink_to(target)
    with Root(top) as root:
        for name in [*names, *names]:
            try:
                parts = components(name.encode())
            except BadArchive:
                continue
            expected = chrooted(top, [part.decode() for part in parts[:-1]])
            assert reach(root, name.encode()) == expected, name


def test_a_link_that_is_put_in_the_way_is_not_followed_by_the_last_step(tmp_path: Path) -> None:
    make_tree(tmp_path / "root", {"f": "../secret", "d": ".."})
    (tmp_path / "secret").write_text("x")
    with Root(tmp_path / "root") as root:
        with pytest.raises(OSError, match="not a regular file") as caught:
            root.open_file(b"f")
        assert caught.value.filename == "f"
        with pytest.raises(FileNotFoundError):
            root.open_file(b"d/secret")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    with Root(tmp_path) as root:
        for name in (b"fifo", b"folder", b"."):
            with pytest.raises(OSError, match="not a regular file"):
                root.open_file(name)
        descriptor = root.open_file(b"./file")
        assert os.read(descriptor, 10) == b"content"
        os.close(descriptor)


def test_access_times_stay(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    os.utime(file, (1, 2))
    with Root(tmp_path) as root:
        descriptor = root.open_file(b"f")
        os.read(descriptor, 1)
        os.close(descriptor)
    assert file.stat().st_atime == 1


def test_the_cache_is_bounded_and_forgets(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Root(tmp_path) as root:
        for number in range(600):
            root.parent(b"d%d/f" % number, create=True)
        assert len(os.listdir("/proc/self/fd")) < before + 300
        (tmp_path / "d599").rename(tmp_path / "gone")
        root.forget()
        with pytest.raises(FileNotFoundError):
            root.parent(b"d599/f")
    root.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_owner_may_lend_himself_access() -> None:
    def work(home: Path) -> Any:
        make_tree(home / "root", {"d/e/secret": b"content"})
        (home / "root/d/e/secret").chmod(0)
        (home / "root/d/e").chmod(0)
        (home / "root/d").chmod(0o111)
        with Root(home / "root", may_chmod=False) as root, pytest.raises(PermissionError):
            root.open_file(b"d/e/secret")
        with Root(home / "root", may_chmod=True) as root:
            descriptor = root.open_file(b"d/e/secret")
            content = os.read(descriptor, 20)
            os.close(descriptor)
        modes = []
        for path in ("d", "d/e", "d/e/secret"):
            modes.append(stat.S_IMODE((home / "root" / path).stat().st_mode))
            (home / "root" / path).chmod(0o700)
        return content, modes

    assert as_nobody(work) == (b"content", [0o111, 0, 0])


def test_deep_trees_are_walked_and_deleted(tmp_path: Path) -> None:
    """Deeper than Python recurses, than paths are long, and than a process may have open."""
    depth = 3000
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    before = len(os.listdir("/proc/self/fd"))
    with FolderStack(tmp_path) as stack:
        for _ in range(depth):
            stack.push("d")
        assert stack.depth == depth
        for _ in range(depth):
            stack.pop()
        assert os.path.samestat(os.fstat(stack.fd), tmp_path.stat())
        with pytest.raises(FileNotFoundError):
            stack.push("absent")
        for _ in range(100):
            stack.push("d")
    assert len(os.listdir("/proc/self/fd")) == before
    top = os.open(tmp_path, os.O_RDONLY)
    remove_tree(top, "d")
    os.close(top)
    assert os.listdir(tmp_path) == []


def pop_all(stack: FolderStack) -> None:
    while stack.depth:
        stack.pop()


def test_a_walk_notices_that_its_folder_was_moved(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["d"] * 100)
    path.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    with FolderStack(tmp_path) as stack:
        for _ in range(100):
            stack.push("d")
        (tmp_path / "d/d").rename(tmp_path / "elsewhere/d")
        for _ in range(30):
            stack.pop()
        with pytest.raises(OSError, match="moved"):
            pop_all(stack)


def test_deleting_stops_when_asked(tmp_path: Path) -> None:
    make_tree(tmp_path / "root", {"a/b/c": b""})
    top = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(Cancelled):
        remove_tree(top, "root", should_stop=lambda: True)
    remove_tree(top, "root")
    remove_tree(top, "root")
    os.close(top)


def test_a_file_of_someone_else_in_a_sticky_folder_is_not_deleted() -> None:
    need_root()

    def work(home: Path) -> str:
        root = os.open("/", os.O_RDONLY)
        try:
            remove_tree(root, "etc/hostname" if os.path.exists("/etc/hostname") else "etc/passwd")
        except OSError as error:
            return type(error).__name__
        return "deleted"

    assert as_nobody(work) == "PermissionError"
