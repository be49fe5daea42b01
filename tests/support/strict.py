"""A terminal that accepts only output that Textual has reason to send, and reports everything else."""

from __future__ import annotations

import base64
import codecs
import ctypes
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import pyte
import pytest

COLUMNS, LINES = 200, 50

_MODES = "7|25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2048"
_SGR = "(?:[0-9]|[34]8;5;\\d+|[34]8;2;\\d+;\\d+;\\d+)"  # no ANSI colors: they could only come from a name
_TOKEN = re.compile(
    f"(?P<draw>\x1b\\[\\d+;\\d+H|\x1b\\[(?:{_SGR}(?:;{_SGR})*)?m)"
    f"|(?P<mode>\x1b\\[\\?(?:{_MODES})[hl])"
    "|(?P<other>\x1b\\[\\?(?:2026|2048)\\$p|\x1b\\[>\\d+u|\x1b\\[<u|\x1b\\]22;[a-z-]+\x07)"
    "|\x1b\\]52;c;(?P<copied>[A-Za-z0-9+/]*=*)\x07"
    "|(?P<line>\r\n(?=\x1b\\[\\d+;\\d+H))"  # between two rows, each of which starts with a cursor move
    "|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
)
# Output of a shell, and of a progress meter on one line, which can arrive in two pieces.
_PLAIN = re.compile("[\n\t]|\r\x1b\\[K|\r(?!(?:\x1b\\[?)?\\Z)")
_UNFINISHED = re.compile("(?:\r\n?)?(?:\x1b(?:]52;[^\x07\x1b]*|[^\x07\x1b]{0,40}))?$")
_SYNC_QUERY = "\x1b[?2026$p"
_SYNC_ANSWER = b"\x1b[?2026;1$y"
_DROP, _POWERS = 24, (1, 2)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_MARKS = ("Mn", "Me")
_MOST_MARKS = 4
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"


def unfit(text: str) -> str:
    """Return the first character that must not reach a terminal, "" if there is none.

    It does not use layertui's own `safe`, which is under test.
    """
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        odd = category[0] == "C" or (category[0] == "Z" and character != " ") or character in _BLANK
        if odd or marks > _MOST_MARKS:
            return character
    return ""


class StrictTerminal:
    """A program in a pseudo-terminal. `problems` lists output that it should not have sent, with its context."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], cwd: str, *, columns: int = COLUMNS) -> None:
        self.screen = pyte.Screen(columns, LINES)
        self.problems: list[str] = []
        self.copied: list[str] = []
        self._texts: list[str] = []
        self._stream = pyte.Stream(self.screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._rest = ""
        self._received = 0
        self._lines = (-1, "")
        self._full_screen = False
        self._last = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            for power in _POWERS:  # otherwise root could read files of mode 0
                ctypes.CDLL(None).prctl(_DROP, power, 0, 0, 0)
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
            os.execve(command[0], list(command), {**environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"})

    # Output

    def read(self, seconds: float = 0.02) -> str:
        """Read all pending output, waiting up to `seconds` for the first of it, and return the screen."""
        while select.select([self._terminal], [], [], seconds)[0]:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:
                break
            if not data:
                break
            self._received += len(data)
            self._feed(self._decoder.decode(data))
            seconds = 0
        return self.shown

    def settle(self, quiet: float = 0.15) -> None:
        """Read until there is no output for `quiet` seconds, at most 2 s.

        A key right after an escape would be taken for one sequence with it.
        """
        end = time.monotonic() + 2
        until = time.monotonic() + quiet
        while time.monotonic() < min(until, end):
            before = self._received
            self.read(0.02)
            if self._received != before:
                until = time.monotonic() + quiet

    @property
    def shown(self) -> str:
        """The text on the screen."""
        received, lines = self._lines
        if received != self._received:
            lines = "\n".join(line.rstrip() for line in self.screen.display)
            self._lines = (self._received, lines)
        return lines

    @property
    def written(self) -> str:
        """All text of the output, without cursor moves and styles."""
        return "".join(self._texts)

    def _feed(self, text: str) -> None:
        text = self._rest + text
        if _SYNC_QUERY in text:
            os.write(self._terminal, _SYNC_ANSWER)
        self._rest = ""
        at = 0
        drawn: list[str] = []
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None and not self._full_screen and (plain := _PLAIN.match(text, at)):
                drawn.append(plain[0])
                at = plain.end()
            elif token is None:
                if _UNFINISHED.match(text, at):
                    self._rest = text[at:]
                    break
                self._complain(text[at : at + 1], text[max(0, at - 80) : at + 80])
                at += 1
            else:
                drawn.append(self._take(token))
                at = token.end()
        self._stream.feed("".join(drawn))

    def _take(self, token: re.Match[str]) -> str:
        """Record a token, and return the part of it that goes to the emulator."""
        kind, text = token.lastgroup, token[0]
        if kind == "text":
            odd = unfit(text)
            if odd:
                self._complain(odd, text)
            self._texts.append(text)
            return text
        if kind == "draw":
            return text
        if kind == "mode" and "1049" in text:
            self._full_screen = text.endswith("h")
        elif kind == "copied":
            self.copied.append(base64.b64decode(token["copied"], validate=True).decode())
        return ""

    def _complain(self, what: str, where: str) -> None:
        if len(self.problems) < 20:
            self.problems.append(f"{what!r} in {where!r}")

    # Input

    def wait(self, what: Callable[[str], bool], about: str, seconds: float = 15) -> None:
        """Wait until the screen meets a condition. Fail after `seconds`."""
        until = time.monotonic() + seconds
        while not what(self.read()):
            if time.monotonic() > until:
                pytest.fail(f"no {about} within {seconds} s; problems: {self.problems}\nthe screen is\n{self.shown}")

    def wait_for(self, *texts: str, seconds: float = 15) -> None:
        """Wait until the screen shows all texts."""
        self.wait(lambda shown: all(text in shown for text in texts), repr(texts), seconds)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._terminal, keys.encode("utf-8", "surrogateescape"))
        if keys == "\x1b":
            self.settle()

    def paste(self, text: str) -> None:
        """Paste a text as a terminal does, in brackets."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    # Exit

    def ended(self, seconds: float = 10) -> int:
        """Return the exit status. Fail if the program still runs after `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                self.read(0)
                return os.waitstatus_to_exitcode(status)
        pytest.fail(f"the program still runs; the screen is\n{self.shown}")

    def close(self) -> None:
        """Kill the program if it still runs."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)
