"""Enters the user and mount namespaces in which rootless Podman keeps its layers.

There the user is root over a range of subordinate IDs, may mount overlays, and may read and delete the files of
containers. If Podman's pause process is running, its namespaces are joined, so that mounts are shared with Podman.
Otherwise new ones are created as containers/storage does (pkg/unshare), which end with this process. See
user_namespaces(7), setns(2), newuidmap(1) and, for the files of Podman, its pkg/rootless.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from enum import Enum

from layerstore.errors import StoreAccess
from layerstore.linux import libc

CONFIGURED = "_CONTAINERS_USERNS_CONFIGURED"
ROOTLESS_UID = "_CONTAINERS_ROOTLESS_UID"
ROOTLESS_GID = "_CONTAINERS_ROOTLESS_GID"

_OWNER_OF, _USER_OF = 0xB704, 0xB701  # NS_GET_OWNER_UID, NS_GET_USERNS: ioctl_ns(2)
_NAMESPACES = -10003  # FD_NSFS_ROOT: opens namespaces by file handle, since Linux 6.18
_HANDLE = struct.Struct("=Ii128s")
_SHOWN = 300

_RUN_FOLDERS = ("storage-run-{}", "podman-run-{}", "containers-user-{}")
_PAUSE_NAMES = {"catatonit", "podman pause", "podman", "podman-pause"}


class Entry(Enum):
    """The outcome of `enter`."""

    NOT_NEEDED = "not needed"
    """This process is root, or already in a user namespace (`podman unshare`)."""
    JOINED = "joined"
    """In Podman's namespaces. Mounts are shared with Podman and outlive this process."""
    OWN = "own"
    """In new namespaces. Mounts are visible only to this process and its children, and end with them."""
    UNAVAILABLE = "unavailable"
    """No namespace can be entered. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Entered:
    """The result of `enter`.

    Attributes:
        how: The outcome.
        pid: The PID of the pause process that was joined, or 0.
        reason: Why no namespace can be entered, for people.
        hint: How to fix that, for people.
    """

    how: Entry
    pid: int = 0
    reason: str = ""
    hint: str = ""


class _Unavailable(Exception):
    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def needed(environ: MutableMapping[str, str] | None = None) -> bool:
    """Return whether `enter` would do anything: this is an ordinary user outside of a rootless user namespace."""
    environ = os.environ if environ is None else environ
    return os.geteuid() != 0 and not environ.get(CONFIGURED)


def enter(environ: MutableMapping[str, str] | None = None) -> Entered:
    """Enter the namespaces for the rest of this process, and become root in them.

    Call this before starting threads and before opening files that must be outside. The working directory is kept.

    Args:
        environ: The environment, by default that of this process. XDG_RUNTIME_DIR and TMPDIR locate the files of
            Podman. On success, variables that tell child processes about the namespace are added.

    Raises:
        RuntimeError: Threads are running, so the kernel would refuse.
        StoreAccess: The kernel refused after one namespace was entered. This process must exit.
    """
    environ = os.environ if environ is None else environ
    if not needed(environ):
        return Entered(Entry.NOT_NEEDED)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("a user namespace must be entered before threads are started")
    uid, gid = os.geteuid(), os.getegid()
    with contextlib.ExitStack() as stack:
        joined = _podmans(environ, uid, stack)
        if joined is not None:
            pid, descriptors = joined
            _join(descriptors)
            result = Entered(Entry.JOINED, pid)
        else:
            try:
                _join(_new(uid, gid, stack))
            except _Unavailable as error:
                return Entered(Entry.UNAVAILABLE, reason=error.reason, hint=error.hint)
            result = Entered(Entry.OWN)
    environ[CONFIGURED], environ[ROOTLESS_UID], environ[ROOTLESS_GID] = "done", str(uid), str(gid)
    return result


# Joining


def _podmans(
    environ: MutableMapping[str, str], uid: int, stack: contextlib.ExitStack
) -> tuple[int, tuple[int, int]] | None:
    """Return the PID of Podman's pause process, or 0 if it has none, and descriptors of its namespaces."""
    for folder in _state_folders(environ, uid):
        for find in (_by_handle, _by_pid):
            with contextlib.suppress(OSError, ValueError):
                pid, users, mounts = find(folder, uid)
                stack.callback(os.close, users)
                stack.callback(os.close, mounts)
                if _is_ours(users, mounts, uid):
                    return pid, (users, mounts)
    return None


