"""Read and write extended attributes, and decide which of them count.

Python has no `*xattr` call that takes the descriptor of a folder, so a name inside it is reached through /proc/self/fd.
The kernel then starts at the open folder, even if its path refers to something else by now.

The rules for which attributes count follow containers/storage (pkg/archive).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable

logger = logging.getLogger(__name__)

PAX_PREFIX = b"SCHILY.xattr."
"""The prefix of an attribute's name in a PAX record."""

NEVER_SET = frozenset({b"security.selinux"})
"""Attributes in a tar that are never set, because SELinux labels belong to the host."""

_ABSENT = frozenset({errno.ENODATA, errno.ENOTSUP, errno.ENOENT})
_TOO_BIG = errno.E2BIG


def path_at(folder: int, name: str) -> str:
    """Return a path to `name` in an open folder, for calls that do not follow its last part."""
    return f"/proc/self/fd/{folder}/{name}"


def is_compared(name: str) -> bool:
    """Return whether a difference in this attribute makes a file count as modified."""
    return name.startswith("user.") or name == "security.capability"


def is_packed(name: str) -> bool:
    """Return whether this attribute goes into a tar."""
    if name.startswith("user."):
        return not name.startswith("user.overlay.")
    return name in {"security.capability", "security.ima"}


def is_copied(name: str) -> bool:
    """Return whether a copy on the same host keeps this attribute, which is true for all except SELinux labels."""
    return name != "security.selinux"


def names(target: str | int) -> list[str]:
    """Return the names of the attributes, or none if the file system does not support attributes.

    `target` is a descriptor, or a path whose last part is not followed.
    """
    try:
        return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def read(target: str | int, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the attributes for which `wanted` returns True, by name.

    An attribute that disappears in the meantime is skipped. So is one that the kernel refuses to return because of its
    size, with a warning, as in containers/storage.
    """
    found: dict[str, bytes] = {}
    for name in names(target):
        if not wanted(name):
            continue
        try:
            found[name] = os.getxattr(target, name, follow_symlinks=isinstance(target, int))
        except OSError as error:
            if error.errno == _TOO_BIG:
                logger.warning("%s: skipping attribute %s, which is too large to read", _shown(target), name)
            elif error.errno not in _ABSENT:
                raise
    return found


def write(target: str | int, name: bytes | str, value: bytes) -> None:
    """Set an attribute, or log a warning if the file system does not support it or this user may not set it.

    As in containers/storage, ENOTSUP is ignored for everyone and EPERM for everyone except root.

    Raises:
        OSError: The attribute cannot be set for another reason.
    """
    try:
        os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
    except OSError as error:
        ignored = error.errno == errno.ENOTSUP or (error.errno == errno.EPERM and os.geteuid() != 0)
        if not ignored:
            raise
        logger.warning("%s: skipping attribute %s: %s", _shown(target), os.fsdecode(name), error.strerror)


def _shown(target: str | int) -> str:
    """Return the path of a target for a message, with descriptors resolved."""
    link, _, name = (f"/proc/self/fd/{target}", "", "") if isinstance(target, int) else target.rpartition("/")
    try:
        folder = os.readlink(link)
    except OSError:
        return str(target)
    return f"{folder}/{name}" if name else folder
