"""Benchmark of the browser in a pseudo-terminal: `make bench-screen`.

It measures the time from the start to the first frame, relative to an empty Textual program; the time until the panes
are filled; resident memory; and the time from a key to the end of the frame that follows. It does so with 1,000,
10,000 and 100,000 layers and with one layer of 10,000 and of 500,000 changes, and for comparison with Textual's own
Tree and the same rows. For each series of keys it prints the median, the 95th percentile and the maximum in ms. One row
is measured while another process writes to the store.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from records import write_files, write_store
from terminal import SYNC_END, Terminal

EMPTY_APP = "from textual.app import App; App().run()"
DOWN, PAGE_DOWN, PAGE_UP, END, HOME = b"\x1b[B", b"\x1b[6~", b"\x1b[5~", b"\x1b[F", b"\x1b[H"
WRITER = """
import sys, time
from layerstore import LayerStore
store = LayerStore.open(sys.argv[1], sys.argv[2], driver="vfs")
layer = store.layers()[0].id
while True:
    store.set_metadata(layer, str(time.time()))
    time.sleep(2)
"""
TREE_PEER = Path(__file__).with_name("tree_peer.py")


@dataclass
class Row:
    """A row of the table."""

    name: str
    first: float = 0.0
    filled: float = 0.0
    mib: float = 0.0
    series: dict[str, Sequence[float]] = field(default_factory=dict)

    def cells(self, empty: float) -> list[str]:
        """Return the cells, with times in ms."""
        return [
            self.name,
            f"{self.first * 1000:.0f} ({self.first / empty:.2f})" if self.first else "",
            f"{self.filled * 1000:,.0f}",
            *(_three(self.series.get(name, ())) for name in SERIES),
            f"{self.mib:.0f}",
        ]


SERIES = ("down", "page", "fold", "letter", "answer")
HEADINGS = ("", "first frame (x empty)", "filled", "down", "page", "fold, unfold", "typed letter", "filter", "MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--changes", type=int, nargs="*", default=[10_000, 500_000])
    parser.add_argument("--presses", type=int, default=120)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true", help="skip Textual's Tree")
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, 120x40; ms")
    empty = statistics.median(first_picture([sys.executable, "-c", EMPTY_APP]) for _ in range(options.starts))
    print(f"an empty Textual program: first frame {empty * 1000:.0f} ms\n")
    print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
    with tempfile.TemporaryDirectory(prefix="layertui-bench-", dir="/dev/shm") as folder:
        for count in options.layers:
            root = Path(folder) / f"{count}-layers"
            write_store(root / "graph", count)
            tell(browse_layers(root, count, options.presses, options.starts), empty)
            if not options.no_peer:
                records = str(root / "graph/vfs-layers/layers.json")
                tell(browse_peer("layers", records, count, options.presses), empty)
        if options.layers:
            tell(browse_while_written(root, count, options.presses), empty)
        for count in options.changes:
            root = Path(folder) / f"{count}-changes"
            write_files(root / "graph", count)
            tell(browse_changes(root, count, options.presses), empty)
            if not options.no_peer:
                files = next((root / "graph/vfs/dir").iterdir())
                tell(browse_peer("files", str(files), count, options.presses), empty)


def tell(row: Row, empty: float) -> None:
    print(f"| {' | '.join(row.cells(empty))} |", flush=True)


def first_picture(command: list[str]) -> float:
    with closing(Terminal(command)) as terminal:
        return terminal.wait_for(SYNC_END)


def browser(root: Path) -> list[str]:
    return [sys.executable, "-m", "layertui", "--root", str(root / "graph"), "--runroot", str(root / "run")]


def browse_layers(root: Path, count: int, presses: int, starts: int) -> Row:
    command = browser(root)
    first = statistics.median(first_picture(command) for _ in range(starts))
    row = Row(f"layertui, {count:,} layers", first=first)
    with closing(Terminal(command)) as terminal:
        row.filled = terminal.wait_for(f"{count:,}".encode())
        terminal.settle(1.5)
        press_all(row, terminal, presses, fold=[HOME, *[b"\r"] * (presses // 4)])
        type_filter(row, terminal, [b"a3f7", b"9c01", b"layer-00"], f" of {count:,}".encode())
        row.mib = terminal.resident_mib()
    return row


def browse_while_written(root: Path, count: int, presses: int) -> Row:
    """Browse layers while another process writes their records every two seconds, which reloads them each time."""
    row = Row(f"layertui, {count:,} layers, written to")
    command = [sys.executable, "-c", WRITER, str(root / "graph"), str(root / "run")]
    with closing(Terminal(browser(root))) as terminal, subprocess.Popen(command) as writer:
        row.filled = terminal.wait_for(f"{count:,}".encode())
        terminal.settle(1.5)
        row.series["down"] = press(terminal, [DOWN] * presses * 3)
        row.series["page"] = press(terminal, [PAGE_DOWN] * presses)
        row.mib = terminal.resident_mib()
        writer.kill()
    return row


def browse_changes(root: Path, count: int, presses: int) -> Row:
    row = Row(f"layertui, {count:,} changes")
    with closing(Terminal(browser(root))) as terminal:
        terminal.wait_for(b"many-files")
        terminal.settle(1)
        row.filled = terminal.answer(b"2", f"{count:,}".encode(), seconds=60)[1]
        terminal.settle(1)
        os.write(terminal.descriptor, b"\t")
        terminal.settle(1)
        terminal.press(b"+")  # otherwise there are fewer lines than key presses
        terminal.settle(1)
        press_all(row, terminal, presses, fold=[HOME, DOWN, *[b"\r"] * (presses // 4)])
        type_filter(row, terminal, [b"1234", b"er-00", b"so"], None)
        row.mib = terminal.resident_mib()
    return row


def browse_peer(kind: str, place: str, count: int, presses: int) -> Row:
    row = Row(f"Textual's Tree, the same {count:,}")
    with closing(Terminal([sys.executable, str(TREE_PEER), kind, place])) as terminal:
        row.first = terminal.wait_for(SYNC_END)
        row.filled = terminal.wait_for(f"{count:,} rows".encode(), seconds=240)
        terminal.settle(2)
        fold = [HOME, *([] if kind == "layers" else [DOWN]), *[b" "] * (presses // 8)]
        press_all(row, terminal, presses, fold=fold)
        row.mib = terminal.resident_mib()
    return row


def press_all(row: Row, terminal: Terminal, presses: int, *, fold: list[bytes]) -> None:
    row.series["down"] = press(terminal, [DOWN] * presses)
    row.series["page"] = press(terminal, [PAGE_DOWN] * (presses // 6) + [PAGE_UP] * (presses // 6))
    press(terminal, [END, HOME])
    row.series["fold"] = press(terminal, fold)
    press(terminal, [HOME])


def press(terminal: Terminal, keys: list[bytes]) -> list[float]:
    """Press keys at random intervals. In step with the frames, each key would wait for the next frame."""
    chance, times = random.Random(1), []
    for key in keys:
        terminal.settle(chance.uniform(0.025, 0.05))
        if (seconds := terminal.press(key, seconds=3)) is not None:
            times.append(seconds)
    terminal.settle(0.3)
    return times


def type_filter(row: Row, terminal: Terminal, texts: list[bytes], found: bytes | None) -> None:
    """Type texts into the filter and delete them.

    An answer is complete when `found` appears or, without it, the text that was typed.
    """
    letters: list[float] = []
    answers: list[float] = []
    press(terminal, [b"/"])
    terminal.settle(0.5)
    for text in texts:
        forth = [(text[at : at + 1], text[: at + 1]) for at in range(len(text))]
        back = [(b"\x7f", text[:length]) for length in range(len(text) - 1, 0, -1)]
        for key, typed in forth + back:
            if (times := terminal.answer(key, found or b"/" + typed, seconds=3)) is not None:
                letters.append(times[0])
                answers.append(times[1])
            terminal.settle(0.15)
        terminal.press(b"\x7f")
        terminal.settle(0.5)
    row.series["letter"], row.series["answer"] = letters, answers


def _three(times: Sequence[float]) -> str:
    if not times:
        return ""
    ordered = sorted(1000 * seconds for seconds in times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{statistics.median(ordered):.0f} / {p95:.0f} / {ordered[-1]:.0f}"


if __name__ == "__main__":
    main()
