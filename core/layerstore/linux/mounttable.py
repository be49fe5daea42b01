"""The kernel's view of mounts: what is mounted where, in which mount namespaces, and which processes are in it.

Everything is read from /proc (man 5 proc, mountinfo). Processes of other users are visible to root only, so what is
found is never all that there may be; nothing here takes a lock, and what is true may change at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_SPECIAL = re.compile(r"[ \t\n\\]")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_COMMAND_MAX = 200


@dataclass(frozen=True, slots=True)
class KernelMount:
    """A line of a mount table: `device` is "major:minor", `root` what of that file system is shown at `point`.

    `upper` is an overlay's upper folder as it was given when it was mounted, "" where there is none; `kind` the name of
    the file system, such as "ext4".
    """

    point: str
    device: str
    root: str
    upper: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that uses a mount. `how` is "root", "cwd" or the path of a file that it has open."""

    pid: int
    command: str
    how: str

    def __str__(self) -> str:
        return f"{self.command} (PID {self.pid})"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that processes are looked for in.

    `device` is that of the file system mounted on it; with `shared` it is the one that the folder lies on among
    others. `upper` is the upper folder, where it is an overlay. "" is for what is not known.
    """

    path: str
    device: str = ""
    upper: str = ""
    shared: bool = False

    def is_root(self, mount: KernelMount) -> bool:
        """Tell whether a process that has this mount as its root is in here."""
        if mount.upper and mount.upper in (self.upper, "/".join(self.upper.split("/")[-2:])):
            return True
        if not self.device or mount.device != self.device:
            return False
        return not self.shared or (self.path.endswith(mount.root) and mount.root.count("/") > 1)

    def holds(self, path: str) -> bool:
        """Tell whether a path lies in here."""
        return path == self.path or path.startswith(f"{self.path}/")


def kernel_mounts(pid: int | None = None, *, having: bytes = b"") -> Iterator[KernelMount]:
    """Yield the mounts of a process's mount table in their order; those whose line has the bytes `having` somewhere.

    Raises:
        OSError: the process is gone, or this user may not look.
    """
    with open(f"/proc/{'self' if pid is None else pid}/mountinfo", "rb") as file:
        for line in file:
            if having in line:
                fields = line.rstrip(b"\n").split(b" ")
                end = fields.index(b"-", 6)
                upper = next(
                    (value[9:] for value in fields[end + 3].split(b",") if value.startswith(b"upperdir=")), b""
                )
                device, kind = fields[2].decode(), os.fsdecode(fields[end + 1])
                yield KernelMount(_plain(fields[4]), device, _plain(fields[3]), _plain(upper), kind)


def overlay_mounts(home: str, pid: int | None = None) -> dict[str, KernelMount]:
    """Return the layers that are mounted on their folder `<home>/<ID>/merged`, by ID.

    Args:
        home: the overlay driver's folder, without symbolic links.
        pid: the process whose mount table is looked at; by default this one.

    Raises:
        OSError: the process is gone, or this user may not look.
    """
    found = {}
    for mount in kernel_mounts(pid, having=_escaped(home)):
        layer_id = _between(mount.point, f"{home}/", "/merged")
        if layer_id:
            found[layer_id] = mount
    return found


def elsewhere(home: str, wanted: Collection[str]) -> dict[str, int]:
    """Return which of these layers are mounted in another mount namespace, each with a process there.

    That is one where `<home>/<ID>/merged` is a mount, such as that of rootless Podman, or one whose root is the
    layer's overlay, as a container's is. Looks at one process a namespace.
    """
    found: dict[str, int] = {}
    if not wanted:
        return found
    for pid in _namespaces():
        try:
            for layer_id in overlay_mounts(home, pid):
                if layer_id in wanted:
                    found.setdefault(layer_id, pid)
            root = _root_mount(pid)
        except OSError:
            continue
        upper = root.upper if root is not None else ""
        # Podman gives it relative to the driver's folder where the options would not fit into a page.
        layer_id = _between(upper, f"{home}/", "/diff") or _between(upper, "", "/diff")
        if layer_id in wanted:
            found.setdefault(layer_id, pid)
    return found


def processes_in(place: Place) -> list[Process]:
    """Return the processes whose root, working folder or open files are in a place, by PID."""
    own = _namespace("self")
    found = []
    for pid in _pids():
        how = _use(pid, place, own)
        if how:
            found.append(Process(pid, command_of(pid), how))
    return found


def command_of(pid: int) -> str:
    """Return a process's command line, cut to 200 characters; "?" where the process is gone. Not safe for a screen."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4 * _COMMAND_MAX).rstrip(b"\0").split(b"\0")
        if words != [b""]:
            return os.fsdecode(b" ".join(words))[:_COMMAND_MAX]
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        return "?"


def _use(pid: int, place: Place, own: str) -> str:
    """Return how a process uses a place, "" if it does not or may not be looked at."""
    try:
        if _namespace(pid) != own:
            root = _root_mount(pid)
            if root is not None and place.is_root(root):
                return "root"
        for name in ("root", "cwd"):
            if place.holds(os.readlink(f"/proc/{pid}/{name}")):
                return name
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if place.holds(target):
                return target
    except OSError:
        pass
    return ""


def _namespaces() -> Iterator[int]:
    """Yield the first process of every mount namespace but this one."""
    seen = {_namespace("self")}
    for pid in _pids():
        try:
            namespace = _namespace(pid)
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            yield pid


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def _namespace(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/mnt")


def _root_mount(pid: int) -> KernelMount | None:
    """Return what a process has as its root; of several mounts on it the last one is seen."""
    found = None
    for mount in kernel_mounts(pid, having=b" / "):
        if mount.point == "/":
            found = mount
    return found


def _plain(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))


def _escaped(path: str) -> bytes:
    return os.fsencode(_SPECIAL.sub(lambda match: f"\\{ord(match[0]):03o}", path))


def _between(path: str, start: str, end: str) -> str:
    """Return the one path component between two parts, "" where there is none."""
    middle = path[len(start) : -len(end)] if path.startswith(start) and path.endswith(end) else ""
    return "" if "/" in middle else middle
