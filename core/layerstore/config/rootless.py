"""Entering the user and mount namespace in which an ordinary user's Podman keeps its layers.

In it the user is root over his subordinate IDs, may mount overlays, and may read and delete what containers own. It is
that of Podman's pause process where there is one, so that mounts are shared with Podman; else a new one, made as
containers/storage does (pkg/unshare) and ending with this process. See user_namespaces(7), setns(2), newuidmap(1) and,
for Podman's files, its pkg/rootless.
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
_NAMESPACES = -10003  # FD_NSFS_ROOT: namespaces by their file handles, since Linux 6.18
_HANDLE = struct.Struct("=Ii128s")
_SHOWN = 300

_RUN_FOLDERS = ("storage-run-{}", "podman-run-{}", "containers-user-{}")
_PAUSE_NAMES = {"catatonit", "podman pause", "podman", "podman-pause"}


class Entry(Enum):
    """What came of entering."""

    NOT_NEEDED = "not needed"
    """Root, or in a namespace already (`podman unshare`)."""
    JOINED = "joined"
    """In Podman's namespace: both see each other's mounts, also after this process has ended."""
    OWN = "own"
    """In a new namespace: mounts in it are seen by this process and its children only, and end with them."""
    UNAVAILABLE = "unavailable"
    """Still outside; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of `enter`. `pid` is that of the pause process that was joined, 0 where there is none.

    `reason` and `hint` say for people why there is no namespace, and what can be done about it.
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
    """Tell whether `enter` would do anything: this is an ordinary user, outside of such a namespace."""
    environ = os.environ if environ is None else environ
    return os.geteuid() != 0 and not environ.get(CONFIGURED)


def enter(environ: MutableMapping[str, str] | None = None) -> Entered:
    """Enter the namespaces, for good; be root in them, and say so to children in the environment.

    To be called before any thread starts, and before files are opened that are meant to lie outside. The working
    folder stays. Looks for Podman's files by `environ` (XDG_RUNTIME_DIR, TMPDIR) and writes to it.

    Raises:
        RuntimeError: there are threads already; the kernel would refuse.
        StoreAccess: half of the way was gone when the kernel refused the rest; this process is of no use any more.
    """
    environ = os.environ if environ is None else environ
    if not needed(environ):
        return Entered(Entry.NOT_NEEDED)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("a user namespace must be entered before threads start")
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
    """Find Podman's namespaces; return the PID of the pause process (0: it has none) and both, open."""
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
    """Yield where Podman may have noted its namespace, but no folder that others may write to."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - where Podman looks; only a private folder counts
    others = [f"/run/user/{uid}", *(os.path.join(temporary, name.format(uid)) for name in _RUN_FOLDERS)]
    for folder in dict.fromkeys([*([runtime] if runtime else []), *others]):
        with contextlib.suppress(OSError):
            status = os.lstat(folder)
            if status.st_uid == uid and not status.st_mode & 0o022:
                yield os.path.join(folder, "libpod", "tmp")


def _by_pid(folder: str, uid: int) -> tuple[int, int, int]:
    """Open the namespaces of the process that `pause.pid` names, if it is that process still."""
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
    """Tell whether a process is Podman's; its number may have gone to another one since it was noted."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        if file.read().strip() in _PAUSE_NAMES:
            return True
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return b"_PODMAN_PAUSE=1" in environ.read(1 << 16).split(b"\0")


def _by_handle(folder: str, uid: int) -> tuple[int, int, int]:
    """Open the namespaces whose file handles `ns_handles` has: Podman of 2026 keeps no process for them."""
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
    """Tell whether a user namespace is another than ours, made by this user, and that of a mount namespace."""
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
    """Enter a user and a mount namespace, and be root there."""
    users, mounts = descriptors
    here = os.getcwd()
    try:
        libc.setns(users, libc.CLONE_NEWUSER)
        libc.setns(mounts, libc.CLONE_NEWNS)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        reason = f"the kernel lets this user into the namespace of Podman only halfway ({error.strerror})"
        raise StoreAccess("/proc/self/ns", reason, "run it inside `podman unshare`") from error
    with contextlib.suppress(OSError):  # the namespace may lack what was mounted since it was made
        os.chdir(here)


# Making


def _new(uid: int, gid: int, stack: contextlib.ExitStack) -> tuple[int, int]:
    """Make namespaces with all of the user's IDs; return them, open.

    A child makes them and this process enters once the maps are there: whatever fails, this process stays as it was.
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
    """Start the child that makes the namespaces; return its PID, and the pipes from and to it.

    It answers with an error number (0: done) after each of its two steps, and ends when its pipe is closed.
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
                # What is mounted outside shall go on to appear in here, and nothing the other way round.
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
        raise _Unavailable(f"the program {name} is missing, which gives a namespace its subordinate IDs", hint)
    return found


def _ranges(kind: str, uid: int) -> list[tuple[int, int]]:
    """Return the user's subordinate IDs of one kind, "uid" or "gid": first ID and count of each range."""
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
        hint = f"as root, usermod {option} {user} adds some (--add-subuids and --add-subgids take both)"
        raise _Unavailable(f"the user {user} has no subordinate IDs in /etc/sub{kind}", hint)
    return found


def _by_getsubids(kind: str, user: str) -> list[tuple[int, int]]:
    """Ask the system's own program, which knows of directories of users, too; lines are "0: user 100000 65536"."""
    program = shutil.which("getsubids")
    if program is None:
        return []
    command = [program, *(["-g"] if kind == "gid" else []), user]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - PATH's
        lines = [line.split() for line in done.stdout.splitlines()]
        return [(int(words[-2]), int(words[-1])) for words in lines if len(words) == 4]
    return []


def _map(program: str, child: int, own: int, spans: list[tuple[int, int]]) -> None:
    """Have the set-user-ID program write a map: this user is 0, the subordinate IDs follow from 1."""
    arguments, inside = [0, own, 1], 1
    for first, count in spans:
        arguments += [inside, first, count]
        inside += count
    command = [program, str(child), *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own PATH says which program it is
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _Unavailable(f"{program} does not run ({error})", "install it anew") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:_SHOWN] or f"exit status {done.returncode}"
        hint = (
            "look whether it is set-user-ID root (or has the capability cap_setuid or cap_setgid), and at /etc/subuid"
        )
        raise _Unavailable(f"{program} gave no subordinate IDs: {said}", f"{hint} and /etc/subgid")


def _refused(number: int) -> _Unavailable:
    hint = "as root, look at the settings user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    hint += "kernel.apparmor_restrict_unprivileged_userns (sysctl); in a container, run that with more rights"
    word = os.strerror(number) if number > 0 else "the process that was to make it died"
    if number == errno.ENOSPC:
        word = "there are as many as are allowed"
    return _Unavailable(f"this system gives an ordinary user no user namespace ({word})", hint)
