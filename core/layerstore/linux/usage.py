"""What a tree takes on disk."""

from __future__ import annotations

import os
import stat

from layerstore.linux.folders import FolderStack, check_stop
from layerstore.model import DiskUsage, Progress, ShouldStop

_BLOCK = 512


def measure(stack: FolderStack, progress: Progress | None, should_stop: ShouldStop | None) -> DiskUsage:
    """Walk a tree and count; an inode with several names counts once."""
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
    return DiskUsage(size, inodes)
