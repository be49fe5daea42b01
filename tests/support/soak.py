"""One side of a soak test: random operations on a store that other processes use at the same time.

Run as `python -m support.soak SIDE SEED SECONDS FOLDER DRIVER`. It prints the number of operations as JSON. An
operation can lose a race against another side, for example if its layer is deleted or in use. Such losses are counted.
Any other error ends the run.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from layerstore import Layer, LayerInUse, LayerUnknown, ParentUnknown
from support.peers import PeerFailed, PodmanStore
from support.tars import make_tar

# Parts of a peer's error messages that mean corruption or a crash.
DAMAGE = re.compile(r"panic|unmarshal|corrupt|unexpected end|invalid character|digest.*mismatch|input/output|SIGSEGV")
MOST_IMAGES = 10
MOST_LAYERS = 12


class Side:
    """Runs random operations. Each is a method, and may raise the errors in `lost`."""

    lost: tuple[type[Exception], ...] = (PeerFailed,)

    def __init__(self, store: PodmanStore, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.name = f"{type(self).__name__.lower()}{seed}"
        self.counts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.number = 0

    def operations(self) -> dict[Callable[[], None], int]:
        """Return the operations with their weights."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Unmount and remove what this side still holds."""

    def run(self, seconds: float) -> None:
        """Run operations until the time is up."""
        until = time.monotonic() + seconds
        table = self.operations()
        while time.monotonic() < until:
            (operation,) = self.chance.choices(list(table), list(table.values()))
            self.attempt(operation)
        self.tidy()

    def attempt(self, operation: Callable[[], None]) -> None:
        """Run one operation and count its outcome."""
        word = f"{type(self).__name__} {operation.__name__}"
        try:
            operation()
            self.counts[word] += 1
        except NothingToDo:
            pass
        except self.lost as error:
            text = str(error)
            assert not DAMAGE.search(text), text
            self.losses[f"{word}: {reason(error)}"] += 1

    def new_name(self) -> str:
        """Return a name that has not been used."""
        self.number += 1
        return f"{self.name}-{self.number}"

    def need(self, condition: bool) -> None:
        """Skip the operation unless the condition holds. This does not count as a loss."""
        if not condition:
            raise NothingToDo

    def some(self, things: list[str]) -> str:
        """Return a random item, or skip the operation if there is none."""
        self.need(bool(things))
        return self.chance.choice(things)


class NothingToDo(PeerFailed):
    """The operation is skipped."""

    def __init__(self) -> None:
        super().__init__([], 0, "nothing to do")


def reason(error: Exception) -> str:
    """Return why an operation lost, without names and IDs."""
    text = error.output if isinstance(error, PeerFailed) else type(error).__name__
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r"[0-9a-f]{12,}|\S*/\S+|\w+-\w+-\d+|podman\d+-\d+|buildah\d+-\d+", "…", lines[-1] if lines else "")[
        :120
    ]


