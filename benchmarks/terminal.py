"""A program in a pseudo-terminal, and the time from a key to the end of the picture that follows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence

SYNC_QUERY = b"\x1b[?2026$p"
SYNC_ANSWER = b"\x1b[?2026;1$y"
SYNC_END = b"\x1b[?2026l"


class Terminal:
    """Runs a command in a terminal and answers the query that makes Textual mark the end of each picture."""

    def __init__(self, command: Sequence[str], *, columns: int = 120, lines: int = 40) -> None:
        self.started = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.environ.pop("NO_COLOR", None)
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each start would compile every module
            os.execvp(command[0], list(command))
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.set_blocking(self.descriptor, False)
        self.seen = bytearray()

    def read(self, until: float) -> bytes:
        """Return the next output, b"" if there is none before the time `until`."""
        if not select.select([self.descriptor], [], [], max(0.0, until - time.perf_counter()))[0]:
            return b""
        try:
            data = os.read(self.descriptor, 1 << 20)
        except OSError:  # the program has ended
            return b""
        if SYNC_QUERY in data:
            os.write(self.descriptor, SYNC_ANSWER)
        self.seen += data
        return data

    def wait_for(self, text: bytes, *, seconds: float = 60) -> float:
        """Wait until the output contains `text`, and return the seconds since the start."""
        until = time.perf_counter() + seconds
        while text not in self.seen:
            if not self.read(until) and time.perf_counter() >= until:
                raise TimeoutError(f"{text!r} did not appear; the last output was {bytes(self.seen[-300:])!r}")
        return time.perf_counter() - self.started

    def settle(self, quiet: float = 0.5) -> None:
        """Read until there is no output for `quiet` seconds."""
        while self.read(time.perf_counter() + quiet):
            pass
        self.seen.clear()

    def press(self, key: bytes, *, seconds: float = 5) -> float | None:
        """Write a key, and return the seconds until the next picture is complete, None if there is none."""
        self.seen.clear()
        start = time.perf_counter()
        os.write(self.descriptor, key)
        until = start + seconds
        while SYNC_END not in self.seen:
            if not self.read(until) and time.perf_counter() >= until:
                return None
        return time.perf_counter() - start

    def answer(self, key: bytes, text: bytes, *, seconds: float = 5) -> tuple[float, float] | None:
        """Write a key, and return the seconds until the next picture and until one with `text` are complete."""
        start = time.perf_counter()
        first = self.press(key, seconds=seconds)
        until = start + seconds
        while first is not None:
            place = self.seen.find(text)
            if place >= 0 and self.seen.find(SYNC_END, place) >= 0:
                return first, time.perf_counter() - start
            if not self.read(until) and time.perf_counter() >= until:
                break
        return None

    def resident_mib(self) -> float:
        """Return the resident memory of the program."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        """Kill the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)
