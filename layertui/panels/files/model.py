"""A layer's files as a tree in flat arrays, with what is not read yet as a line of its own. Free of any UI."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from layerstore.content.files import FileEntry, FileKind, LayerFiles
from layerstore.errors import LayerStoreError
from layerstore.model import Progress, ShouldStop
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape

Folder = Sequence[FileEntry] | str
"""What is in a folder, or why it cannot be read."""

MOST_MATCHES = 20_000
"""A search ends here: nobody reads more of them."""

UNREAD = "…"
EMPTY = "(empty)"
_NOTE = "/\0"
_MOST_ORIGINS = 300


@dataclass(frozen=True, slots=True)
class FileTree:
    """Nodes in preorder, each a file or, where `entries` has None, a line of `notes` about the folder above it.

    `keys` are paths, those of notes ending in a NUL. `unread` are the folders of which nobody has asked yet what is in
    them. `matched` is 1 for what was searched for, and empty where nothing was.
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
    """What a search found; `looked` is how many files it went through, `unreadable` how many folders it could not."""

    tree: FileTree
    matches: int
    looked: int
    unreadable: int = 0
    complete: bool = True


@dataclass(slots=True)
class _Nodes:
    """A tree while it grows."""

    entries: list[FileEntry | None] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)
    parents: array[int] = field(default_factory=lambda: array("l"))
    unread: list[int] = field(default_factory=list)
    matched: bytearray = field(default_factory=bytearray)

    def add(self, entry: FileEntry, parent: int) -> int:
        """Add a file; return its node."""
        self.entries.append(entry)
        self.keys.append(entry.path)
        self.parents.append(parent)
        return len(self.keys) - 1

    def note(self, text: str, parent: int) -> None:
        """Add a line about a folder."""
        self.notes[len(self.keys)] = text
        self.entries.append(None)
        self.keys.append(self.keys[parent] + _NOTE if parent != ROOT else _NOTE)
        self.parents.append(parent)

    def tree(self) -> FileTree:
        """Return the tree."""
        shape = build_shape(self.parents)
        return FileTree(self.entries, self.keys, self.notes, shape, frozenset(self.unread), bytes(self.matched))


def build_file_tree(folders: Mapping[str, Folder], *, by_size: bool = False) -> FileTree:
    """Put together the folders that were read, from "/" down; with `by_size` the largest files of each come first."""
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
    """Return what is in a folder; where there is nothing to be seen, say so in a line instead."""
    if isinstance(folder, str) or not folder:
        nodes.note(folder if isinstance(folder, str) else EMPTY, node)
        return iter(())
    if by_size:
        return iter(sorted(folder, key=lambda entry: (entry.kind is not FileKind.FOLDER, -entry.size)))
    return iter(folder)


def read_folders(files: LayerFiles, paths: Sequence[str], should_stop: ShouldStop) -> dict[str, Folder]:
    """List several folders, the outer ones first; those that are not there (any more) are left out, but for "/"."""
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
            found[path] = f"Cannot be read: {error}"
    return found


def _holds(folder: Folder, path: str) -> bool:
    return not isinstance(folder, str) and any(entry.path == path and entry.kind is FileKind.FOLDER for entry in folder)


def find_files(
    files: LayerFiles, text: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
) -> Found:
    """Return the files whose names hold all words of the text, whatever their case, below the folders they are in.

    A word with a "/" in it is looked for in the path. `progress` hears of the number of files looked at.

    Raises:
        Cancelled: `should_stop` said so.
        LayerStoreError: the layer cannot be looked at.
    """
    matches = _matcher(text)
    nodes = _Nodes()
    trouble: list[FileEntry] = []
    above: list[tuple[FileEntry, int]] = []
    """The folders that the walk is in, each with its node, or ROOT while it is not among what was found."""
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
    """Find out which layer a file comes from, for the first of those that were found, where the walk does not tell."""
    if entry.layer is not None or number >= _MOST_ORIGINS:
        return entry
    try:
        return files.stat(entry.path)
    except LayerStoreError:
        return entry


def mode_text(entry: FileEntry) -> str:
    """Return the mode as `ls -l` writes it: ten characters."""
    return stat.filemode(entry.mode)


def owner_text(entry: FileEntry) -> str:
    """Return the numbers of the owner and the group."""
    return f"{entry.uid}:{entry.gid}"


def outer_folders(path: str) -> list[str]:
    """Return the folders that a path is in, from "/" on."""
    parts = path.strip("/").split("/")[:-1]
    return ["/", *("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))]
