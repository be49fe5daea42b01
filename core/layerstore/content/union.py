"""The union of several layers without a mount: lazy lookups in what the kernel's overlay would show.

The rules are those of Linux (Documentation/filesystems/overlayfs.rst; fs/overlayfs: namei.c, readdir.c). Every step is
an openat(2) of one name with O_NOFOLLOW, so neither a symbolic link nor a concurrent change can lead a lookup out of a
layer. Nothing is kept open or cached between calls.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from layerstore.archive.root import MAX_LINKS
from layerstore.archive.whiteouts import OPAQUE
from layerstore.drivers.base import Stack
from layerstore.errors import LayerStoreError, NoSuchFile, StoreAccess, UnusableFile
from layerstore.linux import xattrs
from layerstore.linux.folders import OPEN_FOLDER, open_regular

_KEPT = 64


class Place(NamedTuple):
    """The index of a folder of the stack, 0 for the topmost, and a path in it without a leading "/"."""

    depth: int
    path: str

    def child(self, name: str) -> Place:
        """Return the place of a name in this folder."""
        return Place(self.depth, f"{self.path}/{name}" if self.path else name)


@dataclass(slots=True)
class Node:
    """A file as the union shows it.

    `path` starts with "/" and has no symbolic link before its last part. `status` is that of the topmost place. All
    `places` of a folder are merged. The last place of a file has its content. `below` is true if a lower layer has
    the name too. `seen` are the folders in which `scan` found the name, the topmost first.
    """

    path: str
    status: os.stat_result
    places: list[Place]
    below: bool = False
    seen: list[Place] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_folder(self) -> bool:
        """Whether the file is a folder."""
        return stat.S_ISDIR(self.status.st_mode)


class Hit(NamedTuple):
    """The result of looking up a name in one folder of the stack."""

    status: os.stat_result | None
    place: Place
    stop: bool = False
    """Whether the lookup ends here."""
    redirect: str = ""
    """The name of the file in the folders below, "" if it is the same."""
    metacopy: bool = False
    """Whether the content of the file is in a folder below."""


class Union:
    """The file system of a stack. Its methods raise `OSError`."""

    def __init__(self, stack: Stack, *, may_chmod: bool = False) -> None:
        self.folders = [folder for _, folder in stack.folders]
        self.whiteouts = stack.whiteouts
        self.prefix = stack.whiteouts.prefix if stack.whiteouts is not None else ""
        """The prefix of files whose name alone hides other files, "" if there are none."""
        self._roots = [Place(index, "") for index in range(len(self.folders))]
        self._may_chmod = may_chmod

    def root(self) -> Node:
        """Return the root."""
        return Node("/", os.stat(self.folders[0]), self._roots)

    @contextmanager
    def opened(self, place: Place) -> Iterator[int]:
        """Open a folder until the block ends."""
        descriptor = os.open(self.folders[place.depth], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in place.path.split("/") if place.path else ():
                above = descriptor
                descriptor = os.open(name, OPEN_FOLDER, dir_fd=above)
                os.close(above)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def holder(self, place: Place) -> Iterator[tuple[int, str]]:
        """Yield the open parent of a place, and the last part of the path ("." for a root), until the block ends."""
        above, _, name = place.path.rpartition("/")
        with self.opened(Place(place.depth, above)) as descriptor:
            yield descriptor, name or "."

    def readlink(self, node: Node) -> str:
        """Return the target of a symbolic link."""
        with self.holder(node.places[0]) as (folder, name):
            return os.readlink(name, dir_fd=folder)

    def resolve(self, path: str, *, follow: bool = True) -> Node:
        """Look up a path as a process with this root would: links and ".." never lead outside.

        Raises:
            OSError: ENOENT, ENOTDIR, EACCES, or ELOOP after 40 links.
        """
        if "\0" in path:
            raise OSError(errno.ENOENT, "the path contains a NUL character")
        trail = [self.root()]
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in {"", "."}:
                continue
            if not trail[-1].is_folder:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if name == "..":
                del trail[max(1, len(trail) - 1) :]
                continue
            node = self.find(trail[-1], name)
            if node is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            if not stat.S_ISLNK(node.status.st_mode) or not (follow or pending):
                trail.append(node)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, "too many symbolic links")
            target = self.readlink(node)
            if target.startswith("/"):
                del trail[1:]
            pending += target.split("/")[::-1]
        return trail[-1]

    def find(self, folder: Node, name: str, among: list[Place] | None = None) -> Node | None:
        """Return a name of a folder, None if it does not exist (as ovl_lookup does).

        `among` are the places of the folder that have the name, if that is known.
        """
        top: os.stat_result | None = None
        places: list[Place] = []
        queue, names = (folder.places if among is None else among)[::-1], [name]
        while queue:
            place = queue.pop()
            hit = self.probe(place, names, more=place.depth < len(self.folders) - 1)
            if hit.status is not None and self._hides(hit.status):
                break
            if hit.status is not None and (top is None or stat.S_IFMT(top.st_mode) == stat.S_IFMT(hit.status.st_mode)):
                top = top or hit.status
                places.append(hit.place)
                if not (hit.metacopy or stat.S_ISDIR(hit.status.st_mode)):
                    break
            elif hit.status is not None:
                break
            if hit.stop:
                break
            if hit.redirect.startswith("/"):
                queue, names = self._roots[: hit.place.depth : -1], hit.redirect.strip("/").split("/")
            elif hit.redirect:
                if among is not None:
                    return self.find(folder, name)
                names = [*names[:-1], hit.redirect]
        if top is None:
            return None
        return Node(f"{folder.path.rstrip('/')}/{name}", top, places)

    def has_below(self, folder: Node, name: str, above: Place) -> bool:
        """Return whether a layer below `above` has this name in the folder, visible or not."""
        lower = [place for place in folder.places if place.depth > above.depth]
        hits = (self.probe(place, [name], more=False).status for place in lower)
        return any(found is not None and not self._hides(found) for found in hits)

    def scan(self, folder: Node) -> list[Node]:
        """Return the content of a folder, unsorted (as ovl_dir_read_merged does).

        Nodes have only the topmost of their places; `whole` finds the others.
        """
        whiteouts = self.whiteouts
        found: dict[str, Node] = {}
        hidden: set[str] = set()
        prefix = folder.path.rstrip("/")
        for place in folder.places:
            vanished = (
                (FileNotFoundError, NotADirectoryError) if place.path else ()
            )  # a running container can delete it
            with suppress(*vanished), self.opened(place) as descriptor:
                with os.scandir(descriptor) as entries:
                    listed = list(entries)
                named = [entry.name for entry in listed if self.prefix and entry.name.startswith(self.prefix)]
                for entry in listed:
                    name = entry.name
                    known = found.get(name)
                    if name in named:
                        continue
                    if known is not None:
                        known.below = known.below or not self._is_whiteout(entry)
                        known.seen.append(place)
                    elif name not in hidden:
                        with suppress(FileNotFoundError):
                            status = entry.stat(follow_symlinks=False)
                            if whiteouts is not None and whiteouts.is_whiteout(status):
                                hidden.add(name)
                            else:
                                found[name] = Node(f"{prefix}/{name}", status, [place.child(name)], seen=[place])
                hidden.update(name.removeprefix(self.prefix) for name in named)
        return list(found.values())

    def children(self, folder: Node) -> list[Node]:
        """Return what `scan` does, folders first and sorted by the bytes of the names."""
        return sorted(self.scan(folder), key=lambda node: (not node.is_folder, os.fsencode(node.path)))

    def open(self, node: Node) -> int:
        """Return a descriptor for the content of a regular file. The caller closes it.

        Raises:
            OSError: The file cannot be read. EIO means that its content is missing from the layer that should have it.
        """
        with self.holder(node.places[-1]) as (folder, name):
            descriptor = open_regular(folder, name, may_chmod=self._may_chmod)
        if self.whiteouts is not None and self.whiteouts.metacopy in xattrs.names(descriptor):
            os.close(descriptor)
            raise OSError(errno.EIO, "its content should be in a layer below (metacopy), which does not have it")
        return descriptor

    def whole(self, folder: Node, node: Node) -> Node:
        """Return a node that `scan` of `folder` returned, with all its places."""
        status = node.status
        if self.whiteouts is None or (len(folder.places) == 1 and folder.places[0].depth == len(self.folders) - 1):
            return node
        if not (node.is_folder or (_may_be_metacopy(status) and self.look(node.places[0], more=True).metacopy)):
            return node
        found = self.find(folder, node.path.rpartition("/")[2], node.seen or None)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "it was just deleted")
        found.below = node.below
        return found

    def _is_whiteout(self, entry: os.DirEntry[str]) -> bool:
        if self.whiteouts is None or entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
            return False
        return not entry.is_symlink() and self.whiteouts.is_whiteout(entry.stat(follow_symlinks=False))

    def _hides(self, status: os.stat_result) -> bool:
        return self.whiteouts is not None and self.whiteouts.is_whiteout(status)

    def probe(self, place: Place, names: Sequence[str], *, more: bool) -> Hit:
        """Look up the path made of `names` in one folder of the stack. Attributes count if there is `more` below."""
        missing = Hit(None, place)
        stop = False
        for name in names[:-1]:
            place = place.child(name)
            hit = self.look(place, more=more)
            if hit.status is None:
                return missing._replace(stop=stop)
            if not stat.S_ISDIR(hit.status.st_mode):
                return missing._replace(stop=True)
            stop = stop or hit.stop
        hit = self.look(place.child(names[-1]), more=more)
        return hit._replace(stop=hit.stop or stop) if stop else hit

    def look(self, place: Place, *, more: bool) -> Hit:
        """Look up one place. Attributes count if there is `more` below."""
        try:
            with self.holder(place) as (folder, name):
                if self.prefix and name.startswith(self.prefix):
                    return Hit(None, place)
                try:
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    if self.prefix and _is_there(folder, self.prefix + name):
                        return Hit(None, place, stop=True)
                    raise
                is_folder = stat.S_ISDIR(status.st_mode)
                if self.whiteouts is None or not more or not (is_folder or _may_be_metacopy(status)):
                    return Hit(status, place)
                target = xattrs.path_at(folder, name)
                names = xattrs.names(target)
                metacopy = not is_folder and self.whiteouts.metacopy in names
                stop = is_folder and self.whiteouts.is_opaque(target, names)
                stop = stop or bool(self.prefix and is_folder and _is_there(folder, f"{name}/{os.fsdecode(OPAQUE)}"))
                redirect = b""
                if self.whiteouts.redirect in names and (metacopy or is_folder):
                    attribute = self.whiteouts.redirect
                    redirect = xattrs.read(target, attribute.__eq__).get(attribute, b"")
                return Hit(status, place, stop, _checked_redirect(redirect), metacopy)
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(self.folders[place.depth]):
                raise
            return Hit(None, place)


class KeptUnion(Union):
    """A union for many lookups in a row: it keeps the folders that it used last open. Not thread-safe."""

    def __init__(self, stack: Stack, *, may_chmod: bool = False) -> None:
        super().__init__(stack, may_chmod=may_chmod)
        self._open: dict[Place, int] = {}

    def close(self) -> None:
        """Close the folders."""
        while self._open:
            os.close(self._open.popitem()[1])

    @contextmanager
    def opened(self, place: Place) -> Iterator[int]:
        """Open a folder until the block ends."""
        descriptor = self._open.pop(place, -1)
        if descriptor < 0:
            with super().opened(place) as found:
                descriptor = os.dup(found)
            if len(self._open) >= _KEPT:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[place] = descriptor
        yield descriptor


@contextmanager
def trouble(layer: str, folder: str, path: str) -> Iterator[None]:
    """Turn an `OSError` into an error that names the path and the layer, whose topmost folder is `folder`."""
    try:
        yield
    except LayerStoreError:
        raise
    except FileNotFoundError as error:
        if not os.path.isdir(folder):
            raise UnusableFile(layer, path, "the layer was deleted meanwhile") from error
        raise NoSuchFile(layer, path) from error
    except PermissionError as error:
        reason, hint = "this user may not read it", "use sudo, or `podman unshare` for your own store"
        raise StoreAccess(f"{path!r} in layer {layer[:16]}", reason, hint) from error
    except OSError as error:
        raise UnusableFile(layer, path, error.strerror or str(error)) from error


def _may_be_metacopy(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _is_there(folder: int, path: str) -> bool:
    """Return whether a file exists. The folders in `path` need not exist."""
    try:
        os.stat(path, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _checked_redirect(value: bytes) -> str:
    """Return a redirection if it is one name or an absolute path, as the kernel requires."""
    text = os.fsdecode(value)
    parts = text.strip("/").split("/")
    if value and (any(part in {"", ".", ".."} for part in parts) or (len(parts) > 1 and not text.startswith("/"))):
        raise OSError(errno.EIO, f"the overlay redirection {text!r} is not a path")
    return text
