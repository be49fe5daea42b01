"""The folders that make up an overlay layer, and the other files that lie among them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from layerstore.drivers import staging as temporary
from layerstore.drivers.base import TEMPORARY
from layerstore.errors import NotSupported
from layerstore.linux.atomic import write_file
from layerstore.linux.folders import remove_tree

PRIVATE = 0o700
"""The mode of all folders of a layer except the one with its files."""

_FLAG = ".has-mount-program"


@contextlib.contextmanager
def staging(home: Path) -> Iterator[Path]:
    """Create a folder that is deleted with its content when the block ends. Needs the store's write lock."""
    with temporary.staging_folder(home / TEMPORARY) as folder:
        yield folder
    _tidy(home)


def recover(home: Path) -> None:
    """Delete folders of `staging` that a crash left. Needs the store's write lock."""
    temporary.recover(home / TEMPORARY)
    _tidy(home)


def _tidy(home: Path) -> None:
    """Delete the folder of temporary folders, which containers/storage before 1.59 mistakes for a broken layer.

    It stays if another process works in it, or if a newer containers/storage uses the store: that knows the folder
    and starts to unpack into it without holding the write lock. It creates `tmp` among the records first, and never
    deletes that.
    """
    if os.path.isdir(home.parent / f"{home.name}-layers" / "tmp"):
        return
    with contextlib.suppress(OSError):
        os.rmdir(home / TEMPORARY)


def is_flagged(home: Path) -> bool:
    """Return whether the store is marked as one whose layers a program mounts."""
    try:
        return (home / _FLAG).read_bytes().strip() == b"true"
    except FileNotFoundError:
        return False


def flag(home: Path) -> None:
    """Mark the store as one whose layers a program mounts."""
    if not is_flagged(home):
        write_file(str(home / _FLAG), b"true")


def flag_file(home: Path) -> Path:
    """Return the file that is this mark."""
    return home / _FLAG


def with_rotated(home: Path, diff: str) -> Iterator[str]:
    """Yield a layer's folder of files, and the folders that containers/storage moved aside to map owners again.

    `diff` is relative to `home`, or absolute.
    """
    yield diff
    number = 1
    while os.path.isdir(home / f"{diff}{number}"):
        yield f"{diff}{number}"
        number += 1


def composefs_blob(folder: Path) -> Path | None:
    """Return the composefs image of the layer in `folder`, None if the layer has plain files."""
    data = folder / "composefs-data"
    return data / "composefs.blob" if os.path.lexists(data) else None


def refuse_composefs(layer_id: str, folder: Path) -> None:
    """Refuse to read a layer if `folder`, its own or that of a layer below, has no file names.

    With Podman's `use_composefs`, `diff` holds only the contents of files, named by their digests
    (drivers/overlay/composefs.go).

    Raises:
        NotSupported: The file names are in a composefs image.
    """
    if composefs_blob(folder) is None:
        return
    what = f"layer {layer_id[:16]} keeps"
    if folder.name != layer_id:
        what = f"layer {layer_id[:16]} is based on layer {folder.name[:16]}, which keeps"
    raise NotSupported(
        f"{what} its file names in a composefs image, which only Podman can read: use "
        "`podman save`, `podman image mount` or `podman diff` with an image that has the layer"
    )


def make_folder(folder: Path, mode: int, owner: tuple[int, int]) -> None:
    """Create a folder unless it exists, and set its mode and, as root, its owner."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, PRIVATE)
    if os.geteuid() == 0:
        made = os.stat(folder)
        if (made.st_uid, made.st_gid) != owner:
            os.chown(folder, *owner)
    os.chmod(folder, mode)


def forget_volatile(work: Path) -> None:
    """Delete the mark of a volatile mount that a crash ended, because the kernel would refuse to mount again."""
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
    """Give the owner of a folder write permission on it, which moving it to another parent needs."""
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