def _state_folders(environ: MutableMapping[str, str], uid: int) -> Iterator[str]:
    """Yield the folders in which Podman may have recorded its namespaces, except those that others can write to."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - as in Podman; the folder in it must be private
    others = [f"/run/user/{uid}", *(os.path.join(temporary, name.format(uid)) for name in _RUN_FOLDERS)]
    for folder in dict.fromkeys([*([runtime] if runtime else []), *others]):
        with contextlib.suppress(OSError):
            status = os.lstat(folder)
            if status.st_uid == uid and not status.st_mode & 0o022:
                yield os.path.join(folder, "libpod", "tmp")


def _by_pid(folder: str, uid: int) -> tuple[int, int, int]:
    """Open the namespaces of the process in `pause.pid`, if that is still the pause process."""
    with open(os.path.join(folder, "pause.pid"), encoding="ascii") as file:
        pid = int(file.read(32))
    if pid <= 1 or os.stat(f"/proc/{pid}").st_uid != uid or not _is_pause(pid):
        raise ValueError(pid)
    users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(users)
        raise
    return pid, users, mounts


def _is_pause(pid: int) -> bool:
    """Return whether a process is Podman's pause process. Its PID may have been reused."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        if file.read().strip() in _PAUSE_NAMES:
            return True
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return b"_PODMAN_PAUSE=1" in environ.read(1 << 16).split(b"\0")


def _by_handle(folder: str, uid: int) -> tuple[int, int, int]:
    """Open the namespaces whose file handles are in `ns_handles`. Podman of 2026 needs no pause process for them."""
    del uid
    with open(os.path.join(folder, "ns_handles"), "rb") as file:
        content = file.read()
    if len(content) != 2 * _HANDLE.size:
        raise ValueError(folder)
    users = _open_handle(content[: _HANDLE.size])
    try:
        return 0, users, _open_handle(content[_HANDLE.size :])
    except OSError:
        os.close(users)
        raise


def _open_handle(handle: bytes) -> int:
    if _HANDLE.unpack(handle)[0] > 128:
        raise ValueError(handle)
    return libc.open_by_handle_at(_NAMESPACES, handle, os.O_RDONLY | os.O_CLOEXEC)


def _is_ours(users: int, mounts: int, uid: int) -> bool:
    """Return whether a user namespace is a different one, was created by this user, and owns the mount namespace."""
    buffer = bytearray(4)
    fcntl.ioctl(users, _OWNER_OF, buffer)
    if int.from_bytes(buffer, "little" if struct.pack("=H", 1) == b"\1\0" else "big") != uid:
        return False
    owner = fcntl.ioctl(mounts, _USER_OF)
    try:
        same = os.path.samestat(os.fstat(owner), os.fstat(users))
    finally:
        os.close(owner)
    return same and not os.path.samestat(os.fstat(users), os.stat("/proc/self/ns/user"))


def _join(descriptors: tuple[int, int]) -> None:
    """Enter a user and a mount namespace, and become root there."""
    users, mounts = descriptors
    here = os.getcwd()
    try:
        libc.setns(users, libc.CLONE_NEWUSER)
        libc.setns(mounts, libc.CLONE_NEWNS)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        reason = f"the kernel lets this user enter only one of Podman's namespaces ({error.strerror})"
        raise StoreAccess("/proc/self/ns", reason, "run it in `podman unshare`") from error
    with contextlib.suppress(OSError):  # the namespace may lack a newer mount
        os.chdir(here)


# Creating


