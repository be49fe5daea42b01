"""A shell in a mounted layer: what it is told, and how it is run. The screen must be given up before."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from layertui.text.safe import safe

LAYER_VARIABLE = "LAYERTUI_LAYER"
"""The environment variable that holds the full ID of the layer."""

_USUAL = "/bin/sh"
_INSIDE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HANDED_IN = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "TZ")
_NOT_STARTED = (125, 126, 127)  # what chroot says when it fails, or a shell of its last command
_AT_ONCE = 2.0


@dataclass(frozen=True, slots=True)
class ShellCall:
    """What is to be run: in the folder `path`, where the layer is mounted; `inside` is the layer's own shell, or ""."""

    layer_id: str
    title: str
    path: Path
    inside: str = ""

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        if not self.inside:
            return [host_shell()]
        chroot = shutil.which("chroot") or "/usr/sbin/chroot"
        return [chroot, str(self.path), self.inside, *(["sh"] if self.inside.endswith("busybox") else [])]

    def environment(self, ours: Mapping[str, str], *, no_color: bool) -> dict[str, str]:
        """Return what the shell is to know, out of our own environment; inside a layer the host's would not fit."""
        values = dict(ours)
        if self.inside:
            values = {name: ours[name] for name in _HANDED_IN if name in ours}
            values |= {"PATH": _INSIDE_PATH, "HOME": "/root", "USER": "root", "SHELL": self.inside}
        if no_color:
            values.setdefault("NO_COLOR", "1")
        sign = "#" if os.geteuid() == 0 else "$"
        shown = re.sub(r"[^\w.-]", "?", self.layer_id[:12], flags=re.ASCII)  # the shell runs $(…) in a prompt
        values |= {"PS1": f"[layer {shown}] {sign} ", LAYER_VARIABLE: self.layer_id}
        return values

    def banner(self) -> str:
        """Return what stands above the first prompt."""
        where = f"chroot {safe(str(self.path))}" if self.inside else safe(str(self.path))
        whose = "the layer's own shell, its root folder is yours" if self.inside else "a shell of this host"
        return (
            f"\nLayer {safe(self.title)} ({safe(self.layer_id[:12])}): {whose}\n{where}\n"
            f"What you change here changes the layer. `exit` goes back to layertui.\n\n"
        )


def host_shell() -> str:
    """Return the shell of this user, if it is there."""
    wanted = os.environ.get("SHELL", "")
    return wanted if os.path.isabs(wanted) and os.access(wanted, os.X_OK) else _USUAL


def run(call: ShellCall, *, no_color: bool) -> str:
    """Run the shell until it ends; return why it did not start, "" if it did. Call from the main thread.

    Raises:
        OSError: the program or the folder cannot be used.
    """
    out = sys.__stdout__
    if out is not None:
        out.write(call.banner())
        out.flush()
    began = time.monotonic()
    with _left_alone(signal.SIGINT, signal.SIGQUIT):
        try:
            status = subprocess.run(  # noqa: S603 - the user asked for this very shell
                call.command,
                cwd=call.path,
                env=call.environment(os.environ, no_color=no_color),
                check=False,
            ).returncode
        finally:
            _take_terminal_back()
    if call.inside and status in _NOT_STARTED and time.monotonic() - began < _AT_ONCE:
        return f"{call.inside} of the layer could not be run (status {status}): it may be made for another machine"
    return ""


@contextmanager
def _left_alone(*signals: signal.Signals) -> Iterator[None]:
    """Let keys such as ctrl+c reach the shell only: a handler that does nothing is, unlike SIG_IGN, not handed on."""
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_terminal_back() -> None:
    """Be the program of the terminal again, which a shell that was killed does not see to."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, before)
