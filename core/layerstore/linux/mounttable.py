"""Read the kernel's mount tables, and find the processes that use a mount.

Everything is read from /proc (mountinfo in proc(5)). Only root can inspect the processes of other users, so results may
be incomplete. They can also be stale as soon as they are returned, because nothing is locked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPECIAL = re.compile(r"[ \t\n\\]")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_COMMAND_MAX = 200


@dataclass(frozen=True, slots=True)
class KernelMount:
    """A line of a mount table.

    Attributes:
        point: The path where it is mounted.
        device: The device of the file system, as "major:minor".
        root: The folder of the file system that is visible at `point`.
        upper: The upper folder of an overlay, as given when it was mounted, or "".
        kind: The type of the file system, such as "ext4".
    """

    point: str
    device: str
    root: str
    upper: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that uses a mount. `how` is "root", "cwd" or the path of an open file."""

    pid: int
    command: str
    how: str

    def __str__(self) -> str:
        return f"{self.command} (PID {self.pid})"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that processes may be using.

    Attributes:
        path: The folder.
        device: The device of the file system mounted there, or "" if it is unknown.
        upper: The upper folder of the overlay mounted there, or "" if there is none.
        shared: Whether the file system also contains other folders, because the folder is not a mount of its own.
    """

    path: str
    device: str = ""
    upper: str = ""
    shared: bool = False

    def is_root(self, mount: KernelMount) -> bool:
        """Return whether a process with this mount as its root uses the folder."""
        # Podman passes the last two parts of the path if all options together would exceed one page.
        if mount.upper and mount.upper in (self.upper, "/".join(self.upper.split("/")[-2:])):
            return True
        if not self.device or mount.device != self.device:
            return False
        return not self.shared or (self.path.endswith(mount.root) and mount.root.count("/") > 1)

    def holds(self, path: str) -> bool:
        """Return whether a path is the folder or inside it."""
        return path == self.path or path.startswith(f"{self.path}/")


def kernel_mounts(pid: int | None = None, *, having: bytes = b"") -> Iterator[KernelMount]:
    """Yield the mounts of a process, by default this one, in the order of its mount table.

    With `having`, only lines that contain these bytes are parsed. See `escaped`.

    Raises:
        OSError: The process has ended, or this user may not inspect it.
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


def processes_in(place: Place) -> list[Process]:
    """Return the processes whose root, working folder or open files are in a folder, sorted by PID."""
    own = _namespace("self")
    found = []
    for pid in _pids():
        how = _use(pid, place, own)
        if how:
            found.append(Process(pid, command_of(pid), how))
    return found


def command_of(pid: int) -> str:
    """Return a process's command line, up to 200 characters and unescaped, or "?" if the process has ended."""
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
    """Return how a process uses a folder, or "" if it does not or this user may not inspect it."""
    try:
        if _namespace(pid) != own:
            root = root_mount(pid)
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


def other_namespaces() -> Iterator[int]:
    """Yield one process from every other mount namespace."""
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


def root_mount(pid: int) -> KernelMount | None:
    """Return the mount that a process has as its root, which is the last one at "/".

    Raises:
        OSError: The process has ended, or this user may not inspect it.
    """
    found = None
    for mount in kernel_mounts(pid, having=b" / "):
        if mount.point == "/":
            found = mount
    return found


def _plain(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))


def escaped(path: str) -> bytes:
    """Return a path as it appears in a line of a mount table."""
    return os.fsencode(_SPECIAL.sub(lambda match: f"\\{ord(match[0]):03o}", path))
