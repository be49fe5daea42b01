"""Measure the disk usage of a folder tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from layerstore.linux.folders import FolderStack, ShouldStop, check_stop

_BLOCK = 512


class Usage(NamedTuple):
    """Allocated bytes and number of inodes."""

    size: int
    inodes: int


def measure(
    stack: FolderStack, progress: Callable[[int, int | None], None] | None, should_stop: ShouldStop | None
) -> Usage:
    """Return the disk usage of a tree, counting hard links once.

    `progress` is called with the bytes counted so far and None, because the total is unknown.

    Raises:
        Cancelled: `should_stop` returned True.
        OSError: A folder cannot be read.
    """
    root = os.fstat(stack.fd)
    size, inodes = root.st_blocks * _BLOCK, 1
    seen: set[tuple[int, int]] = set()
    pending = [os.listdir(stack.fd)]
    while pending:
        if not pending[-1]:
            pending.pop()
            if pending:
                stack.pop()
            continue
        check_stop(should_stop, "measuring a layer")
        name = pending[-1].pop()
        found = os.stat(name, dir_fd=stack.fd, follow_symlinks=False)
        identity = (found.st_dev, found.st_ino)
        if stat.S_ISDIR(found.st_mode):
            stack.push(name)
            pending.append(os.listdir(stack.fd))
            if progress is not None:
                progress(size, None)
        elif found.st_nlink > 1:
            if identity in seen:
                continue
            seen.add(identity)
        size += found.st_blocks * _BLOCK
        inodes += 1
    return Usage(size, inodes)
