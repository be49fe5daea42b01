"""The files of a layer as a tree in flat arrays. A folder that has not been read yet holds a placeholder line."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from layerstore import FileEntry, FileKind, LayerFiles, LayerStoreError, Progress, ShouldStop
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape

Folder = Sequence[FileEntry] | str
"""The entries of a folder, or why it cannot be read."""

MOST_MATCHES = 20_000
"""Matches after which a search stops."""

UNREAD = "…"
EMPTY = "(empty)"
_NOTE = "/\0"
_MOST_ORIGINS = 300


@dataclass(frozen=True, slots=True)
class FileTree:
    """The nodes of a tree in preorder, each a file or a note about the folder that it is in.

    Attributes:
        entries: The files, None for a note.
        keys: Their paths; the key of a note ends in a NUL.
        notes: The texts of the notes by node.
        shape: The parents and children.
        unread: The folders that are not read yet.
        matched: 1 for each match of a search, 0 for the folders above it; empty without a search.
    """

    entries: Sequence[FileEntry | None]
    keys: Sequence[str]
    notes: Mapping[int, str]
    shape: TreeShape
    unread: frozenset[int] = frozenset()
    matched: bytes = b""


NO_FILES = FileTree((), (), {}, build_shape(()))


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search.

    Attributes:
        tree: The matches, and the folders above them.
        matches: The number of matches.
        looked: The number of files that were visited.
        unreadable: The number of folders that could not be read.
        complete: False if the search stopped at `MOST_MATCHES`.
    """

    tree: FileTree
    matches: int
    looked: int
    unreadable: int = 0
    complete: bool = True


@dataclass(slots=True)
class _Nodes:
    """A `FileTree` under construction."""

    entries: list[FileEntry | None] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)
    parents: array[int] = field(default_factory=lambda: array("l"))
    unread: list[int] = field(default_factory=list)
    matched: bytearray = field(default_factory=bytearray)

    def add(self, entry: FileEntry, parent: int) -> int:
        """Add a file, and return its node."""
        self.entries.append(entry)
        self.keys.append(entry.path)
        self.parents.append(parent)
        return len(self.keys) - 1

    def note(self, text: str, parent: int) -> None:
        """Add a note about a folder."""
        self.notes[len(self.keys)] = text
        self.entries.append(None)
        self.keys.append(self.keys[parent] + _NOTE if parent != ROOT else _NOTE)
        self.parents.append(parent)

    def tree(self) -> FileTree:
        """Return the tree."""
        shape = build_shape(self.parents)
        return FileTree(self.entries, self.keys, self.notes, shape, frozenset(self.unread), bytes(self.matched))


def build_file_tree(folders: Mapping[str, Folder], *, by_size: bool = False) -> FileTree:
    """Build the tree of the folders that were read, from "/" down. With `by_size`, the largest files come first."""
    nodes = _Nodes()
    levels: list[tuple[int, Iterator[FileEntry]]] = [(ROOT, _content(nodes, folders["/"], ROOT, by_size))]
    while levels:
        parent, rest = levels[-1]
        entry = next(rest, None)
        if entry is None:
            levels.pop()
            continue
        node = nodes.add(entry, parent)
        if entry.kind is not FileKind.FOLDER:
            continue
        inside = folders.get(entry.path)
        if inside is None:
            nodes.unread.append(node)
            nodes.note(UNREAD, node)
        else:
            levels.append((node, _content(nodes, inside, node, by_size)))
    return nodes.tree()


def _content(nodes: _Nodes, folder: Folder, node: int, by_size: bool) -> Iterator[FileEntry]:
    """Return the entries of a folder. Add a note if it is empty or cannot be read."""
    if isinstance(folder, str) or not folder:
        nodes.note(folder if isinstance(folder, str) else EMPTY, node)
        return iter(())
    if by_size:
        return iter(sorted(folder, key=lambda entry: (entry.kind is not FileKind.FOLDER, -entry.size)))
    return iter(folder)


def read_folders(files: LayerFiles, paths: Sequence[str], should_stop: ShouldStop) -> dict[str, Folder]:
    """List several folders, outer ones first. Skip folders that no longer exist, except "/"."""
    found: dict[str, Folder] = {}
    for path in sorted(paths):
        if should_stop():
            break
        above = path.rpartition("/")[0] or "/"
        if path != "/" and above in found and not _holds(found[above], path):
            continue
        try:
            found[path] = files.list(path)
        except LayerStoreError as error:
            found[path] = f"Cannot read the folder: {error}"
    return found


def _holds(folder: Folder, path: str) -> bool:
    return not isinstance(folder, str) and any(entry.path == path and entry.kind is FileKind.FOLDER for entry in folder)


def find_files(
    files: LayerFiles, text: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
) -> Found:
    """Return the files whose names contain all words of the text, in any case, with the folders above them.

    A word with a "/" in it is matched against the path. `progress` takes the number of files visited so far.

    Raises:
        Cancelled: `should_stop` returned True.
        LayerStoreError: The layer cannot be read.
    """
    matches = _matcher(text)
    nodes = _Nodes()
    trouble: list[FileEntry] = []
    above: list[tuple[FileEntry, int]] = []
    """The folders above the current file, each with its node, or ROOT while nothing was found in it."""
    looked = count = 0
    with files.kept() as kept:
        walk = kept.walk(progress=progress, should_stop=should_stop, on_error=lambda folder, _: trouble.append(folder))
        for entry in walk:
            looked += 1
            folder = entry.path.rpartition("/")[0]
            while above and above[-1][0].path != folder:
                above.pop()
            node = ROOT
            if matches(entry):
                for level, (outer, at) in enumerate(above):
                    if at == ROOT:
                        parent = above[level - 1][1] if level else ROOT
                        above[level] = (outer, nodes.add(outer, parent))
                        nodes.matched.append(0)
                node = nodes.add(_with_origin(kept, entry, count), above[-1][1] if above else ROOT)
                nodes.matched.append(1)
                count += 1
                if count >= MOST_MATCHES:
                    break
            if entry.kind is FileKind.FOLDER:
                above.append((entry, node))
    return Found(nodes.tree(), count, looked, len(trouble), complete=count < MOST_MATCHES)


def _matcher(text: str) -> Callable[[FileEntry], bool]:
    words = text.casefold().split()
    names = [word for word in words if "/" not in word]
    paths = [word for word in words if "/" in word]

    def matches(entry: FileEntry) -> bool:
        name = entry.name.casefold()
        if not all(word in name for word in names):
            return False
        return not paths or all(word in entry.path.casefold() for word in paths)

    return matches


def _with_origin(files: LayerFiles, entry: FileEntry, number: int) -> FileEntry:
    """Look up the layer of a file if the walk has not found it, for the first few hundred matches only."""
    if entry.layer is not None or number >= _MOST_ORIGINS:
        return entry
    try:
        return files.stat(entry.path)
    except LayerStoreError:
        return entry


def mode_text(entry: FileEntry) -> str:
    """Return the mode as `ls -l` writes it, in ten characters."""
    return stat.filemode(entry.mode)


def owner_text(entry: FileEntry) -> str:
    """Return the numeric owner and group, such as `0:0`."""
    return f"{entry.uid}:{entry.gid}"


def outer_folders(path: str) -> list[str]:
    """Return the folders above a path, "/" first."""
    parts = path.strip("/").split("/")[:-1]
    return ["/", *("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))]
