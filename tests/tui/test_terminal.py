"""The real program in a pseudo-terminal, for its end, which headless tests do not cover."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from layerstore import LayerStore
from support.needs import make_tar


class Program:
    """The program on a store, in a pseudo-terminal that this process reads."""

    def __init__(self, root: Path, *, ignore_hangup: bool = False) -> None:
        self.output = bytearray()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            command = [sys.executable, "-m", "layertui", "--root", str(root / "g"), "--runroot", str(root / "r")]
            os.execv(command[0], command)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def read_until(self, text: str, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while text.encode() not in self.output:
            if time.monotonic() > until:
                pytest.fail(f"{text!r} never came; the last output is {bytes(self.output[-500:])!r}")
            self.read(0.1)

    def read(self, seconds: float) -> None:
        """Read output until there is none for this long."""
        while select.select([self.terminal], [], [], seconds)[0]:
            try:
                self.output += os.read(self.terminal, 1 << 16)
            except OSError:
                return

    def press(self, *keys: str) -> None:
        for key in keys:
            os.write(self.terminal, key.encode())
            self.read(0.4)

    def ended(self, seconds: float) -> int | None:
        """Wait for the program to end, and return its exit status, or None if it still runs."""
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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(make_tar({"file": b"x"}), id="base", names=["base-layer"])
    return tmp_path


def test_the_program_ends_when_the_terminal_closes_without_a_signal(root: Path) -> None:
    program = Program(root, ignore_hangup=True)
    try:
        program.read_until("base-layer")
        os.close(program.terminal)
        program.terminal = -1
        until = time.monotonic() + 20
        while os.waitpid(program.pid, os.WNOHANG)[0] == 0:
            assert time.monotonic() < until, "it still runs"
            time.sleep(0.1)
        program.pid = 0
    finally:
        program.close()
