"""All programs work on one store at once. Afterwards they agree on it, and nothing is lost or left over.

LAYERTUI_SOAK_SECONDS sets the duration (`make soak`: ten minutes), LAYERTUI_SOAK_SEED the random numbers.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerstore import LayerStore
from support.peers import PodmanStore, assert_exact_diffs, assert_same_records, shell_script

SECONDS = float(os.environ.get("LAYERTUI_SOAK_SECONDS", "6"))
SEED = int(os.environ.get("LAYERTUI_SOAK_SEED", "1"))
TESTS = Path(__file__).parents[1]


def start(podman: PodmanStore, side: str, seed: int, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "support.soak", side, str(seed), str(seconds), str(podman.folder), podman.driver]
    environ = {**podman.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextmanager
def all_sides(podman: PodmanStore) -> Iterator[list[subprocess.Popen[bytes]]]:
    sides = ("Ours", "Ours", "Podman", "Buildah", "Storage")
    processes = [start(podman, side, SEED * 100 + number, SECONDS) for number, side in enumerate(sides)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def kill_repeatedly(podman: PodmanStore, until: float) -> int:
    """Start processes of layerstore and kill them at random moments, until the time is up. Return their number."""
    chance, killed = random.Random(SEED), 0
    while time.monotonic() < until:
        with start(podman, "Killed", SEED * 1000 + killed, 1000) as process:
            try:
                process.wait(chance.uniform(0.7, 2))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            else:
                assert process.stderr is not None
                pytest.fail(process.stderr.read().decode())
            process.communicate()
    return killed


@pytest.mark.timeout(SECONDS + 300)
def test_all_programs_agree_afterwards(podman: PodmanStore, capsys: pytest.CaptureFixture[str]) -> None:
    podman.build("scratch", f"{shell_script()}\nmkdir etc; echo 1 > etc/keep", "base")
    podman.build("localhost/base", "mkdir -p lib/old; echo 2 > lib/old/2", "second")
    with all_sides(podman) as processes:
        killed = kill_repeatedly(podman, time.monotonic() + SECONDS - 1)
        counts: Counter[str] = Counter(killed=killed)
        losses: Counter[str] = Counter()
        for process in processes:
            output, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
            outcome = json.loads(output)
            counts.update(outcome["counts"])
            losses.update(outcome["losses"])
    if "LAYERTUI_SOAK_SECONDS" in os.environ:
        with capsys.disabled():
            report(podman.driver, counts, losses)
    assert killed > 0
    assert {word.split()[0] for word in counts} == {"killed", "Ours", "Podman", "Buildah", "Storage"}
    check(podman, killed)


def report(driver: str, counts: Counter[str], losses: Counter[str]) -> None:
    print(f"\n{driver}: {sum(counts.values())} operations done, {sum(losses.values())} races lost")
    for title, table in (("done", counts), ("lost", losses)):
        for word, number in sorted(table.items()):
            print(f"  {title} {number:6} {word}")


def check(podman: PodmanStore, killed: int) -> None:
    """Assert that all programs agree on the store, and that every file on disk belongs to a record."""
    store = podman.ours()
    store.load()
    assert store.problems() == []
    assert store.mounts() == []
    assert_same_records(store, podman.storage)
    assert assert_exact_diffs(store) > 1
    for layer in store.layers():
        if layer.diff_digest:
            podman.storage_tool("diff", "-u", "-f", str(podman.folder / "tmp/diff"), layer.id)
            assert (podman.folder / "tmp/diff").stat().st_size == layer.diff_size
    assert_nothing_left_over(podman, store, killed)
    images = podman.podman_json("images", "--format", "json")
    assert {name for image in images for name in image["Names"] or ()} >= {"localhost/base:latest"}
    tops = {label for label, _ in store.references().image_tops}
    for image in images:
        assert set(image["Names"] or [image["Id"][:12]]) <= tops
        podman.podman("create", "--pull=never", "--name", "last", image["Id"], "sh")
        shown = {path.name for path in Path(podman.podman("mount", "last")).rglob("*")}
        (top,) = dict(store.references().container_tops)["last"]
        assert shown == {entry.name for entry in store.files(top).walk()}
        podman.podman("rm", "last")
    assert podman.podman_run("localhost/base", "sh", "-c", "echo runs") == "runs"
    assert store.mounts() == []
    assert_nothing_left_over(podman, store, killed)


def assert_nothing_left_over(podman: PodmanStore, store: LayerStore, killed: int) -> None:
    layers = {layer.id for layer in store.layers()}
    records = podman.graph / f"{podman.driver}-layers"
    splits = {path.name.removesuffix(".tar-split.gz") for path in records.glob("*.tar-split.gz")}
    assert {layer.id for layer in store.layers() if layer.diff_digest} <= splits <= layers
    # A killed process leaves the temporary file that it was writing, as with containers/storage.
    assert len(list(records.glob(".tmp-*"))) <= killed
    if podman.driver == "vfs":
        assert set(os.listdir(podman.graph / "vfs/dir")) == layers
        return
    home = podman.graph / "overlay"
    assert {path.name for path in home.iterdir()} - {"l", ".has-mount-program"} == layers
    links = {(home / layer / "link").read_text(): f"../{layer}/diff" for layer in layers}
    assert {path.name: os.readlink(path) for path in (home / "l").iterdir()} == links
