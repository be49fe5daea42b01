"""Typed paths: completion, and checks whether a file can be written there.

Any access to a file system can hang, for minutes on a network share. The functions here may block; `Patient` runs them
so that neither the screen nor the exit of the program waits for them.
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
"""The maximum number of entries of a folder that are read for a completion."""


class TargetState(Enum):
    """Whether a path can be written."""

    NEW = "new"
    EXISTS = "exists"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """The result of checking a path.

    `problem` says why it is refused. `free` is the free space in bytes, None if unknown.
    """

    path: Path
    state: TargetState
    problem: str = ""
    free: int | None = None


def expand(text: str, base: Path) -> Path:
    """Return the path for typed text, expanding `~` and resolving relative paths from `base`."""
    return base / os.path.expanduser(text)


def check_target(text: str, base: Path) -> Target:
    """Return whether a file can be written at a typed path. May block on the file system."""
    path = expand(text, base)
    try:
        return _check(path, text)
    except (OSError, ValueError) as error:
        return Target(path, TargetState.REFUSED, reason_text(error))


def reason_text(error: Exception) -> str:
    """Return the reason of an error without the error number and the path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def folder_problem(folder: Path) -> str:
    """Return why nothing can be written into a folder, "" if it is writable."""
    name = safe(str(folder))
    if not folder.exists():
        return f"The folder {name} does not exist"
    if not folder.is_dir():
        return f"{name} is not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"No permission to write to {name}"
    return ""


def _check(path: Path, text: str) -> Target:
    if not text.strip():
        return Target(path, TargetState.REFUSED, "Enter the path of the file")
    if text.endswith(os.sep) or path.is_dir():
        return Target(path, TargetState.REFUSED, "This is a folder; add a file name")
    problem = folder_problem(path.parent)
    if problem:
        return Target(path, TargetState.REFUSED, problem)
    free = shutil.disk_usage(path.parent).free
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Target(path, TargetState.NEW, free=free)
    if not stat.S_ISREG(mode):
        return Target(path, TargetState.REFUSED, "This path exists and is not a regular file")
    return Target(path, TargetState.EXISTS, free=free)


def complete(text: str, base: Path) -> str | None:
    """Return the completion of a typed path: the first matching folder, else the first matching file, else None.

    Names with control characters are not offered, and hidden ones only after a typed dot.
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
    """Runs blocking calls one at a time, each in a daemon thread, which the exit of the program does not wait for.

    A call that is cancelled while it waits for its turn never starts. One that has started cannot be stopped, and its
    result is dropped. So at most one thread hangs, however much the user types.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    async def __call__(self, function: Callable[..., ResultT], *args: Any) -> ResultT:
        """Return the result of `function(*args)`."""
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
            except Exception as raised:  # noqa: BLE001 - raised in the caller
                error = raised
            with suppress(RuntimeError):  # the event loop has been closed
                loop.call_soon_threadsafe(deliver, result, error)

        threading.Thread(target=work, name="layertui-path", daemon=True).start()
        return await asyncio.shield(running)
