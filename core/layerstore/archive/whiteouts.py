"""Whiteouts: the tar entries that delete a file, and the ways a driver can apply them.

Tars use the names that the OCI image specification took over from AUFS. The empty file `.wh.NAME` deletes NAME, and
`.wh..wh..opq` hides everything that lower layers have in its folder. Other names in the root that start with `.wh..wh.`
are bookkeeping of AUFS.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from typing import Protocol

from layerstore.archive.entry import TarEntry
from layerstore.archive.root import Root, components
from layerstore.errors import BadArchive
from layerstore.linux.folders import WRITE, FolderStack, check_stop, remove_tree
from layerstore.model import ShouldStop

PREFIX = b".wh."
META_PREFIX = PREFIX + PREFIX
OPAQUE = META_PREFIX + b".opq"
LINK_FOLDER = META_PREFIX + b"plnk"

_NAMES_AT_ONCE = 1 << 14


def hidden_name(base: bytes, entry: TarEntry) -> bytes:
    """Return the name that the whiteout `base` hides.

    Raises:
        BadArchive: The name is empty, "." or "..".
    """
    name = base[len(PREFIX) :]
    if name in {b"", b".", b".."}:
        raise BadArchive("the whiteout does not name a file", entry=os.fsdecode(entry.name))
    return name


class Whiteouts(Protocol):
    """How a driver represents whiteouts. One object serves one call of `unpack`."""

    def added(self, name: bytes) -> None:
        """Note that this diff unpacked `name`. Called for every entry that is not a whiteout."""
        ...

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Hide `name` in the open folder, whether or not it exists there."""
        ...

    def opaque(self, tree: Root, folder: int, entry: TarEntry) -> None:
        """Hide what lower layers have in the open folder, but not what this diff unpacked there."""
        ...

    def keeps_xattr(self, name: bytes) -> bool:
        """Return whether an entry may set this extended attribute."""
        ...


class PlainWhiteouts:
    """Whiteouts for a tree that contains every file itself: they delete.

    The unpacked names are only needed for opaque whiteouts. They are kept compressed, so that millions of them use
    little memory.
    """

    def __init__(self, should_stop: ShouldStop | None = None) -> None:
        self._should_stop = should_stop
        self._names: list[bytes] = []
        self._packed: list[bytes] = []
        self._kept: set[bytes] = set()

    def added(self, name: bytes) -> None:
        """Remember the name for opaque whiteouts."""
        names = self._names
        names.append(name)
        if len(names) == _NAMES_AT_ONCE:
            self._packed.append(zlib.compress(b"\0".join(names), 1))
            names.clear()

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Delete the file or folder tree if it exists."""
        del entry  # only whiteouts that are files have an owner
        remove_entry(tree, folder, name, should_stop=self._should_stop)

    def opaque(self, tree: Root, folder: int, entry: TarEntry) -> None:
        """Delete everything in the folder that this diff did not unpack."""
        del folder  # it may be behind a link, and containers/storage does not follow links here
        self._learn()
        inside = components(entry.name)[:-1]
        prefix = b"".join(part + b"/" for part in inside)
        tree.forget()
        self._clear(tree, inside, prefix)

    def keeps_xattr(self, name: bytes) -> bool:
        """Return True. In a plain tree no attribute has a meaning for the driver."""
        del name
        return True

    def _learn(self) -> None:
        """Add the new names, and the folders that contain them, to the ones to keep."""
        for name in self._unpacked():
            parts = components(name)
            while parts:
                path = b"/".join(parts)
                if path in self._kept:
                    break
                self._kept.add(path)
                parts.pop()

    def _unpacked(self) -> Iterator[bytes]:
        """Yield the names added since the last call."""
        for packed in self._packed:
            yield from zlib.decompress(packed).split(b"\0")
        yield from self._names
        self._packed.clear()
        self._names.clear()

    def _clear(self, tree: Root, inside: list[bytes], prefix: bytes) -> None:
        """Walk the folder and delete everything that is not kept."""
        folder, base = tree.parent(b"/".join(inside))
        if not stat.S_ISDIR(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode):
            return  # as in containers/storage, a link to a folder hides nothing
        with FolderStack(base, needed=WRITE, parent=folder) as stack:
            pending = [self._prune(stack.fd, prefix)]
            prefixes = [prefix]
            while pending:
                check_stop(self._should_stop, "unpacking")
                if pending[-1]:
                    name = pending[-1].pop()
                    stack.push(name)
                    prefixes.append(prefixes[-1] + name + b"/")
                    pending.append(self._prune(stack.fd, prefixes[-1]))
                    continue
                pending.pop()
                prefixes.pop()
                if pending:
                    stack.pop()

    def _prune(self, folder: int, prefix: bytes) -> list[bytes]:
        """Delete what is not kept in this folder and return the subfolders to visit."""
        with os.scandir(folder) as entries:
            listed = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
        kept: list[bytes] = []
        for name, is_folder in listed:
            if prefix + name not in self._kept:
                remove_tree(folder, name, should_stop=self._should_stop)
            elif is_folder:
                kept.append(name)
        return kept


def remove_entry(tree: Root, folder: int, name: bytes, *, should_stop: ShouldStop | None = None) -> None:
    """Delete `name` in a folder of the tree, if it exists.

    If `name` was a folder or a symbolic link, the tree closes the folders that may have gone with it. `folder` may be
    one of them, so the caller has to get it from the tree again.
    """
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        keep = os.dup(folder)
        try:
            tree.forget()
            remove_tree(keep, name, should_stop=should_stop)
        finally:
            os.close(keep)
        return
    os.unlink(name, dir_fd=folder)
    if stat.S_ISLNK(mode):
        tree.forget_linked()
