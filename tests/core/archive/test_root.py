"""Tests of resolving names inside a root, which no name and no symbolic link can leave."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore.archive.root import Root, components
from layerstore.errors import BadArchive
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
    """Return the identity of the folder that contains a name, or None if there is none."""
    try:
        folder, _ = root.parent(name)
    except (OSError, BadArchive):
        return None
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def chrooted(top: Path, parts: list[str], links: int = 0) -> tuple[int, int] | None:
    """Return the identity of the folder that these parts lead to after a chroot into `top`: a simple model."""
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
def test_no_name_leads_outside_the_root(
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


def test_a_link_in_the_last_part_is_not_followed(tmp_path: Path) -> None:
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


def test_access_times_do_not_change(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    os.utime(file, (1, 2))
    with Root(tmp_path) as root:
        descriptor = root.open_file(b"f")
        os.read(descriptor, 1)
        os.close(descriptor)
    assert file.stat().st_atime == 1


def test_the_cache_is_bounded_and_can_be_cleared(tmp_path: Path) -> None:
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


def test_an_unprivileged_owner_gets_access_and_modes_are_restored() -> None:
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
