"""The browser through a real pseudo-terminal: `make bench-screen`.

Start to first picture, start to the panes filled, and the time from a key to the end of the picture after it, with
1,000, 10,000 and 100,000 layers; beside an empty Textual program's first picture.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
from pathlib import Path

from records import write_store
from terminal import SYNC_END, Terminal

EMPTY_APP = "from textual.app import App; App().run()"
DOWN, PAGE_DOWN, PAGE_UP, END, HOME = b"\x1b[B", b"\x1b[6~", b"\x1b[5~", b"\x1b[F", b"\x1b[H"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, 120x40")
    empty = statistics.median(first_picture([sys.executable, "-c", EMPTY_APP]) for _ in range(options.starts))
    print(f"an empty Textual program: first picture {empty * 1000:.0f} ms")
    with tempfile.TemporaryDirectory(prefix="layertui-bench-", dir="/dev/shm") as folder:
        for count in options.counts:
            root = Path(folder) / str(count)
            write_store(root / "graph", count)
            command = [sys.executable, "-m", "layertui", "--root", str(root / "graph"), "--runroot", str(root / "run")]
            measure(command, count, options.presses, options.starts, empty)


def first_picture(command: list[str]) -> float:
    terminal = Terminal(command)
    try:
        return terminal.wait_for(SYNC_END)
    finally:
        terminal.close()


def measure(command: list[str], count: int, presses: int, starts: int, empty: float) -> None:
    first = statistics.median(first_picture(command) for _ in range(starts))
    terminal = Terminal(command)
    try:
        filled = terminal.wait_for(f"{count:,}".encode())
        terminal.settle(1.5)
        print(f"\n{count:,} layers: first picture {first * 1000:.0f} ms ({first / empty:.2f} x empty), ", end="")
        print(f"panes filled {filled * 1000:.0f} ms, {terminal.resident_mib():.0f} MiB")
        report("down", [DOWN] * presses, terminal)
        report("page down, page up", ([PAGE_DOWN] * 20 + [PAGE_UP] * 20) * (presses // 80), terminal)
        report("end, home", [END, HOME] * (presses // 20), terminal)
        report("fold, unfold", [HOME] + [b"h", b"l"] * (presses // 20), terminal)
        report("filter, a letter", [b"/", *[letter.encode() for letter in "layer-0001"]], terminal)
        print(f"  resident {terminal.resident_mib():.0f} MiB")
    finally:
        terminal.close()


def report(title: str, keys: list[bytes], terminal: Terminal) -> None:
    chance, times = random.Random(1), []
    for key in keys:
        # Keys come apart: in the same beat as the frames they would all wait for the next one.
        terminal.settle(chance.uniform(0.025, 0.05))
        if (seconds := terminal.press(key, seconds=1)) is not None:
            times.append(seconds * 1000)
    terminal.settle(0.3)
    if not times:
        print(f"  {title:<18} no picture came")
        return
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    print(
        f"  {title:<18} p50 {statistics.median(times):6.1f} ms   p95 {p95:6.1f} ms   worst {times[-1]:6.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
