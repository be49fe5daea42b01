"""Benchmark of the core beside Debian's containers-storage, the peer: `make bench`.

Each figure is the time of a whole process on tmpfs, the median of several runs that alternate with the peer's. The peer
uses pigz and zstd if they are on PATH. It is measured with and without them, and the faster time counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Sample, in_turn

HERE = Path(__file__).resolve().parent
GOALS = {
    "apply plain": 0.50,
    "apply gzip": 0.60,
    "apply zstd": 0.60,
    "diff": 0.50,
    "changes": 0.90,
    "list": 0.85,
}
INPUTS = ("root", "small", "large")


@dataclass
class Bench:
    """The peer, a scratch folder on tmpfs, and the number of rounds."""

    peer: str
    work: Path
    rounds: int
    no_helpers: dict[str, str]
    driver: str
    start_ours: float = 0.0
    start_peer: float = 0.0

    @property
    def graph(self) -> Path:
        return self.work / "graph"

    def theirs(self, verb: str, *rest: str) -> list[str]:
        return [self.peer, "-g", str(self.graph), "-R", str(self.work / "run"), "-s", self.driver, verb, *rest]

    def ours(self, verb: str, *rest: str) -> list[str]:
        places = [str(self.graph), str(self.work / "run"), self.driver]
        return [sys.executable, str(HERE / "ours.py"), verb, *places, *rest]

    def reset(self) -> None:
        # The peer leaves its folder bind-mounted on itself.
        subprocess.run(["umount", str(self.graph / "overlay")], check=False, stderr=subprocess.DEVNULL)
        for name in ("graph", "run"):
            shutil.rmtree(self.work / name, ignore_errors=True)


def main() -> None:
    options = arguments()
    peer = shutil.which("containers-storage")
    if peer is None or os.geteuid() != 0:
        sys.exit("needs root and the program containers-storage (Debian: apt-get install containers-storage)")
    with tempfile.TemporaryDirectory(prefix="layertui-bench-", dir="/dev/shm") as folder:
        alone = {**os.environ, "PATH": without_helpers(Path(folder))}
        bench = Bench(peer, Path(folder), options.rounds, alone, options.driver)
        describe(bench)
        measure_start(bench)
        for name in options.inputs:
            tar = INPUT_MAKERS[name](bench.work)
            print(f"\n{name}: {tar.stat().st_size / 1e6:.0f} MB", flush=True)
            measure_apply(bench, tar)
            measure_reading(bench, tar, name)
            tar.unlink()
        if options.layers:
            measure_list(bench, options.layers)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--driver", choices=("vfs", "overlay"), default="vfs")
    parser.add_argument("--inputs", nargs="*", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--layers", type=int, default=100_000, help="number of records to list; 0 skips this")
    return parser.parse_args()


def without_helpers(work: Path) -> str:
    """Return a PATH without pigz and zstd, so that the peer decompresses by itself."""
    folder = work / "bin"
    folder.mkdir()
    for program in ("containers-storage", "unpigz"):
        found = shutil.which(program)
        if found and program == "containers-storage":
            (folder / program).symlink_to(found)
    return str(folder)


def describe(bench: Bench) -> None:
    version = subprocess.run([bench.peer, "version"], capture_output=True, text=True, check=False).stdout.split()
    helpers = ", ".join(name for name in ("pigz", "zstd") if shutil.which(name)) or "no helpers"
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}")
    print(f"peer: containers-storage {' '.join(version)}, with {helpers} and without")
    print(f"{bench.driver} on tmpfs; {bench.rounds} rounds")
    print("seconds: median of whole processes; ratio: ours / the faster of the peer's; MiB: peak memory")


def report(bench: Bench, title: str, samples: dict[str, Sample], goal: str) -> None:
    ours = samples["ours"]
    peers = {name: sample for name, sample in samples.items() if name != "ours"}
    best = min(peers.values(), key=lambda sample: sample.median)
    ratio = ours.median / best.median
    net = (ours.median - bench.start_ours) / max(best.median - bench.start_peer, 0.001)
    verdict = "met" if ratio <= GOALS[goal] else "met without start-up" if net <= GOALS[goal] else "MISSED"
    print(
        f"  {title:<22} ours {ours.median:6.2f} s {ours.peak:5.0f} MiB   peer {best.median:6.2f} s {best.peak:5.0f} MiB"
        f"   ratio {ratio:.2f}, without start-up {net:.2f} (goal {GOALS[goal]:.2f}: {verdict})",
        flush=True,
    )


def measure_start(bench: Bench) -> None:
    """Measure how long each side takes to start and to read an empty store, which is not the speed of the store."""
    commands = {"ours": lambda: bench.ours("changes", "base"), "peer": lambda: bench.theirs("changes", "base")}
    subprocess.run(bench.theirs("create-layer", "--id", "base"), check=True, stdout=subprocess.DEVNULL)
    samples = in_turn(commands, 5, lambda: None)
    bench.start_ours, bench.start_peer = samples["ours"].median, samples["peer"].median
    bench.reset()
    print(f"start-up: ours {bench.start_ours * 1000:.0f} ms, peer {bench.start_peer * 1000:.0f} ms")


def measure_apply(bench: Bench, tar: Path) -> None:
    for kind, command in (("plain", None), ("gzip", ["gzip", "-6", "-k"]), ("zstd", ["zstd", "-q", "-k"])):
        source = tar
        if command is not None:
            subprocess.run([*command, str(tar)], check=True)
            source = tar.with_name(tar.name + (".gz" if kind == "gzip" else ".zst"))
        imported = bench.theirs("import-layer", "--id", "base", "-f", str(source))
        commands = {"ours": lambda: bench.ours("apply", str(source), "base"), "peer": lambda: imported}  # noqa: B023
        if command is not None:
            commands["peer alone"] = lambda: imported  # noqa: B023
        samples = in_turn(commands, bench.rounds, bench.reset, {"peer alone": bench.no_helpers})
        report(bench, f"apply {kind}", samples, f"apply {kind}")
        if source is not tar:
            source.unlink()


def measure_reading(bench: Bench, tar: Path, name: str) -> None:
    subprocess.run(bench.ours("apply", str(tar), "base"), check=True)

    def both(verb: str, layer: str, *rest: str) -> dict[str, Sample]:
        theirs: Sequence[str] = bench.theirs(verb, *rest, layer)
        ours: Sequence[str] = bench.ours(verb, layer)
        return in_turn({"ours": lambda: ours, "peer": lambda: theirs}, bench.rounds, lambda: None)

    report(bench, "diff", both("diff", "base", "-u", "-f", "/dev/null"), "diff")
    if name != "large":
        report(bench, "changes, of a base", both("changes", "base"), "changes")
        subprocess.run(bench.theirs("create-layer", "--id", "child", "base"), check=True, stdout=subprocess.DEVNULL)
        mounted = subprocess.run(
            bench.theirs("mount", "child"), check=True, capture_output=True, text=True
        ).stdout.strip()
        touched = random.Random(1).sample(sorted(Path(mounted).rglob("*")), 500)
        for path in touched:
            os.utime(path, (1, 1), follow_symlinks=False)
        subprocess.run(bench.theirs("unmount", "child"), check=True, stdout=subprocess.DEVNULL)
        report(bench, "changes, of a child", both("changes", "child"), "changes")
    bench.reset()


def measure_list(bench: Bench, count: int) -> None:
    print(f"\n{count:,} records")
    subprocess.run(bench.theirs("layers"), check=True, stdout=subprocess.DEVNULL)
    make_records(bench.graph, count)
    listing = [
        sys.executable,
        "-m",
        "layertui",
        "--root",
        str(bench.graph),
        "--runroot",
        str(bench.work / "run"),
        "layers",
    ]
    theirs = bench.theirs("layers")
    report(
        bench, "list", in_turn({"ours": lambda: listing, "peer": lambda: theirs}, bench.rounds, lambda: None), "list"
    )
    make_records(bench.graph, 20)
    small = in_turn({"ours": lambda: listing}, bench.rounds, lambda: None)["ours"]
    print(f"  list of 20             ours {small.median * 1000:.0f} ms (goal 150 ms)")


def make_records(graph: Path, count: int) -> None:
    """Write records in a child process, because the peak memory of the next command starts at that of this process."""
    code = f"from pathlib import Path; from records import write_store; write_store(Path({str(graph)!r}), {count})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE)


def make_root(work: Path) -> Path:
    """Return a tar of Debian's minbase, made by debootstrap and cached in benchmarks/cache."""
    kept = HERE / "cache" / "root.tar"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        tree = work / "debootstrap"
        subprocess.run(["debootstrap", "--variant=minbase", "stable", str(tree)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", str(tree), "--exclude=./dev/*", "-cf", str(kept), "."], check=True)
        shutil.rmtree(tree)
    return Path(shutil.copy(kept, work / "root.tar"))


def make_small(work: Path) -> Path:
    """Return a tar of 30,000 files of 0 to 7 KiB in 300 folders."""
    chance, tree = random.Random(2), work / "small"
    for folder in range(300):
        (tree / f"d{folder:03}").mkdir(parents=True)
        for number in range(100):
            (tree / f"d{folder:03}/f{number:03}").write_bytes(chance.randbytes(chance.randrange(7168)))
    return pack(work, tree)


def make_large(work: Path) -> Path:
    """Return a tar of four files of 256 MiB that compress to about half."""
    chance, tree = random.Random(3), work / "large"
    tree.mkdir()
    blocks = [chance.randbytes(4096) + bytes(4096) for _ in range(512)]
    for number in range(4):
        with (tree / f"f{number}").open("wb") as file:
            for _ in range(256 * 128 // 64):
                file.write(b"".join(chance.choices(blocks, k=64)))
    return pack(work, tree)


def pack(work: Path, tree: Path) -> Path:
    tar = work / f"{tree.name}.tar"
    subprocess.run(["tar", "-C", str(tree), "-cf", str(tar), "."], check=True)
    shutil.rmtree(tree)
    return tar


INPUT_MAKERS = {"root": make_root, "small": make_small, "large": make_large}

if __name__ == "__main__":
    main()
