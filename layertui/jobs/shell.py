"""Runs a shell in a mounted layer. The caller gives up the screen first."""

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
"""The environment variable with the full ID of the layer."""

_USUAL = "/bin/sh"
_INSIDE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HANDED_IN = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "TZ")
_NOT_STARTED = (125, 126, 127)  # exit statuses of a failed chroot, which a shell may return as well
_AT_ONCE = 2.0  # seconds within which such a status is taken for a failed start


@dataclass(frozen=True, slots=True)
class ShellCall:
    """A shell to run.

    Attributes:
        layer_id: The full ID of the layer.
        title: What the banner calls the layer.
        path: Where the layer is mounted, and the shell starts.
        inside: The path of the layer's own shell, run with chroot; "" for the host's shell.
    """

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
        """Return the environment of the shell, based on `ours`. Little of it is passed into a chroot."""
        values = dict(ours)
        if self.inside:
            values = {name: ours[name] for name in _HANDED_IN if name in ours}
            values |= {"PATH": _INSIDE_PATH, "HOME": "/root", "USER": "root", "SHELL": self.inside}
        if no_color:
            values.setdefault("NO_COLOR", "1")
        sign = "#" if os.geteuid() == 0 else "$"
        shown = re.sub(r"[^\w.-]", "?", self.layer_id[:12], flags=re.ASCII)  # a shell would run $(…) in a prompt
        values |= {"PS1": f"[layer {shown}] {sign} ", LAYER_VARIABLE: self.layer_id}
        return values

    def banner(self) -> str:
        """Return the text to print above the first prompt."""
        where = f"chroot {safe(str(self.path))}" if self.inside else safe(str(self.path))
        whose = "the layer's own shell" if self.inside else "the host's shell"
        return (
            f"\nLayer {safe(self.title)} ({safe(self.layer_id[:12])}): {whose}\n{where}\n"
            f"Changes you make here change the layer. Type `exit` to return to layertui.\n\n"
        )


def host_shell() -> str:
    """Return the shell of this user from `SHELL`, or `/bin/sh` if that cannot be run."""
    wanted = os.environ.get("SHELL", "")
    return wanted if os.path.isabs(wanted) and os.access(wanted, os.X_OK) else _USUAL


def run(call: ShellCall, *, no_color: bool) -> str:
    """Run the shell until it ends. Return why it did not start, "" if it did.

    Call this from the main thread, which signal handlers need.

    Raises:
        OSError: The program cannot be run, or the folder cannot be entered.
    """
    out = sys.__stdout__
    if out is not None:
        out.write(call.banner())
        out.flush()
    began = time.monotonic()
    with _ignoring(signal.SIGINT, signal.SIGQUIT):
        try:
            status = subprocess.run(  # noqa: S603 - the user chose this shell
                call.command,
                cwd=call.path,
                env=call.environment(os.environ, no_color=no_color),
                check=False,
            ).returncode
        finally:
            _take_terminal_back()
    if call.inside and status in _NOT_STARTED and time.monotonic() - began < _AT_ONCE:
        return f"Cannot run {call.inside} of the layer (status {status}). It may be built for another architecture"
    return ""


@contextmanager
def _ignoring(*signals: signal.Signals) -> Iterator[None]:
    """Ignore signals such as that of ctrl+c here, but not in the shell: unlike SIG_IGN, a handler is not inherited."""
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_terminal_back() -> None:
    """Become the foreground process group again, because a killed shell does not give the terminal back."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, before)
