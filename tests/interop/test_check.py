"""Checks and repairs of stores of Podman, Buildah and containers-storage: no false alarm, and no damage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from layerstore.check.findings import Finding, Kind, Severity
from layerstore.check.repair import Outcome
from support.images import build_three
from support.peers import PodmanStore, assert_exact_diffs, chain, shell_script
from support.tars import make_tar

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000").decode()  # cap_net_raw, as of ping
LOOP = ("--net=none", "localhost/shell", "/bin/sh", "-c", "while :; do read x </proc/self/stat; done")


def check(podman: PodmanStore, **options: Any) -> list[Finding]:
    return list(podman.ours(read_only=True).check(deep=True, **options))


def mend(podman: PodmanStore, *, force: bool = False) -> None:
    store = podman.ours()
    results = store.repair(store.repair_plan(store.check(), force=force))
    assert {result.outcome for result in results} == {Outcome.DONE}, results


def test_images_containers_and_mounts_give_no_findings(podman: PodmanStore) -> None:
    build_three(podman)
    podman.build("scratch", shell_script(), "shell")
    podman.podman("create", "--name", "made", "localhost/three", "/none")
    podman.podman("run", "--name", "ended", "--net=none", "localhost/shell", "/bin/sh", "-c", "echo x > /new")
    podman.podman("run", "--detach", "--name", "live", *LOOP)
    podman.buildah("mount", podman.buildah("from", "--pull-never", "localhost/three"))
    podman.podman("image", "mount", "localhost/two")
    assert check(podman) == []
    podman.podman("rm", "--all", "--force", "--time", "0")
    podman.buildah("rm", "--all")
    podman.podman("image", "unmount", "--all")
    podman.podman("rmi", "localhost/three")
    assert check(podman) == []


def test_layers_of_containers_storage_give_no_findings(podman: PodmanStore) -> None:
    parent: list[str] = []
    for members in (
        {"a": None, "a/b": b"1", "a/c": "b"},
        {"a/.wh.b": b"", "d": b"2"},
        {"a": None, "a/.wh..wh..opq": b""},
    ):
        (podman.folder / "tmp/layer").write_bytes(make_tar(members))
        layer = podman.storage("create-layer", *parent).decode().split()[0]
        podman.storage("applydiff", "-f", str(podman.folder / "tmp/layer"), layer)
        parent = [layer]
    able = tarfile.TarInfo("able")
    able.pax_headers = {"SCHILY.xattr.security.capability": CAPABILITY, "SCHILY.xattr.user.note": "x"}
    (podman.folder / "tmp/layer").write_bytes(make_tar({"able": able}))
    layer = podman.storage("create-layer", *parent).decode().split()[0]
    podman.storage("applydiff", "-f", str(podman.folder / "tmp/layer"), layer)
    parent = [podman.storage("create-layer", layer).decode().split()[0]]
    podman.storage("mount", parent[0])
    podman.make_image("localhost/made", layer)
    assert check(podman) == []


def test_copies_with_mapped_owners_give_no_findings(mapped: PodmanStore) -> None:
    assert check(mapped) == []
    mapped.podman("mount", "box")
    assert check(mapped) == []


def test_our_layers_on_theirs_give_no_findings(podman: PodmanStore) -> None:
    layers = build_three(podman)
    store = podman.ours()
    above, _ = store.put(make_tar({"etc": None, "etc/.wh.changed": b"", "ours": b"1"}), parent=layers[-1])
    podman.make_image("localhost/ours", above.id)
    podman.podman("create", "localhost/ours", "/none")
    assert check(podman) == []


def test_changed_content_times_and_added_files_are_distinguished(podman: PodmanStore) -> None:
    base, middle, top = build_three(podman)
    folder = podman.graph / podman.driver
    files = {
        layer: folder / layer / "diff" if podman.driver == "overlay" else folder / "dir" / layer
        for layer in chain(podman.ours(), top)
    }
    (files[base] / "etc/changed").write_text("OLD")
    (files[middle] / "etc/added").write_text("x")
    os.utime(files[top] / "etc/gone", (5, 5))
    found = {(finding.layer, finding.kind): finding for finding in check(podman)}
    assert found[base, Kind.CONTENT].path == "/etc/changed"
    images = {f"localhost/{name}:latest" for name in ("one", "two", "three")}
    assert set(found[base, Kind.CONTENT].images) == images
    assert found[middle, Kind.ADDED].path == "/etc/added"
    assert found[top, Kind.TIMES].severity is Severity.NOTE
    assert (top, Kind.CONTENT) not in found


def test_a_damaged_store_works_again_after_repair(podman: PodmanStore) -> None:
    layers = build_three(podman)
    podman.build("scratch", shell_script(), "shell")
    podman.podman("run", "--name", "box", "--net=none", "localhost/shell", "/bin/sh", "-c", "echo x > /new")
    before = {layer.id for layer in podman.ours().layers()}
    lost = podman.storage("create-layer", layers[-1]).decode().split()[0]
    records = podman.graph / f"{podman.driver}-layers"
    for name in ("layers.json", "volatile-layers.json"):
        if (records / name).exists():
            kept = [record for record in json.loads((records / name).read_text()) or [] if record["id"] != lost]
            (records / name).write_text(json.dumps(kept))
    if podman.driver == "overlay":
        home = podman.graph / "overlay"
        link = (home / layers[0] / "link").read_text()
        (home / "l" / link).unlink()
        (home / layers[1] / "link").unlink()
        (home / layers[2] / "lower").unlink()
        (home / "l" / ("A" * 26)).symlink_to("../gone/diff")
        shutil.rmtree(home / layers[2] / "work")
    mend(podman)
    assert check(podman) == []
    assert {layer.id for layer in podman.ours().layers()} == before
    assert podman.storage.layers().keys() == before
    assert not (podman.graph / podman.driver / lost).exists()
    names = {name for image in podman.podman_json("images", "--format", "json") for name in image["Names"]}
    assert names == {f"localhost/{name}:latest" for name in ("one", "two", "three", "shell")}
    with_box = podman.podman("mount", "box")
    assert Path(with_box, "new").read_text() == "x\n"
    podman.podman("unmount", "box")
    root = Path(podman.podman("image", "mount", "localhost/three"))
    assert (root / "etc/kept").read_text() == "keep"
    podman.podman("image", "unmount", "localhost/three")
    assert assert_exact_diffs(podman.ours()) == 4
    assert podman.podman("run", "--rm", "--net=none", "localhost/shell", "/bin/sh", "-c", "echo fine") == "fine"


def test_a_chain_without_its_parent_is_removed_by_force_and_podman_works(podman: PodmanStore) -> None:
    layers = build_three(podman)
    podman.build("scratch", shell_script(), "shell")
    path = podman.graph / f"{podman.driver}-layers/layers.json"
    path.write_text(json.dumps([record for record in json.loads(path.read_text()) if record["id"] != layers[0]]))
    store = podman.ours()
    assert not [step for step in store.repair_plan(store.check()) if step.destructive]
    steps = store.repair_plan(store.check(), force=True)
    assert [step.layer for step in steps if step.finding.kind is Kind.NO_PARENT] == [layers[2], layers[1]]
    store.repair(steps)
    left = {(finding.kind, finding.users) for finding in check(podman)}
    assert {kind for kind, _ in left} == {Kind.IMAGE_LAYER}  # only Podman writes images.json
    podman.podman("rmi", "--force", "localhost/one", "localhost/two", "localhost/three")
    assert check(podman) == []
    podman.podman("run", "--rm", "--net=none", "localhost/shell", "/bin/sh", "-c", ":")


def test_a_repair_while_podman_works_removes_nothing(podman: PodmanStore) -> None:
    podman.build("scratch", shell_script(), "shell")
    script = "for i in 1 2 3 4; do podman run --rm --net=none localhost/shell /bin/sh -c 'echo x > /y' || exit 1; done"
    with subprocess.Popen(["bash", "-c", script], env=podman.environ, cwd=podman.folder) as work:
        rounds = 0
        while work.poll() is None:
            store = podman.ours()
            findings = [finding for finding in store.check() if finding.severity is not Severity.NOTE]
            store.repair(store.repair_plan(findings, force=True))
            assert findings == []
            rounds += 1
    assert work.returncode == 0
    assert rounds > 1
    assert check(podman) == []


def test_the_command_line(podman: PodmanStore) -> None:
    layers = build_three(podman)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "layertui", "check", *arguments]
        return subprocess.run(command, env=podman.environ, capture_output=True, text=True, check=False)

    clean = run("--deep")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "no problems found\n", "")
    assert run("--json").stdout == "[]\n"
    folder = podman.graph / podman.driver / ("" if podman.driver == "overlay" else "dir")
    shutil.move(folder / layers[1], podman.folder / "aside")
    damaged = run()
    assert damaged.returncode == 1
    assert f"damage (no-folder): layer {layers[1][:12]}: its folder" in damaged.stdout
    assert "affects: image localhost/two:latest, image localhost/three:latest" in damaged.stdout
    assert "repair: remove the layer and 1 layer based on it; only with force" in damaged.stdout
    (finding, *_) = json.loads(run("--json").stdout)
    assert (finding["kind"], finding["layer"], finding["severity"]) == ("no-folder", layers[1], "damage")
    assert run(layers[0]).returncode == 0
    unknown = run("nothing")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "nothing" in unknown.stderr
    (podman.graph / f"{podman.driver}-layers/layers.json").write_text('[\n{"id"')
    corrupt = run()
    assert corrupt.returncode == 1
    assert "damage (unreadable)" in corrupt.stdout
    assert "line 2" in corrupt.stdout
