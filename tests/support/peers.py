"""Debian's podman, buildah and containers-storage on a store apart from the machine's own."""

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

PROGRAMS = ("podman", "buildah", "containers-storage", "runc", "conmon", "ldd")

STORAGE_CONF = """
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""

# Keeps away from the machine's own Podman, and needs nothing that is missing in a container.
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
    """A command of a peer failed. `output` is what it wrote to standard error."""

    def __init__(self, command: list[str], status: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} exited with status {status}:\n{output}")
        self.output = output


@dataclass(frozen=True)
class Peer:
    """Debian's containers-storage on one graph root and run root."""

    program: str
    graph: Path
    run: Path
    driver: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a subcommand."""
        return [self.program, "-g", str(self.graph), "-R", str(self.run), "-s", self.driver, *arguments]

    def __call__(self, *arguments: str, data: bytes | None = None) -> bytes:
        """Run a subcommand and return its output."""
        done = subprocess.run(self.command(*arguments), input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a subcommand with JSON output and return the parsed output."""
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
    """A store below `folder`, shared by Podman, Buildah, containers-storage and layerstore."""

    folder: Path
    driver: str
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, driver: str) -> PodmanStore:
        """Write the configuration of a new store, or skip the test if a program is missing.

        The path must be short. With a long one, Podman notices the end of a container only after 20 seconds.
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
        """The program containers-storage on this store."""
        return Peer("containers-storage", self.graph, self.run, self.driver)

    def ours(self, **options: Any) -> LayerStore:
        """Open the store with layerstore, which finds it through the same configuration as Podman."""
        place = find_store(environ=self.environ)
        assert (place.graph_root, place.run_root) == (str(self.graph), str(self.run))
        options.setdefault("lock_timeout", 60)
        return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, **options)

    def podman(self, *arguments: str) -> str:
        """Run podman and return its output without the final newline."""
        return self._call("podman", *arguments)

    def podman_run(self, *arguments: str) -> str:
        """Run a container, remove it, and return its output."""
        return self._call("podman", "run", "--rm", "--pull=never", *arguments)

    def buildah(self, *arguments: str) -> str:
        """Run buildah and return its output without the final newline."""
        return self._call("buildah", *arguments)

    def storage_tool(self, verb: str, *arguments: str) -> str:
        """Run containers-storage and return its output without the final newline."""
        place = ("-g", str(self.graph), "-R", str(self.run), "-s", self.driver)
        return self._call("containers-storage", verb, *place, *arguments)

    def podman_json(self, *arguments: str) -> Any:
        """Run podman and return its parsed JSON output, None if there is no output."""
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
        """Run a shell script in the root of the image `base`, commit the result, and return the new image's ID.

        `base` may be "scratch".
        """
        container = self.buildah("from", "--pull-never", base)
        root = self.buildah("mount", container)
        subprocess.run(["bash", "-euc", script], cwd=root, check=True, timeout=120)
        return self.buildah("commit", "--quiet", "--rm", container, *([name] if name else []))

    def make_image(self, name: str, layer: str) -> str:
        """Create an image of a layer and the layers below it, and return its ID."""
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
        """Remove all containers and unmount everything."""
        if self.graph.exists():
            for command in (("podman", "rm", "--all", "--force", "--time", "0"), ("buildah", "rm", "--all")):
                subprocess.run(command, env=self.environ, capture_output=True, timeout=120, check=False)
        unmount_below(self.folder)


def shell_script() -> str:
    """Return a script that copies this machine's sh, and its libraries, into the current folder."""
    return copy_program("/bin/sh")


def copy_program(path: str) -> str:
    """Return a script that copies a program of this machine, and its libraries, into the current folder."""
    libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    files = [path, *(word for word in libraries.split() if word.startswith("/"))]
    return "\n".join(f"mkdir -p .{os.path.dirname(file)}; cp -L {file} .{file}" for file in files)


def diff_digest(store: LayerStore, layer: str) -> str:
    """Read a layer's uncompressed diff and return its digest."""
    digest = hashlib.sha256()
    with store.diff(layer, compression=Compression.NONE) as reader:
        while piece := reader.read(1 << 20):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def chain(store: LayerStore, layer: str) -> list[str]:
    """Return the IDs of a layer and its ancestors, from the bottom up."""
    found = []
    while layer:
        found.append(layer)
        layer = store.get(layer).parent
    return found[::-1]


def assert_same_records(store: LayerStore, peer: Peer) -> None:
    """Assert that layerstore and containers-storage read the same from layers.json, field by field."""
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
    """Assert that the diff of every layer with a digest matches it, and return the number of such layers."""
    layers = [layer for layer in store.layers() if layer.diff_digest]
    for layer in layers:
        assert diff_digest(store, layer.id) == layer.diff_digest, layer
    return len(layers)
