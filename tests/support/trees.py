"""Trees of files: tar entries, snapshots of a tree, work as the user nobody, and containers-storage with vfs."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from layerstore.archive.entry import TarEntry
from support.needs import need_program, need_root

NOBODY = 65534
MTIME = 1_700_000_000_000_000_000


class Entry(TarEntry):
    """An entry that holds its own payload."""

    __slots__ = ("data",)

    def __init__(self, name: bytes | str, kind: str = "0", data: bytes = b"", **values: Any) -> None:
        self.name = os.fsencode(name)
        self.type = kind.encode()
        self.data = data
        self.mode = 0o755 if kind == "5" else 0o644
        self.uid, self.gid = os.geteuid(), os.getegid()
        self.size = len(data)
        self.mtime_ns = MTIME
        self.linkname = b""
        self.devmajor = self.devminor = 0
        self.xattrs = {}
        self.sparse = None
        for key, value in values.items():
            setattr(self, key, value)

    def pieces(self) -> Iterator[memoryview]:
        for start in range(0, len(self.data), 1000):
            yield memoryview(self.data)[start : start + 1000]


def folder(name: str | bytes, mode: int = 0o755, **values: Any) -> Entry:
    return Entry(name, "5", mode=mode, **values)


def symlink(name: str | bytes, target: str | bytes, **values: Any) -> Entry:
    return Entry(name, "2", linkname=os.fsencode(target), mode=0o777, **values)


def hard_link(name: str | bytes, target: str | bytes, **values: Any) -> Entry:
    return Entry(name, "1", linkname=os.fsencode(target), **values)


def picture(root: Path | str | bytes, *, times: bool = True) -> dict[str, tuple[Any, ...]]:
    """Return a snapshot of a tree: the facts and the content of each path. Hard links share their first name."""
    seen: dict[tuple[int, int], str] = {}
    found: dict[str, tuple[Any, ...]] = {}
    root = os.fsencode(root)
    for at, folders, files in os.walk(root):
        for name in [b".", *sorted(folders + files)] if at == root else sorted(folders + files):
            path = os.path.join(at, name)
            key = os.fsdecode(os.path.relpath(path, root))
            status = os.lstat(path)
            first = key
            if not stat.S_ISDIR(status.st_mode):
                first = seen.setdefault((status.st_dev, status.st_ino), key)
            found[key] = (
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns if times else 0,
                first,
                status.st_rdev if not stat.S_ISREG(status.st_mode) else 0,
                _content(path, status),
                {name: os.getxattr(path, name, follow_symlinks=False) for name in _xattrs(path)},
            )
    return found


def _content(path: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.R_OK):
        return b""
    return Path(os.fsdecode(path)).read_bytes()


def _xattrs(path: bytes) -> list[str]:
    return sorted(name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux")


def as_nobody(work: Callable[[Path], Any]) -> Any:
    """Call `work` in a process of the user nobody, with an empty folder, and return its result.

    Skips the test unless root runs it. The result must be picklable.
    """
    need_root()
    home = Path(tempfile.mkdtemp(prefix="layertui-nobody-"))
    os.chown(home, NOBODY, NOBODY)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _in_child(work, home, write)
        finally:
            os._exit(0)
    os.close(write)
    try:
        with os.fdopen(read, "rb") as stream:
            data = stream.read()
        os.waitpid(child, 0)
        good, result = pickle.loads(data)
        if not good:
            pytest.fail(result)
        return result
    finally:
        shutil.rmtree(home)


def _in_child(work: Callable[[Path], Any], home: Path, write: int) -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        outcome = pickle.dumps((True, work(home)))
    except BaseException:
        outcome = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(write, "wb") as stream:
        stream.write(outcome)


class Peer:
    """The real containers-storage on a new vfs store."""

    def __init__(self, folder: Path) -> None:
        need_root()
        program = need_program("containers-storage")
        self.graph, self._run = folder / "graph", folder / "run"
        self._command = [program, "-g", str(self.graph), "-R", str(self._run), "-s", "vfs"]

    def run(self, *arguments: str | Path) -> bytes:
        done = subprocess.run([*self._command, *map(str, arguments)], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def create(self, parent: str = "") -> tuple[str, Path]:
        """Create a layer, and return its ID and the folder with its files."""
        output = self.run("create-layer", *([parent] if parent else []))
        layer = output.split()[0].decode()
        return layer, self.graph / "vfs" / "dir" / layer

    def changes(self, layer: str, parent: str = "") -> list[str]:
        """Return lines such as `Modify "/a"`, sorted."""
        return sorted(self.run("changes", layer, *([parent] if parent else [])).decode().splitlines())

    def diff(self, layer: str) -> bytes:
        return self.run("diff", "-u", layer)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def make_tree(root: Path, files: Mapping[str, bytes | str | None]) -> Path:
    """Create files (bytes), symbolic links (str) and folders (None), all with the same time."""
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, ns=(MTIME, MTIME), follow_symlinks=False)
    return root
