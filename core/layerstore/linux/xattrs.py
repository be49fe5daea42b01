"""Extended attributes: which ones count, and calls that reach a name below an open folder.

Python has no `*xattr` call that takes a folder's descriptor, so a name is reached through /proc/self/fd: the kernel
goes on from the very folder that is open, whatever its path leads to by now.

Which attributes count is a table; it follows containers/storage (pkg/archive: changes compare security.capability and
user.*, tars carry security.capability, security.ima and user.* without user.overlay.*).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable

logger = logging.getLogger(__name__)

PAX_PREFIX = b"SCHILY.xattr."
"""What stands before an attribute's name in a PAX record."""

NEVER_SET = frozenset({b"security.selinux"})
"""Attributes of a tar that are never set: the label belongs to this host."""

_ABSENT = frozenset({errno.ENODATA, errno.ENOTSUP, errno.ENOENT})
_TOO_BIG = errno.E2BIG


def path_at(folder: int, name: str) -> str:
    """Return a path that means `name` in the open folder; its last part must not be followed by the call it is for."""
    return f"/proc/self/fd/{folder}/{name}"


def is_compared(name: str) -> bool:
    """Tell whether a difference in this attribute makes a file changed."""
    return name.startswith("user.") or name == "security.capability"


def is_packed(name: str) -> bool:
    """Tell whether this attribute goes into a tar."""
    if name.startswith("user."):
        return not name.startswith("user.overlay.")
    return name in {"security.capability", "security.ima"}


def is_copied(name: str) -> bool:
    """Tell whether this attribute goes into a copy on the same host: all do but the label, which is the system's."""
    return name != "security.selinux"


def names(target: str | int) -> list[str]:
    """Return the attributes' names; none where the file system has no attributes.

    `target` is a descriptor, or a path whose last part is not followed.
    """
    try:
        return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def read(target: str | int, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the attributes that `wanted` says yes to.

    One that is gone by the time it is read is left out; so is one that the kernel finds too big to hand out, with a
    warning, as the peer does.
    """
    found: dict[str, bytes] = {}
    for name in names(target):
        if not wanted(name):
            continue
        try:
            found[name] = os.getxattr(target, name, follow_symlinks=isinstance(target, int))
        except OSError as error:
            if error.errno == _TOO_BIG:
                logger.warning("attribute %s is too big to read and is left out", name)
            elif error.errno not in _ABSENT:
                raise
    return found


def write(target: str | int, name: bytes | str, value: bytes) -> None:
    """Set one attribute; do nothing where the file system, or this user, cannot have it.

    ENOTSUP is ignored for everyone, EPERM for all but root: the peer unpacks such layers too.

    Raises:
        OSError: anything else went wrong.
    """
    try:
        os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
    except OSError as error:
        ignored = error.errno == errno.ENOTSUP or (error.errno == errno.EPERM and os.geteuid() != 0)
        if not ignored:
            raise
        logger.warning("attribute %s was left out: %s", os.fsdecode(name), error.strerror)
