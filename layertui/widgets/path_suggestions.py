"""Paths that somebody types: what a file there would mean, and how the path may go on.

Every look at a file system can hang, on a network share for minutes. The functions here are plain and may block;
`Patient` runs them so that neither the screen nor the end of the program waits for one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from layertui.text.safe import safe

ResultT = TypeVar("ResultT")

_MAX_ENTRIES = 20_000
"""A folder is read this far for a suggestion."""


class TargetState(Enum):
    """Whether a file can be written at a path."""

    NEW = "new"
    EXISTS = "exists"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A path that was looked at. `problem` says why it is refused; `free` is the space left there, if known."""

    path: Path
    state: TargetState
    problem: str = ""
    free: int | None = None


def expand(text: str, base: Path) -> Path:
    """Return the path that `text` means: `~` is a home folder, and what is relative counts from `base`."""
    return base / os.path.expanduser(text)


def check_target(text: str, base: Path) -> Target:
    """Look whether a file can be written at the path that somebody typed. Blocks as long as the file system does."""
    path = expand(text, base)
    try:
        return _check(path, text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Target(path, TargetState.REFUSED, reason)


def _check(path: Path, text: str) -> Target:
    folder = path.parent
    if not text.strip():
        return Target(path, TargetState.REFUSED, "Type where the file should go")
    if text.endswith(os.sep) or path.is_dir():
        return Target(path, TargetState.REFUSED, "This is a folder: add a file name")
    if not folder.exists():
        return Target(path, TargetState.REFUSED, f"There is no folder {safe(str(folder))}")
    if not folder.is_dir():
        return Target(path, TargetState.REFUSED, f"{safe(str(folder))} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Target(path, TargetState.REFUSED, f"You may not write in {safe(str(folder))}")
    free = shutil.disk_usage(folder).free
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Target(path, TargetState.NEW, free=free)
    if not stat.S_ISREG(mode):
        return Target(path, TargetState.REFUSED, "Something is there that is not a file")
    return Target(path, TargetState.EXISTS, free=free)


def complete(text: str, base: Path) -> str | None:
    """Return how a typed path may go on: the first name, folders before files, None when nothing fits.

    Names that could not be typed are not offered, nor hidden ones before their dot is typed.
    """
    head, start = os.path.split(text)
    folder = expand(head, base)
    found = sorted(entry for entry in _entries(folder, start) if safe(entry[1]) == entry[1])
    if not found:
        return None
    is_file, name = found[0]
    return os.path.join(head, name) + ("" if is_file else os.sep)


def _entries(folder: Path, start: str) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False):
            if entry.name.startswith(start or ".") is bool(start):
                found.append((not entry.is_dir(), entry.name))
    return found


class Patient:
    """Runs blocking calls one after the other, each in a thread that the end of the program does not wait for.

    A call that is cancelled while it waits for its turn never starts; one that has started cannot be stopped, so its
    result is dropped. At most one thread hangs, however much is typed meanwhile.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    async def __call__(self, function: Callable[..., ResultT], *args: Any) -> ResultT:
        """Return what `function(*args)` returns."""
        while self._running is not None and not self._running.done():
            await asyncio.wait({self._running})
        loop = asyncio.get_running_loop()
        running: asyncio.Future[ResultT] = loop.create_future()
        self._running = running

        def deliver(result: ResultT | None, error: BaseException | None) -> None:
            if error is not None:
                running.set_exception(error)
            else:
                running.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, error = None, None
            try:
                result = function(*args)
            except Exception as raised:  # noqa: BLE001 - handed to the caller
                error = raised
            with suppress(RuntimeError):  # the program has ended meanwhile
                loop.call_soon_threadsafe(deliver, result, error)

        threading.Thread(target=work, name="layertui-path", daemon=True).start()
        return await asyncio.shield(running)
