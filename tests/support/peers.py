"""Debian's podman, buildah and containers-storage on one store of their own, away from the machine's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerstore import Compression, LayerStore, find_store
from support.mounts import unmount_below
from support.needs import need_program, need_root

PROGRAMS = ("podman", "buildah", "containers-storage", "runc", "conmon")

STORAGE_CONF = """
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""

# Nothing of the machine's own Podman is touched, and nothing is asked of the machine that a container has not got.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=100:100"]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/libpod"
"""


class PeerFailed(Exception):
    """A command of a peer that ended badly; `output` is what it wrote to standard error."""

    def __init__(self, command: list[str], status: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {status}:\n{output}")
        self.output = output


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


@dataclass(frozen=True)
class PodmanStore:
    """A store below `folder` that Podman, Buildah, containers-storage and we use."""

    folder: Path
    driver: str
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, driver: str) -> PodmanStore:
        """Write the configuration of a new store; skip the test where it cannot be used.

        The path must be short: below a long one a container's end goes unnoticed for 20 seconds.
        """
        need_root()
        for program in PROGRAMS:
            need_program(program)
        (folder / "tmp").mkdir()
        values = {"folder": folder, "driver": driver}
        (folder / "storage.conf").write_text(STORAGE_CONF.format(**values))
        (folder / "containers.conf").write_text(CONTAINERS_CONF.format(**values))
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("STORAGE_", "CONTAINERS_"))}
        environ["CONTAINERS_STORAGE_CONF"] = str(folder / "storage.conf")
        environ["CONTAINERS_CONF"] = str(folder / "containers.conf")
        environ["TMPDIR"] = str(folder / "tmp")
        return cls(folder, driver, environ)

    @property
    def graph(self) -> Path:
        """The graph root."""
        return self.folder / "graph"

    @property
    def run(self) -> Path:
        """The run root."""
        return self.folder / "run"

    @property
    def storage(self) -> Peer:
        """containers-storage on this store."""
        return Peer("containers-storage", self.graph, self.run, self.driver)

    def ours(self, **options: Any) -> LayerStore:
        """Return the store as we find it where Podman does."""
        place = find_store(environ=self.environ)
        assert (place.graph_root, place.run_root) == (str(self.graph), str(self.run))
        options.setdefault("lock_timeout", 60)
        return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, **options)

    def podman(self, *arguments: str) -> str:
        """Run podman; return what it prints, without the last end of line."""
        return self._call("podman", *arguments)

    def podman_run(self, *arguments: str) -> str:
        """Run a container, remove it, and return what it prints."""
        return self._call("podman", "run", "--rm", "--pull=never", *arguments)

    def buildah(self, *arguments: str) -> str:
        """Run buildah; return what it prints, without the last end of line."""
        return self._call("buildah", *arguments)

    def storage_tool(self, verb: str, *arguments: str) -> str:
        """Run containers-storage; return what it prints, without the last end of line."""
        place = ("-g", str(self.graph), "-R", str(self.run), "-s", self.driver)
        return self._call("containers-storage", verb, *place, *arguments)

    def podman_json(self, *arguments: str) -> Any:
        """Run podman and read the JSON that it prints; None where it prints nothing."""
        return json.loads(self.podman(*arguments) or "null")

    def _call(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
            cwd=self.folder,
        )
        if done.returncode:
            raise PeerFailed(list(command), done.returncode, done.stderr.decode(errors="replace"))
        return done.stdout.decode().rstrip("\n")

    def build(self, base: str, script: str, name: str = "") -> str:
        """Commit an image of what a shell script makes of `base` ("scratch" for nothing); return the image's ID."""
        container = self.buildah("from", "--pull-never", base)
        root = self.buildah("mount", container)
        subprocess.run(["bash", "-euc", script], cwd=root, check=True, timeout=120)
        return self.buildah("commit", "--quiet", "--rm", container, *([name] if name else []))

    def make_image(self, name: str, layer: str) -> str:
        """Make an image of a layer and all below it, as a tool on containers/storage does; return its ID."""
        digests = [self.ours().get(part).diff_digest for part in chain(self.ours(), layer)]
        rootfs = {"type": "layers", "diff_ids": digests}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        image = hashlib.sha256(config).hexdigest()
        media, blobs = "application/vnd.oci.image", []
        for digest, part in zip(digests, chain(self.ours(), layer), strict=True):
            size = self.ours().get(part).diff_size
            blobs.append({"mediaType": f"{media}.layer.v1.tar", "digest": digest, "size": size})
        head = {"mediaType": f"{media}.config.v1+json", "digest": f"sha256:{image}", "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": f"{media}.manifest.v1+json", "config": head, "layers": blobs}
        self.storage("create-image", "-i", image, "-n", name, layer)
        for key, data in ((f"sha256:{image}", config), ("manifest", json.dumps(manifest).encode())):
            (self.folder / "tmp/data").write_bytes(data)
            self.storage("set-image-data", "-f", str(self.folder / "tmp/data"), image, key)
        return image

    def close(self) -> None:
        """End every container and every mount."""
        if self.graph.exists():
            for command in (("podman", "rm", "--all", "--force", "--time", "0"), ("buildah", "rm", "--all")):
                subprocess.run(command, env=self.environ, capture_output=True, timeout=120, check=False)
        unmount_below(self.folder)


def shell_script() -> str:
    """Return a script that puts the machine's sh, and what it needs, below the current folder."""
    needs = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    files = ["/bin/sh", *(word for word in needs.split() if word.startswith("/"))]
    return "\n".join(f"mkdir -p .{os.path.dirname(path)}; cp -L {path} .{path}" for path in files)


def diff_digest(store: LayerStore, layer: str) -> str:
    """Return the digest of the layer's uncompressed diff, as it is read."""
    digest = hashlib.sha256()
    with store.diff(layer, compression=Compression.NONE) as reader:
        while piece := reader.read(1 << 20):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def chain(store: LayerStore, layer: str) -> list[str]:
    """Return the IDs of the layers that make up this one, the lowest first."""
    found = []
    while layer:
        found.append(layer)
        layer = store.get(layer).parent
    return found[::-1]


def assert_same_records(store: LayerStore, peer: Peer) -> None:
    """Assert that both sides read the same in layers.json, field for field."""
    records = peer.layers()
    ours = {layer.id: layer for layer in store.layers()}
    assert ours.keys() == records.keys()
    for layer_id, record in records.items():
        layer = ours[layer_id]
        assert (layer.parent, list(layer.names)) == (record.get("parent", ""), record.get("names", []))
        assert (layer.metadata, layer.flags) == (record.get("metadata", ""), record.get("flags", {}))
        assert layer.diff_digest == record.get("diff-digest", "")
        assert layer.diff_size == record.get("diff-size", 0)
        assert layer.compressed_diff_digest == record.get("compressed-diff-digest", "")
        assert layer.compressed_size == record.get("compressed-size", 0)
        assert layer.compression == record.get("compression", 0)
        assert (list(layer.uidset), list(layer.gidset)) == (record.get("uidset", []), record.get("gidset", []))


def assert_exact_diffs(store: LayerStore) -> int:
    """Assert that every layer with a digest gives out the bytes that came in; return how many there are."""
    layers = [layer for layer in store.layers() if layer.diff_digest]
    for layer in layers:
        assert diff_digest(store, layer.id) == layer.diff_digest, layer
    return len(layers)
