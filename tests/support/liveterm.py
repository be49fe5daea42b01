"""The real browser in a pseudo-terminal, with its screen as text."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable

import pyte
import pytest

COLUMNS, LINES = 150, 40
_PRIVATE = re.compile(rb"\x1b\[[<>=?][0-9;]*[$]?[a-zA-Z]|\x1b[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Modes, queries and titles, which the emulator ignores or would print."""


class LiveBrowser:
    """`layertui` as a user starts it, on a screen of 150x40."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._rest = b""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            size = {
                "COLUMNS": str(COLUMNS),
                "LINES": str(LINES),
            }  # these variables take precedence over the size of the terminal
            environ = {**environ, **size, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
            os.execve(sys.executable, [sys.executable, "-m", "layertui"], environ)

    def read(self, seconds: float = 0.05) -> str:
        """Read all pending output, waiting up to `seconds` for the first of it, and return the screen."""
        while select.select([self._terminal], [], [], seconds)[0]:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:  # the program has ended
                break
            self._feed(data)
            seconds = 0
        return "\n".join(self.screen.display)

    def _feed(self, data: bytes) -> None:
        data = self._rest + data
        # The last escape sequence may be incomplete. Keep it for the next call.
        cut = data.rfind(b"\x1b", -200)
        whole = len(data) if cut < 0 or re.match(rb"\x1b\[[0-9;<>=?$]*[a-zA-Z]", data[cut:]) else cut
        self._rest = data[whole:]
        self._stream.feed(_PRIVATE.sub(b"", data[:whole]))

    def wait(self, what: Callable[[str], bool], seconds: float = 10) -> float:
        """Wait until the screen meets a condition, and return the seconds that it took. Fail after `seconds`."""
        start = time.monotonic()
        while not what(self.read()):
            if time.monotonic() > start + seconds:
                pytest.fail(f"the condition did not hold within {seconds} s; the screen is\n{self.read()}")
        return time.monotonic() - start

    def wait_for(self, *texts: str, seconds: float = 10) -> float:
        """Wait until the screen shows all texts."""
        return self.wait(lambda shown: all(text in shown for text in texts), seconds)

    def wait_gone(self, text: str, seconds: float = 10) -> float:
        """Wait until the screen no longer shows the text."""
        return self.wait(lambda shown: text not in shown, seconds)

    def press(self, *keys: str) -> None:
        """Type keys one by one, and read the output of each."""
        for key in keys:
            os.write(self._terminal, key.encode())
            self.read(0.3)

    def quit(self) -> int:
        """Press q and return the exit status."""
        os.write(self._terminal, b"q")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        pytest.fail(f"the program still runs; the screen is\n{self.read()}")

    def close(self) -> None:
        """Kill the program if it still runs."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)
