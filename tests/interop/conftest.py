"""The real containers-storage, and a store that both sides open."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerstore import LayerStore
from support import need_program, need_root, unmount_below


@dataclass(frozen=True)
class Peer:
    """Debian's containers-storage on one graph root and run root."""

    program: str
    graph: Path
    run: Path
    driver: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a verb."""
        return [self.program, "-g", str(self.graph), "-R", str(self.run), "-s", self.driver, *arguments]

    def __call__(self, *arguments: str, data: bytes | None = None) -> bytes:
        """Run a verb and return what it prints."""
        done = subprocess.run(self.command(*arguments), input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a verb that can print JSON."""
        return json.loads(self(arguments[0], "-j", *arguments[1:]))

    def layers(self) -> dict[str, dict[str, Any]]:
        """Return the records by ID."""
        return {record["id"]: record for record in self.json("layers") or []}

    def changes(self, *layers: str) -> list[tuple[int, str]]:
        """Return kinds and paths, sorted by path."""
        changes = [(change["Kind"], change["Path"]) for change in self.json("changes", *layers) or []]
        return sorted(changes, key=lambda change: change[1].encode())

    def diff(self, layer: str, folder: Path) -> bytes:
        """Return the layer's diff, uncompressed."""
        path = folder / "peer.diff"
        path.unlink(missing_ok=True)
        self("diff", "-u", "-f", str(path), layer)
        return path.read_bytes()


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the driver's name."""
    name: str = request.param
    return name


@pytest.fixture
def peer(tmp_path: Path, driver: str) -> Iterator[Peer]:
    """Yield the peer on a store of its own."""
    need_root()
    yield Peer(need_program("containers-storage"), tmp_path / "graph", tmp_path / "run", driver)
    unmount_below(tmp_path)


@pytest.fixture
def ours(peer: Peer) -> LayerStore:
    """Return the same store, opened by us; made by us where the peer has not made it yet."""
    return LayerStore.open(peer.graph, peer.run, driver=peer.driver, lock_timeout=60)
