"""Warnings about the processes and containers that an unmount affects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerstore import MountPlace, MountUsers, Process
from layertui.model.rows import LayerRow
from layertui.text.format import plural

_MAX_LINES = 6  # of one kind, to fit into the dialog

_RUNS = (
    "A running container keeps its files, but podman cp, commit and export would mount the layer a second time, which "
    "may damage what the container writes. Stop the container first with podman stop."
)
_INSIDE = "The kernel cannot unmount an overlay while a process outside of containers uses it. End that process first."
_IDLE = "The container has no running process, but Podman may be using the mount (podman mount, cp or commit)."


def unmount_warning(rows: Sequence[LayerRow], users: Mapping[str, MountUsers], *, force: bool) -> str:
    """Return the warning to show before unmounting layers, "" if nothing is affected. The text is not escaped.

    `force` unmounts a layer whatever its mount count.
    """
    found = [(row, _about(users[row.id], force=force)) for row in rows if row.id in users]
    if len(found) == 1:
        return found[0][1]
    return "\n\n".join(f"{row.title}\n{text}" for row, text in found if text)


def _about(users: MountUsers, *, force: bool) -> str:
    state = users.state
    if state is None or state.place is not MountPlace.HERE or (state.count > 1 and not force):
        return ""  # the store itself refuses mounts in other namespaces, with a better message
    lines = []
    if state.count > 1:
        lines.append(f"It is mounted {plural(state.count, 'time')}. This unmounts it for all users.")
    living = [process for process in users.processes if process.how == "root"]
    others = [process for process in users.processes if process.how != "root"]
    lines += _some([f"Container {name} uses this mount." for name in users.containers])
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
    if process.how == "cwd":
        return "has its working folder here"
    return f"has {process.how.removeprefix(mount) or '/'} open"


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _MAX_LINES
    return lines if more <= 0 else [*lines[:_MAX_LINES], f"  and {more} more"]
