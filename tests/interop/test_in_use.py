"""Which images, containers and processes use a layer, compared with what Podman reports."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import Any

import pytest

from layerstore import LayerInUse, MountPlace
from support.peers import PeerFailed, PodmanStore, copy_program


@pytest.fixture
def image(podman: PodmanStore) -> str:
    """Build an image with the single program sleep, and give it two names."""
    podman.build("scratch", copy_program("/bin/sleep"), "localhost/app:1")
    podman.podman("tag", "localhost/app:1", "localhost/app:2")
    return "localhost/app:1"


def create(podman: PodmanStore, name: str, image: str) -> None:
    podman.podman("create", "--pull=never", "--name", name, image, "/bin/sleep", "1")


def start(podman: PodmanStore, name: str, image: str) -> int:
    """Start a container that sleeps, and return its process ID."""
    podman.podman("run", "--detach", "--pull=never", "--name", name, image, "/bin/sleep", "300")
    return int(podman.podman("inspect", "--format", "{{.State.Pid}}", name))


def mount_records(podman: PodmanStore) -> list[dict[str, Any]]:
    """Return the content of mountpoints.json."""
    return list(json.loads((podman.run / f"{podman.driver}-layers/mountpoints.json").read_bytes() or b"[]"))


def test_users_of_layers_are_those_that_podman_lists(podman: PodmanStore, image: str) -> None:
    create(podman, "first", image)
    create(podman, "second", image)
    store = podman.ours()
    names = {name for entry in podman.podman_json("images", "--format", "json") for name in entry["Names"]}
    containers = {name for entry in podman.podman_json("ps", "-a", "--format", "json") for name in entry["Names"]}
    assert containers == {"first", "second"}
    users = store.references()
    image_top = podman.podman("image", "mount", image)
    tops = {podman.podman("mount", name): name for name in ("first", "second")}
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
    podman.podman("umount", "-a")
    podman.podman("image", "umount", image)
    assert store.mounts() == []
    podman.podman("rm", "first", "second")
    podman.podman("rmi", "localhost/app:2")
    (base,) = store.layers()
    assert store.references().images(base.id) == ("localhost/app:1",)
    assert not store.references().containers(base.id)


def test_podman_can_clean_up_after_a_forced_delete(podman: PodmanStore, image: str) -> None:
    create(podman, "web", image)
    store = podman.ours()
    top = next(layer.id for layer in store.layers() if layer.parent)
    (base,) = [layer.id for layer in store.layers() if not layer.parent]
    with pytest.raises(LayerInUse) as caught:
        store.delete(top)
    assert caught.value.containers == ("web",)
    with pytest.raises(LayerInUse) as caught:
        store.delete(base, force=True)
    assert caught.value.children == (top,)
    podman.podman("inspect", "web")
    store.delete(top, force=True)
    with pytest.raises(LayerInUse) as caught:
        store.delete(base)
    assert set(caught.value.images) == {"localhost/app:1", "localhost/app:2"}
    assert caught.value.containers == ()
    store.delete(base, force=True)
    assert store.layers() == []
    with pytest.raises(PeerFailed, match="layer not known"):
        podman.podman("start", "web")
    podman.podman("rm", "web")
    podman.podman("rmi", "localhost/app:1")
    podman.podman("rmi", "localhost/app:2")
    assert podman.podman_json("images", "-a", "--format", "json") == []
    assert podman.podman_json("ps", "-a", "--format", "json") == []


def test_a_running_container_is_found_and_its_layer_kept(podman: PodmanStore, image: str) -> None:
    pid = start(podman, "web", image)
    store = podman.ours()
    (state,) = store.mounts()
    assert (state.count, state.place) == (1, MountPlace.HERE)
    users = store.mount_users(state.id)
    assert users.containers == ("web",)
    assert [(process.pid, process.command, process.how) for process in users.processes] == [
        (pid, "/bin/sleep 300", "root")
    ]
    with pytest.raises(LayerInUse, match=f"PID {pid}"):
        store.delete(state.id, force=True)
    # The mount is counted: Podman keeps it when ours ends.
    assert str(store.mount(state.id)) == state.path
    assert [record["count"] for record in mount_records(podman)] == [2]
    assert store.unmount(state.id) is True
    podman.podman("stop", "-t", "0", "web")
    assert store.mounts() == []
    assert mount_records(podman) == []
    assert store.mount_users(state.id).processes == ()


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
def test_a_mount_that_podman_lost_is_stale_once_no_process_uses_it(podman: PodmanStore, image: str) -> None:
    start(podman, "web", image)
    store = podman.ours()
    (state,) = store.mounts()
    subprocess.run(["umount", state.path], check=True)
    (living,) = store.mounts()
    assert living.place is MountPlace.ELSEWHERE
    assert store.clear_stale_mounts() == []
    podman.podman("stop", "-t", "0", "web")
    assert mount_records(podman) == []

    path = podman.podman("mount", "web")
    subprocess.run(["umount", path], check=True)
    assert [state.stale for state in store.mounts()] == [True]
    assert [state.path for state in store.clear_stale_mounts()] == [path]
    assert mount_records(podman) == []
    with contextlib.suppress(PeerFailed):  # newer versions of Podman fail here
        podman.podman("umount", "web")
    podman.podman("start", "web")
    assert [(state.count, state.place) for state in store.mounts()] == [(1, MountPlace.HERE)]
    podman.podman("rm", "-f", "-t", "0", "web")
    assert store.mounts() == []
