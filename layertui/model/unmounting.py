"""What ending a mount would do to others, in words; "" where nobody would notice. No screen and no store in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerstore.linux.mounttable import Process
from layerstore.model import MountPlace
from layerstore.operations.mount import MountUsers
from layertui.model.rows import LayerRow
from layertui.text.format import plural

_MOST = 6  # lines of one kind; a dialog has no room for more

_RUNS = (
    "What runs in a container goes on and keeps its files, but podman cp, commit or export would then mount them a "
    "second time, which may damage what it writes. Better stop it first: podman stop."
)
_INSIDE = "A program that is in it without a container keeps the kernel from unmounting an overlay: leave it first."
_IDLE = "No process of it was found. Podman counts this mount as its own and may work on it (podman mount, cp, commit)."


def unmount_warning(rows: Sequence[LayerRow], users: Mapping[str, MountUsers], *, force: bool) -> str:
    """Return what to ask before these mounts end, by `force` for everybody; not safe for a screen yet."""
    found = [(row, _about(users[row.id], force=force)) for row in rows if row.id in users]
    if len(found) == 1:
        return found[0][1]
    return "\n\n".join(f"{row.title}\n{text}" for row, text in found if text)


def _about(users: MountUsers, *, force: bool) -> str:
    state = users.state
    if state is None or state.place is not MountPlace.HERE or (state.count > 1 and not force):
        return ""  # the store refuses what is elsewhere, and says more
    lines = []
    if state.count > 1:
        lines.append(f"It was asked for {plural(state.count, 'time')}: this ends it for all of them.")
    living = [process for process in users.processes if process.how == "root"]
    others = [process for process in users.processes if process.how != "root"]
    lines += _some([f"Container {name} has its files here." for name in users.containers])
    lines += _some([f"  runs in it: {process}" for process in living])
    lines += _some([f"  {_at(process, state.path)}: {process}" for process in others])
    if living:
        lines.append(_RUNS)
    elif users.containers:
        lines.append(_IDLE)
    if others:
        lines.append(_INSIDE)
    return "\n".join(lines)


def _at(process: Process, mount: str) -> str:
    return "works in it" if process.how == "cwd" else f"has {process.how.removeprefix(mount) or '/'} open"


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST
    return lines if more <= 0 else [*lines[:_MOST], f"  and {more} more"]
