"""A small store with four layers, and ways to damage it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layerstore import LayerStore
from layerstore.check.findings import Finding, Kind
from support.tars import Content, make_tar

BASE: dict[str, Content] = {
    "etc": None,
    "etc/passwd": b"root",
    "etc/empty": b"",
    "etc/link": "passwd",
    "usr/bin/sh": b"#!" * 600_000,
}
TOP: dict[str, Content] = {"etc": None, "etc/.wh.passwd": b"", "etc/new": b"1", "opt": None, "opt/.wh..wh..opq": b""}

Damage = Callable[["Place"], None]


class Place:
    """A store with four layers: base below top and side, leaf on top of top."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder, self.driver = folder, driver
        self.graph, self.run = folder / "graph", folder / "run"
        store = self.open()
        store.put(make_tar(BASE), id="base")
        store.put(make_tar(TOP), id="top", parent="base", names=["named"])
        store.put(make_tar({"side": b"2"}), id="side", parent="base")
        store.put(make_tar({"leaf": b"3"}), id="leaf", parent="top")

    def open(self, **options: Any) -> LayerStore:
        """Open the store."""
        return LayerStore.open(self.graph, self.run, driver=self.driver, lock_timeout=2.0, **options)

    @property
    def home(self) -> Path:
        """The folder that holds one folder per layer."""
        return self.graph / (self.driver if self.driver == "overlay" else f"{self.driver}/dir")

    @property
    def layers(self) -> Path:
        """The folder that holds layers.json."""
        return self.graph / f"{self.driver}-layers"

    def files(self, layer: str) -> Path:
        """Return the folder with a layer's files."""
        return self.home / layer / "diff" if self.driver == "overlay" else self.home / layer

    def link(self, layer: str) -> Path:
        """Return the path of the link with a layer's short name."""
        return self.home / "l" / (self.home / layer / "link").read_text()

    def records(self) -> Any:
        """Read layers.json."""
        return json.loads((self.layers / "layers.json").read_text())

    def write(self, records: Any) -> None:
        """Write layers.json."""
        (self.layers / "layers.json").write_text(json.dumps(records))

    def change(self, layer: str, **values: Any) -> None:
        """Change fields of a record in layers.json."""
        self.write([{**record, **values} if record["id"] == layer else record for record in self.records()])

    def users(self, kind: str, *users: dict[str, Any]) -> None:
        """Write images.json or containers.json."""
        folder = self.graph / f"{self.driver}-{kind}"
        folder.mkdir(exist_ok=True)
        (folder / f"{kind}.json").write_text(json.dumps(users))

    def check(self, **options: Any) -> list[Finding]:
        """Return all findings."""
        return list(self.open().check(**options))

    def found(self, **options: Any) -> dict[tuple[Kind, str], Finding]:
        """Return the findings by kind and layer."""
        return {(finding.kind, finding.layer): finding for finding in self.check(**options)}


def swap(path: Path, target: str) -> None:
    """Replace a file by a symbolic link."""
    path.unlink()
    path.symlink_to(target)


OVERLAY_DAMAGE: dict[str, tuple[Damage, Kind, str]] = {
    "no diff": (lambda place: shutil.rmtree(place.files("leaf")), Kind.NO_DIFF, "leaf"),
    "no work": (lambda place: shutil.rmtree(place.home / "top/work"), Kind.WORK_FOLDER, "top"),
    "no link file": (lambda place: (place.home / "top/link").unlink(), Kind.LINK_FILE, "top"),
    "a broken link file": (lambda place: (place.home / "top/link").write_text("../x"), Kind.LINK_FILE, "top"),
    "another link file": (lambda place: (place.home / "top/link").write_text("A" * 26), Kind.LINK_FILE, "top"),
    "no link": (lambda place: place.link("base").unlink(), Kind.LINK_LOST, "base"),
    "a link elsewhere": (lambda place: swap(place.link("top"), "../side/diff"), Kind.LINK_LOST, "top"),
    "a link out of the store": (lambda place: swap(place.link("top"), "/etc"), Kind.LINK_LOST, "top"),
    "a dangling link": (lambda place: (place.home / "l" / ("B" * 26)).symlink_to("../x/diff"), Kind.LINK_STRAY, "x"),
    "a second link": (
        lambda place: (place.home / "l" / ("B" * 26)).symlink_to("../top/diff"),
        Kind.LINK_STRAY,
        "top",
    ),
    "no lower file": (lambda place: (place.home / "leaf/lower").unlink(), Kind.LOWER, "leaf"),
    "a lower file in a base layer": (
        lambda place: (place.home / "base/lower").write_text(f"l/{place.link('side').name}"),
        Kind.LOWER,
        "base",
    ),
    "a lower file in the wrong order": (
        lambda place: (place.home / "leaf/lower").write_text(
            ":".join((place.home / "leaf/lower").read_text().split(":")[::-1])
        ),
        Kind.LOWER,
        "leaf",
    ),
    "a lower file with an unknown name": (
        lambda place: (place.home / "leaf/lower").write_text(f"l/{'C' * 26}"),
        Kind.LOWER,
        "leaf",
    ),
    "a truncated lower file": (
        lambda place: (place.home / "leaf/lower").write_text((place.home / "leaf/lower").read_text().partition(":")[0]),
        Kind.LOWER,
        "leaf",
    ),
}