def _new(uid: int, gid: int, stack: contextlib.ExitStack) -> tuple[int, int]:
    """Create namespaces with all IDs of the user, and return descriptors of them.

    A child process creates them, and this process enters only after the ID maps are written. So this process is
    unchanged if any step fails.
    """
    programs = [_program(name) for name in ("newuidmap", "newgidmap")]
    ranges = [_ranges(kind, uid) for kind in ("uid", "gid")]
    child, answer, go_on = _forked()
    try:
        refusal = int(os.read(answer, 16) or b"-1")
        if refusal:
            raise _refused(refusal)
        for program, spans, own in zip(programs, ranges, (uid, gid), strict=True):
            _map(program, child, own, spans)
        names = ("user", "mnt")
        users, mounts = (os.open(f"/proc/{child}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names)
        stack.callback(os.close, users)
        stack.callback(os.close, mounts)
        os.write(go_on, b"1")
        refusal = int(os.read(answer, 16) or b"-1")
        if refusal:
            raise _refused(refusal)
        return users, mounts
    finally:
        os.close(go_on)
        os.close(answer)
        os.waitpid(child, 0)


def _forked() -> tuple[int, int, int]:
    """Start the child that creates the namespaces, and return its PID and the pipes from and to it.

    It answers with an error number, or 0, after each of its two steps. It exits when its pipe is closed.
    """
    answer, answers = os.pipe()
    orders, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(go_on)
            os.close(answer)
            _answer(answers, lambda: libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS))
            if os.read(orders, 1):
                # Mounts outside become visible inside, but not the other way round.
                _answer(answers, lambda: libc.mount(None, b"/", None, libc.MS_REC | libc.MS_SLAVE))
                os.read(orders, 1)
        finally:
            os._exit(0)
    os.close(orders)
    os.close(answers)
    return child, answer, go_on


def _answer(pipe: int, step: Callable[[], None]) -> None:
    try:
        step()
        os.write(pipe, b"0")
    except OSError as error:
        os.write(pipe, str(error.errno).encode())


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        hint = "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, RHEL)"
        raise _Unavailable(f"the program {name} is missing, which maps subordinate IDs into a user namespace", hint)
    return found


def _ranges(kind: str, uid: int) -> list[tuple[int, int]]:
    """Return the first ID and the size of each range of the user's subordinate IDs, where `kind` is "uid" or "gid"."""
    import pwd

    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    found, after = [], 100_000
    with contextlib.suppress(OSError), open(f"/etc/sub{kind}", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, first, count = [*line.strip().split(":"), "", "", ""][:3]
            if first.isdecimal() and count.isdecimal():
                after = max(after, int(first) + int(count))
                if name in {user, str(uid)} and int(count):
                    found.append((int(first), int(count)))
    found = found or _by_getsubids(kind, user)
    if not found:
        option = f"--add-sub{kind}s {after}-{after + 65_535}"
        hint = f"as root, run: usermod {option} {user} (--add-subuids and --add-subgids can be combined)"
        raise _Unavailable(f"the user {user} has no subordinate IDs in /etc/sub{kind}", hint)
    return found


def _by_getsubids(kind: str, user: str) -> list[tuple[int, int]]:
    """Ask getsubids, which also knows network directories. Its lines look like "0: user 100000 65536"."""
    program = shutil.which("getsubids")
    if program is None:
        return []
    command = [program, *(["-g"] if kind == "gid" else []), user]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - from PATH
        lines = [line.split() for line in done.stdout.splitlines()]
        return [(int(words[-2]), int(words[-1])) for words in lines if len(words) == 4]
    return []


def _map(program: str, child: int, own: int, spans: list[tuple[int, int]]) -> None:
    """Write an ID map with the set-user-ID program: this user becomes 0, subordinate IDs follow from 1."""
    arguments, inside = [0, own, 1], 1
    for first, count in spans:
        arguments += [inside, first, count]
        inside += count
    command = [program, str(child), *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - from the user's own PATH
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _Unavailable(f"{program} cannot be run ({error})", "reinstall it") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:_SHOWN] or f"exit status {done.returncode}"
        hint = "check that it is set-user-ID root (or has cap_setuid or cap_setgid), and /etc/subuid and /etc/subgid"
        raise _Unavailable(f"{program} could not map subordinate IDs: {said}", hint)


def _refused(number: int) -> _Unavailable:
    hint = "as root, check the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    hint += "kernel.apparmor_restrict_unprivileged_userns; in a container, give it more privileges"
    word = os.strerror(number) if number > 0 else "the child process died"
    if number == errno.ENOSPC:
        word = "the maximum number of namespaces is reached"
    return _Unavailable(f"this system does not let ordinary users create a user namespace ({word})", hint)