class Ours(Side):
    """All operations of LayerStore, on its own layers and on those of others."""

    lost = (LayerUnknown, ParentUnknown, LayerInUse)

    def __init__(self, store: PodmanStore, seed: int) -> None:
        super().__init__(store, seed)
        self.layers = store.ours()
        self.own: list[str] = []
        self.mounted: list[str] = []

    def operations(self) -> dict[Callable[[], None], int]:
        return {
            self.put: 6,
            self.create: 3,
            self.apply_diff: 2,
            self.set_names: 3,
            self.set_flag: 2,
            self.set_metadata: 2,
            self.mount: 4,
            self.unmount: 4,
            self.changes: 3,
            self.diff: 4,
            self.diff_size: 1,
            self.usage: 1,
            self.look: 2,
            self.delete: 6,
            self.load: 1,
        }

    def any_layer(self) -> str:
        return self.some([layer.id for layer in self.layers.layers()])

    def full_layer(self) -> str:
        """Return a layer with a digest. Containers' layers have none and change meanwhile."""
        return self.some([layer.id for layer in self.layers.layers() if layer.diff_digest])

    def tar(self) -> bytes:
        number = self.number
        files = {
            f"ours/{self.chance.randrange(9)}": self.chance.randbytes(self.chance.randrange(60_000)) for _ in "123"
        }
        return make_tar({"ours": None, **files, f"own-{number}": b"x", "etc": None, "etc/.wh.keep": b""})

    def put(self) -> None:
        self.need(len(self.own) < MOST_LAYERS)
        parent = self.chance.choice([None, self.full_layer])
        name = self.new_name()
        layer, _ = self.layers.put(self.tar(), parent=parent and parent(), names=[name])
        self.own.append(layer.id)

    def create(self) -> None:
        self.need(len(self.own) < MOST_LAYERS)
        self.own.append(self.layers.create(parent=self.full_layer(), names=[self.new_name()]).id)

    def apply_diff(self) -> None:
        layer = self.some(self.own)
        self.need(layer not in self.mounted)
        self.layers.apply_diff(layer, self.tar())

    def set_names(self) -> None:
        self.layers.set_names(self.some(self.own), [self.new_name(), self.new_name()])

    def set_flag(self) -> None:
        self.layers.set_flag(self.some(self.own), f"flag{self.chance.randrange(3)}", self.number)

    def set_metadata(self) -> None:
        self.layers.set_metadata(self.some(self.own), f"words {self.number}")

    def mount(self) -> None:
        layer = self.any_layer()
        path = self.layers.mount(layer)
        self.mounted.append(layer)
        os.listdir(path)
        if layer in self.own and not self.layers.get(layer).diff_digest:
            (path / self.new_name()).write_bytes(b"written")

    def unmount(self) -> None:
        layer = self.some(self.mounted)
        self.mounted.remove(layer)
        self.layers.unmount(layer)

    def changes(self) -> None:
        self.layers.changes(self.full_layer())

    def diff(self) -> None:
        """Read a diff to its end, which checks the digest."""
        with self.layers.diff(self.full_layer()) as reader:
            while reader.read(1 << 20):
                pass

    def diff_size(self) -> None:
        self.layers.diff_size(self.full_layer())

    def usage(self) -> None:
        with suppress(FileNotFoundError):  # usage takes no lock, so the layer can be deleted meanwhile
            self.layers.usage(self.full_layer())

    def look(self) -> None:
        self.layers.references()
        self.layers.mounts()
        self.layers.status()

    def delete(self) -> None:
        layer = self.some(self.own)
        try:
            self.layers.delete(layer)
        except LayerUnknown:
            self.own.remove(layer)
            raise
        self.own.remove(layer)

    def load(self) -> None:
        self.layers.load()

    def tidy(self) -> None:
        for layer in self.mounted:
            with suppress(LayerUnknown):
                self.layers.unmount(layer)


class Killed(Ours):
    """The same operations in a process that is killed at a random moment.

    It does not mount, because its mounts would remain. It does not apply diffs to existing layers, because only the
    next write by layerstore completes an interrupted one. Until then the peers see a layer that does not match its
    digest.
    """

    def __init__(self, store: PodmanStore, seed: int) -> None:
        super().__init__(store, seed)
        # Continue with the layers of the processes that were killed before.
        self.own = [layer.id for layer in self.layers.layers() if "".join(layer.names).startswith("killed")]

    def operations(self) -> dict[Callable[[], None], int]:
        without = (self.mount, self.unmount, self.apply_diff)
        return {operation: weight for operation, weight in super().operations().items() if operation not in without}


class Podman(Side):
    """Containers and images, with podman."""

    def operations(self) -> dict[Callable[[], None], int]:
        return {
            self.create: 4,
            self.mount: 4,
            self.unmount: 3,
            self.run_one: 2,
            self.diff: 2,
            self.rm: 4,
            self.rmi: 3,
            self.images: 1,
        }

    def containers(self) -> list[str]:
        return self.store.podman("ps", "--all", "--quiet", "--no-trunc").split()

    def image(self) -> str:
        found = self.store.podman("images", "--format", "{{.Repository}}").splitlines()
        return self.some([name for name in found if name.startswith("localhost/")])

    def create(self) -> None:
        self.need(len(self.containers()) < 6)
        self.store.podman("create", "--pull=never", "--name", self.new_name(), self.image(), "sh")

    def mount(self) -> None:
        root = Path(self.store.podman("mount", self.some(self.containers())))
        with suppress(FileNotFoundError):  # another process may have unmounted it
            (root / self.new_name()).write_bytes(b"by podman")

    def unmount(self) -> None:
        self.store.podman("unmount", self.some(self.containers()))

    def run_one(self) -> None:
        assert self.store.podman_run("localhost/base:latest", "sh", "-c", "echo $((6 * 7))") == "42"

    def diff(self) -> None:
        self.store.podman("diff", self.some(self.containers()))

    def rm(self) -> None:
        self.store.podman("rm", "--force", "--time", "0", self.some(self.containers()))

    def rmi(self) -> None:
        image = self.image()
        self.need(image != "localhost/base")
        self.store.podman("rmi", image)

    def images(self) -> None:
        self.store.podman("images")

    def tidy(self) -> None:
        for container in self.containers():
            with suppress(PeerFailed):
                self.store.podman("unmount", container)


