"""A store that Podman and Buildah use as an additional image store of another store."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from layerstore import LayerStore, find_store
from support.mounts import unmount_below
from support.needs import need_program, need_root


def names_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


SCRIPT = """
set -e
export CONTAINERS_STORAGE_CONF=$1/shared.conf
c=$(buildah from scratch); m=$(buildah mount $c)
mkdir $m/etc; echo one > $m/etc/one; echo two > $m/etc/two
buildah umount $c; buildah commit -q $c localhost/base; buildah rm $c
c=$(buildah from localhost/base); m=$(buildah mount $c)
rm $m/etc/two; echo three > $m/etc/three
buildah umount $c; buildah commit -q $c localhost/top; buildah rm $c
export CONTAINERS_STORAGE_CONF=$1/own.conf
c=$(buildah from localhost/top); m=$(buildah mount $c)
echo four > $m/etc/four; rm $m/etc/one
buildah umount $c
podman create --name web localhost/top true
"""


def test_podman_and_buildah_see_what_layerstore_sees(tmp_path: Path) -> None:
    need_root()
    for program in ("podman", "buildah", "containers-storage"):
        need_program(program)
    shared, own = tmp_path / "shared", tmp_path / "own"
    for place, more in ((shared, ""), (own, f'[storage.options]\nadditionalimagestores = ["{shared}"]\n')):
        text = f'[storage]\ndriver = "overlay"\ngraphroot = "{place}"\nrunroot = "{place}-run"\n{more}'
        place.with_suffix(".conf").write_text(text)
    try:
        done = subprocess.run(["bash", "-c", SCRIPT, "-", tmp_path], capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        _compare(own, shared, {"CONTAINERS_STORAGE_CONF": f"{own}.conf"})
    finally:
        unmount_below(tmp_path)


def _compare(own: Path, shared: Path, environ: dict[str, str]) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = find_store(environ=environ, uid=0)
    assert place.image_stores == (str(shared),)
    store = LayerStore.open(place.graph_root, place.run_root, driver=place.driver, options=place.all_options)
    peer = ["containers-storage", "-g", str(own), "-R", f"{own}-run", "-s", "overlay"]
    peer += ["--storage-opt", f"overlay.imagestore={shared}"]
    theirs = {record["id"]: record for record in json.loads(run(*peer, "layers", "-j"))}
    layers = {layer.id: layer for layer in store.layers()}
    assert layers.keys() == theirs.keys()
    images = json.loads(run("podman", "images", "--format", "json"))
    users = store.references()
    names = {name for image in images for name in image["Names"]}
    assert names == {"localhost/base:latest", "localhost/top:latest"}
    assert names == {name for layer_id in layers for name in users.images(layer_id)}
    assert all(image["ReadOnly"] for image in images)
    working = next(layer for layer in layers.values() if layer.parent and not layer.image_store and not layer.names)
    assert layers[working.parent].image_store == str(shared)
    ours = [(int(change.kind), change.path) for change in store.changes(working.id)]
    assert ours == [(change["Kind"], change["Path"]) for change in json.loads(run(*peer, "changes", "-j", working.id))]
    assert store.references().containers(working.parent) == ("top-working-container", "web")

    new = store.create(parent=working.parent)
    mounted = Path(run(*peer, "mount", new.id).strip())  # our layer, mounted by the peer
    assert names_in(mounted) == {"etc/one", "etc/three"}
    (mounted / "etc" / "new").write_text("1")
    run(*peer, "unmount", new.id)
    path = store.mount(working.id)  # their layer, mounted by us
    assert names_in(path) == {"etc/three", "etc/four"}
    store.unmount(working.id)
    assert [change.path for change in store.changes(new.id)] == ["/etc", "/etc/new"]
    run(*peer, "delete-layer", new.id)
    assert not store.exists(new.id)
