"""Images of Podman and Buildah read by layerstore, images made of its layers, and mounts counted together."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from layerstore import LayerInUse
from support.images import BASE, as_podman_prints, build_three, image_layer, podman_diff
from support.peers import (
    PeerFailed,
    PodmanStore,
    assert_exact_diffs,
    assert_same_records,
    chain,
    diff_digest,
    shell_script,
)
from support.tars import make_tar

# With overlay the peers fail to list the changes of this layer: "not a directory".
FOLDER_FOR_FILE = "rm etc/changed; mkdir etc/changed; printf x > etc/changed/x"


def test_all_programs_agree_on_an_image_from_scratch(podman: PodmanStore) -> None:
    layers = build_three(podman)
    store = podman.ours()
    assert len(layers) == 3
    assert_same_records(store, podman.storage)
    (image,) = podman.podman_json("image", "inspect", "localhost/three")
    assert image["RootFS"]["Layers"] == [diff_digest(store, layer) for layer in layers]
    assert assert_exact_diffs(store) == 3
    for layer in layers:
        changes = store.changes(layer)
        assert [(change.kind, change.path) for change in changes] == podman.storage.changes(layer)
    for name, layer in zip(("one", "two", "three"), layers, strict=True):
        assert podman_diff(podman, f"localhost/{name}") == as_podman_prints(store.changes(layer))
        assert store.references().top_images(layer) == (f"localhost/{name}:latest",)
        data = podman.podman_json("image", "inspect", f"localhost/{name}")[0]["GraphDriver"]["Data"]
        assert podman.driver == "vfs" or data["UpperDir"] == str(store.paths(layer)["diff"])


def test_a_folder_replaces_a_file(podman: PodmanStore) -> None:
    podman.build("scratch", BASE, "one")
    podman.build("localhost/one", FOLDER_FOR_FILE, "two")
    store = podman.ours()
    layer = image_layer(store, "localhost/two:latest")
    assert assert_exact_diffs(store) == 2
    if podman.driver == "vfs":
        assert podman_diff(podman, "localhost/two") == as_podman_prints(store.changes(layer))
    else:
        assert as_podman_prints(store.changes(layer)) == ["A /etc/changed/x", "C /etc", "D /etc/changed"]
        with pytest.raises(PeerFailed, match="not a directory"):
            podman_diff(podman, "localhost/two")


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
def test_all_programs_agree_on_a_debian_image(podman: PodmanStore, debian_root: Path) -> None:
    podman.build("scratch", f"tar -xf {debian_root}", "root")
    podman.build("localhost/root", "rm -r usr/share/doc; printf 'x\n' >> etc/hosts; mkdir srv/data", "app")
    store = podman.ours()
    layers = chain(store, image_layer(store, "localhost/app:latest"))
    assert_same_records(store, podman.storage)
    (image,) = podman.podman_json("image", "inspect", "localhost/app")
    assert image["RootFS"]["Layers"] == [store.get(layer).diff_digest for layer in layers]
    assert assert_exact_diffs(store) == 2
    for layer in layers:
        assert [(change.kind, change.path) for change in store.changes(layer)] == podman.storage.changes(layer)
    assert podman.podman_run("localhost/app", "cat", "/etc/debian_version")
    assert_same_records(store, podman.storage)


def test_podman_runs_and_builds_on_our_layers(podman: PodmanStore) -> None:
    podman.build("scratch", shell_script(), "shell")
    store = podman.ours()
    below = image_layer(store, "localhost/shell:latest")
    diff = make_tar({"hello": b"from our layer\n"})
    # Buildah derives a layer's ID from its parent and its diff. With this ID, it builds on our layer and not on a copy.
    facts = f"{below}+{hashlib.sha256(diff).hexdigest()}"
    layer, _ = store.put(diff, id=hashlib.sha256(facts.encode()).hexdigest(), parent=below, names=["mine"])
    assert podman.storage.layers()[layer.id]["names"] == ["mine"]
    image = podman.make_image("localhost/ours:latest", layer.id)
    assert store.references().top_images(layer.id) == ("localhost/ours:latest",)
    assert "localhost/ours" in podman.podman("images", "--format", "{{.Repository}}").splitlines()
    assert podman.podman_run(image, "sh", "-c", "read line < /hello; echo $line") == "from our layer"
    name = podman.buildah("from", "--pull-never", "localhost/ours")
    assert (Path(podman.buildah("mount", name)) / "hello").read_text() == "from our layer\n"
    assert [state.count for state in store.mounts()] == [1]
    podman.buildah("rm", name)
    assert store.mounts() == []
    podman.build("localhost/ours", "rm hello; printf 1 > more", "more")
    more = image_layer(store, "localhost/more:latest")
    assert store.get(more).parent == layer.id
    assert [change.path for change in store.changes(more)] == ["/hello", "/more"]
    with pytest.raises(LayerInUse):
        store.delete(layer.id)
    podman.podman("rmi", "localhost/more", "localhost/ours")
    assert [found.id for found in store.layers()] == [below], "Podman deletes our layer with its last image"
    assert_same_records(store, podman.storage)


def test_mounts_are_counted_together(podman: PodmanStore) -> None:
    podman.build("scratch", BASE, "one")
    store = podman.ours()
    podman.podman("create", "--pull=never", "--name", "box", "localhost/one", "/none")
    ((container, (top,)),) = store.references().container_tops
    assert container == "box"
    layer = store.get(top)
    path = Path(podman.podman("mount", "box"))
    assert (store.get(layer.id).mount_point, store.get(layer.id).mount_count) == (str(path), 1)
    assert store.mount(layer.id) == path
    (path / "etc/new").write_text("written through the mount")
    podman.podman("unmount", "box")
    assert store.get(layer.id).mount_count == 1
    assert (path / "etc/new").exists(), "our mount keeps it mounted"
    assert podman.podman("mount", "box") == str(path)
    assert store.unmount(layer.id), "Podman's mount keeps it mounted"
    podman.podman("unmount", "box")
    assert store.get(layer.id).mount_count == 0
    assert store.mounts() == []
    assert as_podman_prints(store.changes(layer.id)) == podman_diff(podman, "box")
    assert "A /etc/new" in podman_diff(podman, "box")
    # The count continues if we mount first.
    assert store.mount(layer.id) == path
    assert podman.podman("mount", "box") == str(path)
    assert store.unmount(layer.id)
    podman.podman("rm", "--force", "box")
    assert not store.exists(layer.id)
    assert store.mounts() == []


DIES = textwrap.dedent(
    """
    import io, os, signal, sys, time
    from layerstore import LayerStore
    graph, run, driver, parent = sys.argv[1:]

    class Slow(io.RawIOBase):
        def __init__(self):
            self.data, self.sent = sys.stdin.buffer.read(), 0
        def readable(self):
            return True
        def readinto(self, buffer):
            if self.sent > len(self.data) // 2:
                print("half", flush=True)
                time.sleep(600)
            piece = self.data[self.sent : self.sent + min(len(buffer), 10_000)]
            buffer[: len(piece)] = piece
            self.sent += len(piece)
            return len(piece)

    LayerStore.open(graph, run, driver=driver).put(Slow(), id="f" * 64, parent=parent)
    """
)


def test_podman_cleans_up_after_we_are_killed_during_a_put(podman: PodmanStore) -> None:
    podman.build("scratch", shell_script(), "shell")
    store = podman.ours()
    below = image_layer(store, "localhost/shell:latest")
    command = [sys.executable, "-c", DIES, str(podman.graph), str(podman.run), podman.driver, below]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(make_tar({f"file{number}": os.urandom(50_000) for number in range(20)}))
        child.stdin.close()
        assert child.stdout.readline() == b"half\n"
        time.sleep(0.3)
        child.kill()
    half = podman.graph / ("overlay" if podman.driver == "overlay" else "vfs/dir") / ("f" * 64)
    assert half.is_dir(), "the process was killed halfway"
    assert [problem.layer for problem in store.problems()] == ["f" * 64]
    assert podman.podman_run("localhost/shell", "sh", "-c", "echo runs") == "runs"
    assert not half.exists(), "Podman removed the incomplete layer"
    assert [layer.id for layer in store.layers()] == [below]
    assert store.problems() == []
    assert_same_records(store, podman.storage)
    assert assert_exact_diffs(store) == 1
