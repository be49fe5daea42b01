"""Find the processes that hold a lock on a file, as far as this user may see them."""

from __future__ import annotations

import os
from collections.abc import Iterator


def holders(path: str) -> list[str]:
    """Return the holders of record locks on `path`, such as "podman (PID 812)". Empty if none are visible.

    The kernel lists a lock in the fdinfo of the descriptor it was taken through (proc(5)). Only root can see that of
    other users' processes. /proc/locks contains their PIDs, but only for POSIX locks.
    """
    try:
        status = os.stat(path)
    except OSError:
        return []
    pids = set(_by_descriptor(path)) | set(_by_lock_table(status))
    return [_describe(pid) for pid in sorted(pids)]


def _by_descriptor(path: str) -> Iterator[int]:
    real = os.path.realpath(path)
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            descriptors = os.listdir(f"/proc/{entry}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(f"/proc/{entry}/fd/{descriptor}") != real:
                    continue
                with open(f"/proc/{entry}/fdinfo/{descriptor}", encoding="ascii", errors="replace") as info:
                    if "lock:" in info.read():
                        yield int(entry)
            except OSError:
                continue


def _by_lock_table(status: os.stat_result) -> Iterator[int]:
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            lines = table.read().splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split()
        # "1: POSIX ADVISORY WRITE 812 fe:00:1234 0 EOF", with "->" as the second field for a waiting process.
        if len(fields) >= 6 and fields[1] != "->" and fields[5] == wanted and fields[4].isdigit():
            yield int(fields[4])


def _describe(pid: int) -> str:
    if pid == os.getpid():
        return f"this program (PID {pid})"
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"{file.read().strip()} (PID {pid})"
    except OSError:
        return f"PID {pid}"
