"""Who uses a layer, as Podman says it; and what deleting and unmounting do to Podman."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerstore import LayerInUse, LayerStore, MountPlace
from support.mounts import unmount_below
from support.needs import need_program, need_root

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=100:100", "--net=none")


@dataclass(frozen=True)
class Podman:
    """Podman and Buildah on a store of their own."""

    folder: Path
    driver: str

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"), "TMPDIR": str(self.folder)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )

    def __call__(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def json(self, *command: str) -> Any:
        return json.loads(self(*command, "--format", "json") or "[]")

    def start(self, name: str, image: str) -> int:
        """Start a container that does nothing for a while; return its process."""
        runtime = need_program("runc")
        self("podman", "run", "-d", "--runtime", runtime, *LIMITS, "--name", name, image, "/bin/sleep", "300")
        return int(self("podman", "inspect", "-f", "{{.State.Pid}}", name))

    def open(self) -> LayerStore:
        return LayerStore.open(self.folder / "graph", self.folder / "run", driver=self.driver, lock_timeout=30)

    def lines(self) -> list[dict[str, Any]]:
        path = self.folder / f"run/{self.driver}-layers/mountpoints.json"
        return list(json.loads(path.read_bytes() or b"[]"))


@pytest.fixture
def podman(tmp_path: Path, driver: str) -> Iterator[Podman]:
    need_root()
    for program in ("podman", "buildah", "ldd"):
        need_program(program)
    conf = f'[storage]\ndriver = "{driver}"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
    (tmp_path / "storage.conf").write_text(conf)
    podman = Podman(tmp_path, driver)
    yield podman
    podman.run("podman", "rm", "-af", "-t", "0")
    unmount_below(tmp_path)


@pytest.fixture
def image(podman: Podman) -> str:
    """An image of one program, under two names."""
    container = podman("buildah", "from", "scratch")
    root = Path(podman("buildah", "mount", container))
    sleep = need_program("sleep")
    libraries = re.findall(
        r"(/\S+) \(", subprocess.run(["ldd", sleep], capture_output=True, text=True, check=True).stdout
    )
    for source, target in ((sleep, "/bin/sleep"), *((library, library) for library in libraries)):
        (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / target[1:])
    podman("buildah", "umount", container)
    podman("buildah", "commit", "-q", container, "localhost/app:1")
    podman("buildah", "rm", container)
    podman("buildah", "tag", "localhost/app:1", "localhost/app:2")
    return "localhost/app:1"


def test_users_are_those_that_podman_names(podman: Podman, image: str) -> None:
    podman("podman", "create", "--name", "first", *LIMITS, image, "/bin/sleep", "1")
    podman("podman", "create", "--name", "second", *LIMITS, image, "/bin/sleep", "1")
    store = podman.open()
    names = {name for entry in podman.json("podman", "images") for name in entry["Names"]}
    containers = {name for entry in podman.json("podman", "ps", "-a") for name in entry["Names"]}
    assert containers == {"first", "second"}
    users = store.references()
    image_top = podman("podman", "image", "mount", image)
    tops = {podman("podman", "mount", name): name for name in ("first", "second")}
    assert len(store.layers()) == len(tops) + 1
    for layer in store.layers():
        if layer.parent:
            (name,) = [name for path, name in tops.items() if layer.id in path]
            assert users.containers(layer.id) == (name,)
            assert users.images(layer.id) == ()
        else:
            assert layer.id in image_top
            assert set(users.images(layer.id)) == names == {"localhost/app:1", "localhost/app:2"}
            assert set(users.containers(layer.id)) == containers
    assert {state.path for state in store.mounts()} == {image_top, *tops}
    podman("podman", "umount", "-a")
    podman("podman", "image", "umount", image)
    assert store.mounts() == []
    podman("podman", "rm", "first", "second")
    podman("podman", "rmi", "localhost/app:2")
    (base,) = store.layers()
    assert store.references().images(base.id) == ("localhost/app:1",)
    assert not store.references().containers(base.id)


def test_a_forced_delete_breaks_what_it_says_and_podman_cleans_up(podman: Podman, image: str) -> None:
    podman("podman", "create", "--name", "web", *LIMITS, image, "/bin/sleep", "1")
    store = podman.open()
    top = next(layer.id for layer in store.layers() if layer.parent)
    (base,) = [layer.id for layer in store.layers() if not layer.parent]
    with pytest.raises(LayerInUse) as caught:
        store.delete(top)
    assert caught.value.containers == ("web",)
    with pytest.raises(LayerInUse) as caught:
        store.delete(base, force=True)
    assert caught.value.children == (top,)
    podman("podman", "inspect", "web")
    store.delete(top, force=True)
    with pytest.raises(LayerInUse) as caught:
        store.delete(base)
    assert set(caught.value.images) == {"localhost/app:1", "localhost/app:2"}
    assert caught.value.containers == ()
    store.delete(base, force=True)
    assert store.layers() == []
    broken = podman.run("podman", "start", "web")
    assert broken.returncode
    assert "layer not known" in broken.stderr
    podman("podman", "rm", "web")
    podman("podman", "rmi", "localhost/app:1")
    podman("podman", "rmi", "localhost/app:2")
    assert podman.json("podman", "images", "-a") == []
    assert podman.json("podman", "ps", "-a") == []


def test_a_running_container_is_seen_and_kept(podman: Podman, image: str) -> None:
    pid = podman.start("web", image)
    store = podman.open()
    (state,) = store.mounts()
    assert (state.count, state.place) == (1, MountPlace.HERE)
    users = store.mount_users(state.id)
    assert users.containers == ("web",)
    assert [(process.pid, process.command, process.how) for process in users.processes] == [
        (pid, "/bin/sleep 300", "root")
    ]
    with pytest.raises(LayerInUse, match=f"PID {pid}"):
        store.delete(state.id, force=True)
    # Podman's mount counts: ours on top ends without it.
    assert str(store.mount(state.id)) == state.path
    assert [line["count"] for line in podman.lines()] == [2]
    assert store.unmount(state.id) is True
    podman("podman", "stop", "-t", "0", "web")
    assert store.mounts() == []
    assert podman.lines() == []
    assert store.mount_users(state.id).processes == ()


@pytest.mark.parametrize("driver", ["overlay"])
def test_a_mount_that_podman_lost_is_stale_once_nothing_runs_in_it(podman: Podman, image: str) -> None:
    podman.start("web", image)
    store = podman.open()
    (state,) = store.mounts()
    subprocess.run(["umount", state.path], check=True)
    (living,) = store.mounts()
    assert living.place is MountPlace.ELSEWHERE
    assert store.clear_stale_mounts() == []
    podman("podman", "stop", "-t", "0", "web")
    assert podman.lines() == []

    path = podman("podman", "mount", "web")
    subprocess.run(["umount", path], check=True)
    assert [state.stale for state in store.mounts()] == [True]
    assert [state.path for state in store.clear_stale_mounts()] == [path]
    assert podman.lines() == []
    podman.run("podman", "umount", "web")  # whether it minds depends on its version
    podman("podman", "start", "web")
    assert [(state.count, state.place) for state in store.mounts()] == [(1, MountPlace.HERE)]
    podman("podman", "rm", "-f", "-t", "0", "web")
    assert store.mounts() == []
