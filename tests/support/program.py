"""The real program: run to its end for its output, or kept running in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `layertui` with these arguments and return its output and exit status."""
    command = [sys.executable, "-m", "layertui", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


class Program:
    """The browser on a store, in a pseudo-terminal that the test reads."""

    def __init__(self, root: Path, *, ignore_hangup: bool = False, code: str = "") -> None:
        """Start the browser, or Python `code` that starts it."""
        self.output = bytearray()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            python = [sys.executable, *(("-c", code) if code else ("-m", "layertui"))]
            command = [*python, "--root", str(root / "g"), "--runroot", str(root / "r")]
            os.execv(command[0], command)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def read_until(self, text: str, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while text.encode() not in self.output:
            if time.monotonic() > until:
                pytest.fail(f"{text!r} did not appear; the last output is {bytes(self.output[-500:])!r}")
            self.read(0.1)

    def read(self, seconds: float) -> None:
        """Read output until there is none for `seconds`."""
        while select.select([self.terminal], [], [], seconds)[0]:
            try:
                self.output += os.read(self.terminal, 1 << 16)
            except OSError:
                return

    def press(self, *keys: str) -> None:
        """Press keys one by one, and wait for the output of each; a busy machine can take 2 s to react."""
        for key in keys:
            os.write(self.terminal, key.encode())
            select.select([self.terminal], [], [], 2)
            self.read(0.4)

    def ended(self, seconds: float) -> int | None:
        """Return the exit status, or None if the program still runs after `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            self.read(0.1)
        return None

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
