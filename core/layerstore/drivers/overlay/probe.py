"""A probe of whether a file system can hold overlay layers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from layerstore.drivers.overlay.folders import staging
from layerstore.drivers.overlay.fuse import Mounter
from layerstore.drivers.overlay.mount import OverlayMount, file_system_of
from layerstore.errors import NotSupported, StoreAccess


def check_file_system(home: Path, mounter: Mounter) -> None:
    """Try what layers below `home` need: whiteouts, attributes and, if this user may mount, a mount.

    A store for fuse-overlayfs does not need the first two.

    Raises:
        NotSupported: The file system cannot hold overlay layers. The error names it.
        OSError: `home` cannot be written.
    """
    marks = mounter.marks
    with staging(home) as folder:
        for name in ("lower", "diff", "work"):
            os.mkdir(folder / name, 0o700)
        try:
            os.mknod(folder / "diff" / "gone", stat.S_IFCHR, 0)
            os.setxattr(folder / "diff", marks.opaque, b"y")
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EINVAL}:
                raise
            if not marks.fuse:
                raise _unusable(home, f"{error.strerror} for a whiteout or an attribute") from error
        overlay = OverlayMount(folder, ("lower",), "diff", "work", userxattr=marks.namespace == "user")
        try:
            with mounter.aside(overlay):
                pass
        except StoreAccess:
            pass  # this user may not mount, but can keep layers
        except NotSupported as error:
            if not marks.fuse:
                raise _unusable(home, str(error)) from error
            raise


def _unusable(home: Path, reason: str) -> NotSupported:
    kind = file_system_of(home) or "the file system"
    return NotSupported(f"{kind} at {home} cannot hold overlay layers ({reason}): use a store of the vfs driver")