class Buildah(Side):
    """Images, with buildah, from scratch and on other images."""

    def __init__(self, store: PodmanStore, seed: int) -> None:
        super().__init__(store, seed)
        self.working: list[str] = []

    def operations(self) -> dict[Callable[[], None], int]:
        return {self.begin: 4, self.add: 4, self.commit: 4, self.rm: 2, self.inspect: 1}

    def images(self) -> list[str]:
        return self.store.buildah("images", "--format", "{{.Name}}").splitlines()

    def begin(self) -> None:
        self.need(len(self.working) < 4)
        names = [name for name in self.images() if name.startswith("localhost/")]
        base = self.chance.choice(["scratch", *names])
        self.working.append(self.store.buildah("from", "--pull-never", "--name", self.new_name(), base))

    def add(self) -> None:
        container = self.some(self.working)
        root = Path(self.store.buildah("mount", container))
        script = 'mkdir -p etc lib; echo $RANDOM > "$1"; rm -rf etc/keep lib/old; mkdir lib/old; cp -l "$1" lib/old/two'
        subprocess.run(["bash", "-euc", script, "-", self.new_name()], cwd=root, check=True)
        self.store.buildah("umount", container)

    def commit(self) -> None:
        container = self.some(self.working)
        self.need(len(self.images()) < MOST_IMAGES)
        self.store.buildah("commit", "--quiet", container, f"localhost/{self.new_name()}")

    def rm(self) -> None:
        container = self.some(self.working)
        self.working.remove(container)
        self.store.buildah("rm", container)

    def inspect(self) -> None:
        self.store.buildah("inspect", self.some(self.working))

    def tidy(self) -> None:
        for container in self.working:
            with suppress(PeerFailed):
                self.store.buildah("rm", container)


class Storage(Side):
    """Layers, with containers-storage, on top of any layer."""

    def __init__(self, store: PodmanStore, seed: int) -> None:
        super().__init__(store, seed)
        self.own: list[str] = []

    def operations(self) -> dict[Callable[[], None], int]:
        return {
            self.create: 4,
            self.put: 4,
            self.names: 3,
            self.diff: 3,
            self.changes: 2,
            self.delete: 5,
            self.mount: 2,
        }

    def layers(self) -> list[Layer]:
        return self.store.ours(read_only=True).layers()

    def any_layer(self) -> str:
        return self.some([layer.id for layer in self.layers() if layer.diff_digest])

    def create(self) -> None:
        self.need(len(self.own) < MOST_LAYERS)
        self.own.append(self.store.storage_tool("create-layer", "-n", self.new_name(), self.any_layer()).split()[0])

    def put(self) -> None:
        self.need(len(self.own) < MOST_LAYERS)
        path = self.store.folder / "tmp" / self.name
        path.write_bytes(make_tar({"theirs": os.urandom(self.chance.randrange(50_000)), "etc/.wh.keep": b""}))
        output = self.store.storage_tool("import-layer", "-f", str(path), "-n", self.new_name(), self.any_layer())
        self.own.append(output.split()[0])

    def names(self) -> None:
        self.store.storage_tool("set-names", "-n", self.new_name(), self.some(self.own))

    def diff(self) -> None:
        self.store.storage_tool("diff", "-u", "-f", "/dev/null", self.any_layer())

    def changes(self) -> None:
        self.store.storage_tool("changes", self.any_layer())

    def delete(self) -> None:
        layer = self.some(self.own)
        if self.store.ours(read_only=True).exists(layer):
            self.store.storage_tool("delete-layer", layer)
        self.own.remove(layer)

    def mount(self) -> None:
        layer = self.some(self.own)
        self.store.storage_tool("mount", layer)
        self.store.storage_tool("unmount", layer)


SIDES: dict[str, type[Side]] = {side.__name__: side for side in (Ours, Killed, Podman, Buildah, Storage)}


def main(side: str, seed: str, seconds: str, folder: str, driver: str) -> None:
    """Run one side and print its counts."""
    worker = SIDES[side](PodmanStore(Path(folder), driver, dict(os.environ)), int(seed))
    worker.run(float(seconds))
    json.dump({"counts": worker.counts, "losses": worker.losses}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
