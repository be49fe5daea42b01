"""A real vfs store whose every text is one that a terminal would interpret or could not show."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerstore import LayerStore
from support.tars import make_tar

HOSTILE = {
    "clip": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;evil\x07",
    "clear": "\x1b[2J\x1b[H\x1b[31mred",
    "dcs": "\x1bP1$qm\x1b\\\x1b_apc\x1b\\",
    "c1": "\x9b31m\x9d0;evil\x9c",
    "bell": "\x07\x08\x7f",
    "bidi": "\u202egnp.\u2066exe",
    "zero": "a\u200bb\ufeff\u00ad",
    "lines": "two\nlines\r\ttab",
    "breaks": "a\u2028b\u2029c\x85d",
    "pile": "e" + "\u0301" * 40 + "ก" + "\u0e49" * 40,
    "markup": "[red]x[/] [/] [/nothing",
    "action": "[@click=app.quit]x[/]",
    "wide": "日本語 🚀",
    "long": "n" * 300,
}
"""Hostile texts by key. On disk, each follows its key, which makes it easy to find on the screen."""

SHOWN = {
    "clip": r"clip:\x1b]52;c;ZXZpbA==\x07",
    "title": r"title:\x1b]0;evil\x07",
    "clear": r"clear:\x1b[2J\x1b[H\x1b[31mred",
    "dcs": r"dcs:\x1bP1$qm\x1b\\x1b_apc\x1b\ ".rstrip(),
    "c1": r"c1:\u009b31m\u009d0;evil\u009c",
    "bell": r"bell:\x07\x08\x7f",
    "bidi": r"bidi:\u202egnp.\u2066exe",
    "zero": r"zero:a\u200bb\ufeff\u00ad",
    "lines": r"lines:two\nlines\r\ttab",
    "breaks": r"breaks:a\u2028b\u2029c\u0085d",
    "markup": "markup:[red]x[/] [/] [/nothing",
    "action": "action:[@click=app.quit]x[/]",
}
"""How the screen must show them."""

ODD = "\x1b]0;evil\x07\u202e[red]"
"""A part of the names of folders, files and programs. It is short because messages repeat them."""
ODD_SHOWN = r"\x1b]0;evil\x07\u202e[red]"

_NOT_UTF8 = "bytes:\udc9b31m\udcff"


def tagged() -> list[str]:
    """Return all texts, each preceded by its key."""
    return [f"{key}:{text}" for key, text in HOSTILE.items()]


def file_names() -> list[str]:
    """Return the texts as file names, and one name that is not UTF-8."""
    return [*(f"{text[:200]}".replace("/", "|").replace("\0", "") for text in tagged()), _NOT_UTF8]


class HostileStore:
    """A store below `folder`. Its root has a hostile name, and so has `work`, a folder to start the program in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / f"g{ODD}"
        self.run = folder / f"r{ODD}"
        self.work = folder / f"\udcffw{ODD}"
        self.work.mkdir()
        self._put_layers()
        self._rewrite_records()
        for kind in ("images", "containers"):
            self._write_users(kind)
        self._write_mounts()
        for driver in ("overlay", ODD):  # more drivers to choose from; the hostile one is the newest
            (self.root / f"{driver}-layers").mkdir()
            (self.root / f"{driver}-layers/layers.json").write_text("[]")
        os.utime(self.root / "overlay-layers/layers.json", (0, 0))

    @property
    def arguments(self) -> list[str]:
        """The command line options that open the store."""
        return ["--root", str(self.root), "--runroot", str(self.run)]

    def path_of(self, layer_id: str) -> Path:
        """Return the folder with the files of a layer."""
        return self.root / "vfs/dir" / layer_id

    def _put_layers(self) -> None:
        store = LayerStore.open(self.root, self.run, driver="vfs")
        names = file_names()
        content = "\n".join(tagged()).encode("utf-8", "surrogateescape") + b"\nbytes:\x9b31m\xff\n"
        files: dict[str, Any] = {f"dir/{name}": content for name in names}
        links = {f"links/{name}": f"../dir/{name}" for name in names}
        dirs = {f"{name}.d/inside": b"x" * 5000 for name in names}
        closed = tarfile.TarInfo(f"dir/closed{ODD}\udcff")
        closed.mode = 0  # listed, but not readable
        tar = make_tar({"dir": None, **files, closed.name: closed, "links": None, **links, **dirs})
        store.put(tar, id="base", names=["base-layer"])
        changed = {f"dir/.wh.{name}": b"" for name in names[:4]} | {f"dir/{name}": b"new" * 999 for name in names[4:]}
        store.put(make_tar({"dir": None, **changed}), id="top", parent="base", names=["top-layer"])
        store.put(make_tar({"one": b"1"}), id="lone", names=["lone-layer"])

    def _rewrite_records(self) -> None:
        """Put texts into the records that no store would accept."""
        path = self.root / "vfs-layers/layers.json"
        records = json.loads(path.read_text())
        for record in records[:2]:
            record["names"] += [f"{name}@{record['id']}" for name in tagged()]
            record["flags"] = {name: name for name in tagged()} | {"nest": {name: [name] for name in tagged()}}
            record["metadata"] = json.dumps({name: name for name in tagged()}, ensure_ascii=False)
            record["mountlabel"] = "".join(tagged())
            record["big-data-names"] = tagged()
        more = [{"id": name, "names": [f"{name}@row"], "parent": f"{name}@lost"} for name in tagged()]
        more += [{"id": f"{name}@id", "parent": "top", "metadata": name} for name in tagged()]
        path.write_text(json.dumps(records + more))

    def _write_users(self, kind: str) -> None:
        folder = self.root / f"vfs-{kind}"
        folder.mkdir(mode=0o700, exist_ok=True)
        users = [{"id": f"{name}{kind}", "names": [f"{name}@{kind}"], "layer": "top"} for name in tagged()]
        users.append({"id": "\x1b]0;evil\x07\x9b", "layer": "gone\x1b[31m"})
        (folder / f"{kind}.json").write_text(json.dumps(users))

    def _write_mounts(self) -> None:
        folder = self.run / "vfs-layers"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [{"id": name, "path": f"/nowhere/{name}", "count": 2} for name in tagged()]
        (folder / "mountpoints.json").write_text(json.dumps(lines))


@contextmanager
def odd_process(command: list[str], folder: Path, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with a hostile name and first argument."""
    program = folder / "\x1b]0;evil\x07p\x9b"
    program.unlink(missing_ok=True)
    program.symlink_to(shutil.which(command[0]) or command[0])
    words = [f"\x1b]0;evil\x07{command[0]}", *command[1:]]
    process = subprocess.Popen(words, executable=os.fspath(program), **how)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
