"""The folders that an overlay layer is made of: making them, moving them, and what else may lie among them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from layerstore.drivers import staging as tempdirs
from layerstore.errors import NotSupported
from layerstore.linux.folders import remove_tree

PRIVATE = 0o700
"""The mode of all of a layer's folders but the one with its files."""

_TEMPORARY = "tempdirs"


@contextlib.contextmanager
def staging(home: Path) -> Iterator[Path]:
    """Make a folder that is deleted with all that is in it; needs the store's write lock."""
    with tempdirs.staging_folder(home / _TEMPORARY) as folder:
        yield folder
    _tidy(home)


def recover(home: Path) -> None:
    """Delete what a crash left of such folders; needs the store's write lock."""
    tempdirs.recover(home / _TEMPORARY)
    _tidy(home)


def _tidy(home: Path) -> None:
    """Take away the folder of temporary folders: the peer before 1.59 takes it for a layer without a `link`.

    It stays while another process works in it, and where a newer peer, which knows it, works on the store: that one
    begins to unpack in it without the write lock. It has made its folder among the records first, and never deletes it.
    """
    if os.path.isdir(home.parent / f"{home.name}-layers" / "tmp"):
        return
    with contextlib.suppress(OSError):
        os.rmdir(home / _TEMPORARY)


def with_rotated(home: Path, diff: str) -> Iterator[str]:
    """Yield a layer's folder of files, and those that the peer moved aside below it when it mapped owners anew.

    `diff` counts from `home`, or is a whole path.
    """
    yield diff
    number = 1
    while os.path.isdir(home / f"{diff}{number}"):
        yield f"{diff}{number}"
        number += 1


def composefs_blob(folder: Path) -> Path | None:
    """Return the composefs image of the layer that lies in `folder`; None if it keeps its files by their names."""
    data = folder / "composefs-data"
    return data / "composefs.blob" if os.path.lexists(data) else None


def refuse_composefs(layer_id: str, folder: Path) -> None:
    """Refuse to look for names in `folder`, that of the layer itself or of one below it, where there are none.

    Podman's `use_composefs` leaves in `diff` the files' contents, named by digests (drivers/overlay/composefs.go).

    Raises:
        NotSupported: a composefs image has the names.
    """
    if composefs_blob(folder) is None:
        return
    what = f"layer {layer_id[:16]} keeps"
    if folder.name != layer_id:
        what = f"layer {layer_id[:16]} is based on layer {folder.name[:16]}, which keeps"
    raise NotSupported(
        f"{what} its files' names in a composefs image, which only the Podman that made it can read: use "
        "`podman save`, `podman image mount` or `podman diff` with an image of it"
    )


def make_folder(folder: Path, mode: int, owner: tuple[int, int]) -> None:
    """Make a folder, or take the one that is there, with exactly this mode and, for root, this owner."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, PRIVATE)
    if os.geteuid() == 0:
        made = os.stat(folder)
        if (made.st_uid, made.st_gid) != owner:
            os.chown(folder, *owner)
    os.chmod(folder, mode)


def forget_volatile(work: Path) -> None:
    """Delete what a volatile mount left to tell that the machine crashed meanwhile: else no mount would follow it."""
    try:
        folder = os.open(work / "work" / "incompat", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree(folder, "volatile")
    finally:
        os.close(folder)


@contextlib.contextmanager
def movable(folder: Path) -> Iterator[None]:
    """Let the owner of a folder move it elsewhere, which takes write permission on the folder itself."""
    mode = stat.S_IMODE(os.stat(folder).st_mode)
    if os.geteuid() == 0 or mode & stat.S_IWUSR:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode | stat.S_IRWXU)
        yield
    finally:
        os.fchmod(descriptor, mode)
        os.close(descriptor)
