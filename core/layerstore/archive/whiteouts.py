"""Names in a tar that stand for the absence of a file, and what a driver makes of them.

The form in tars is that of AUFS, which the OCI image specification took over: an empty file `.wh.NAME` says that NAME
is gone, `.wh..wh..opq` that nothing of the layers below is seen in its folder, and other names in the root that start
with `.wh..wh.` are bookkeeping of AUFS.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from typing import Protocol

from layerstore.archive.read import TarEntry
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
        BadArchive: it would be the folder itself or the one above, which no whiteout can mean.
    """
    name = base[len(PREFIX) :]
    if name in {b"", b".", b".."}:
        raise BadArchive("a whiteout of no file", entry=os.fsdecode(entry.name))
    return name


class Whiteouts(Protocol):
    """How a driver keeps whiteouts. One object serves one call of `unpack`."""

    def added(self, name: bytes) -> None:
        """Hear that this diff unpacked `name`; called for every entry that is no whiteout."""
        ...

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Hide `name` in the open folder, which need not have it."""
        ...

    def opaque(self, tree: Root, folder: int, entry: TarEntry) -> None:
        """Hide what layers below have in the open folder, but nothing that this diff has put there."""
        ...

    def keeps_xattr(self, name: bytes) -> bool:
        """Tell whether an entry may carry this attribute here."""
        ...


class PlainWhiteouts:
    """A tree that holds all files itself: a whiteout deletes.

    The names that were unpacked are kept, compressed so that millions of them take little memory, and looked through
    only when an opaque whiteout comes.
    """

    def __init__(self, should_stop: ShouldStop | None = None) -> None:
        self._should_stop = should_stop
        self._names: list[bytes] = []
        self._packed: list[bytes] = []
        self._kept: set[bytes] = set()

    def added(self, name: bytes) -> None:
        """Remember the name."""
        names = self._names
        names.append(name)
        if len(names) == _NAMES_AT_ONCE:
            self._packed.append(zlib.compress(b"\0".join(names), 1))
            names.clear()

    def whiteout(self, tree: Root, folder: int, name: bytes, entry: TarEntry) -> None:
        """Delete the file or the folder with all that is in it; what is not there is no error."""
        del entry  # only where a whiteout is a file does it have an owner
        remove_entry(tree, folder, name, should_stop=self._should_stop)

    def opaque(self, tree: Root, folder: int, entry: TarEntry) -> None:
        """Delete all in the folder that this diff did not unpack itself."""
        del folder  # it may be reached through a link, which the peer does not follow here
        self._learn()
        inside = components(entry.name)[:-1]
        prefix = b"".join(part + b"/" for part in inside)
        tree.forget()
        self._clear(tree, inside, prefix)

    def keeps_xattr(self, name: bytes) -> bool:
        """Say yes: nothing in a plain tree has a meaning for the driver."""
        del name
        return True

    def _learn(self) -> None:
        """Take the new names, and the folders that they lie in, among those to keep."""
        for name in self._unpacked():
            parts = components(name)
            while parts:
                path = b"/".join(parts)
                if path in self._kept:
                    break
                self._kept.add(path)
                parts.pop()

    def _unpacked(self) -> Iterator[bytes]:
        """Yield the names that were not yielded before."""
        for packed in self._packed:
            yield from zlib.decompress(packed).split(b"\0")
        yield from self._names
        self._packed.clear()
        self._names.clear()

    def _clear(self, tree: Root, inside: list[bytes], prefix: bytes) -> None:
        """Walk the folder and delete what is not kept, not going into what is deleted."""
        folder, base = tree.parent(b"/".join(inside))
        if not stat.S_ISDIR(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode):
            return  # a link to a folder hides nothing, as with the peer
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
        """Delete what is not kept in this folder; return the folders to go on with."""
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
    """Delete `name` in a folder of the tree; the tree forgets its open folders where one of them may be gone.

    `folder` must not be used afterwards when `name` was a folder or a symbolic link: ask the tree for it again.
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
