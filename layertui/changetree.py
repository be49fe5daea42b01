"""Changes as a tree of folders with totals, in flat arrays. Built in a worker; free of any UI."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from layerstore.errors import Cancelled
from layerstore.model import Change, ChangeKind
from layertui.treeshape import ROOT, TreeShape, build_shape

UNCHANGED = 3
"""The kind of a folder that is only there for what is in it."""

LETTERS = "MAD "
"""The letter of each kind, by its number."""

ALL_KINDS = frozenset(ChangeKind)
_EVERY = 4096


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes to show: kinds, and a part of the path; `by_size` puts the largest of each folder first."""

    kinds: frozenset[ChangeKind] = ALL_KINDS
    text: str = ""
    by_size: bool = False

    @property
    def active(self) -> bool:
        """True when some changes may be left out."""
        return bool(self.text) or self.kinds != ALL_KINDS


@dataclass(frozen=True, slots=True)
class ChangeTree:
    """Nodes in preorder: `names` are last parts of paths; `sizes` are sums for folders; `kinds` may be UNCHANGED.

    `counts` has the number of changes of each kind, `size` the bytes of what was added or modified; both leave out what
    the filter leaves out. `changes` is everything that the tree was made from.
    """

    changes: Sequence[Change]
    names: Sequence[str]
    kinds: bytes
    sizes: Sequence[int]
    folders: bytes
    shape: TreeShape
    filter: ChangeFilter
    counts: tuple[int, int, int] = (0, 0, 0)
    size: int = 0

    def path(self, node: int) -> str:
        """Return the path of a node, from the layer's root."""
        parts = []
        while node != ROOT:
            parts.append(self.names[node])
            node = self.shape.parents[node]
        return "/" + "/".join(reversed(parts))


def build_change_tree(
    changes: Sequence[Change], wanted: ChangeFilter | None = None, *, should_stop: Callable[[], bool] = lambda: False
) -> ChangeTree:
    """Hang `changes` into a tree, with the folders on the way.

    Raises:
        Cancelled: when `should_stop` says so.
    """
    wanted = wanted or ChangeFilter()
    chosen = _chosen(changes, wanted)
    chosen.sort(key=_path_key)
    nodes = _Nodes()
    for number, change in enumerate(chosen):
        if number % _EVERY == 0 and should_stop():
            raise Cancelled("building the tree of changes")
        nodes.add(change)
    counts = [0, 0, 0]
    for change in chosen:
        counts[change.kind] += 1
    size = sum(change.size or 0 for change in chosen if change.kind is not ChangeKind.DELETE)
    nodes.add_up()
    if wanted.by_size:
        nodes = nodes.by_size()
    return ChangeTree(
        changes,
        nodes.names,
        bytes(nodes.kinds),
        nodes.sizes,
        bytes(nodes.folders),
        build_shape(nodes.parents),
        wanted,
        (counts[0], counts[1], counts[2]),
        size,
    )


def _chosen(changes: Sequence[Change], wanted: ChangeFilter) -> list[Change]:
    if not wanted.active:
        return list(changes)
    words = wanted.text.casefold().split()
    return [
        change
        for change in changes
        if change.kind in wanted.kinds and all(word in change.path.casefold() for word in words)
    ]


def _path_key(change: Change) -> str:
    """Sort a folder's content right after the folder, which "/" as a character does not do."""
    return change.path.replace("/", "\0")


class _Nodes:
    """The tree while it grows: a path's open folders are the stack."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kinds = bytearray()
        self.sizes = array("q")
        self.folders = bytearray()
        self.parents = array("l")
        self._stack: list[tuple[str, int]] = []

    def add(self, change: Change) -> None:
        """Add a change whose path comes after all that were added."""
        *folders, name = change.path.strip("/").split("/")
        common = 0
        for part, (open_part, _) in zip(folders, self._stack, strict=False):
            if part != open_part:
                break
            common += 1
        del self._stack[common:]
        for part in folders[common:]:
            self._push(part, UNCHANGED, 0, folder=True)
        self._push(name, change.kind, change.size or 0, folder=change.mode & 0o170000 == 0o040000)

    def _push(self, name: str, kind: int, size: int, *, folder: bool) -> None:
        node = len(self.names)
        self.parents.append(self._stack[-1][1] if self._stack else ROOT)
        self.names.append(name)
        self.kinds.append(kind)
        self.sizes.append(size)
        self.folders.append(folder)
        self._stack.append((name, node))

    def add_up(self) -> None:
        """Give folders the sum of what is in them; what was deleted takes no room."""
        for node in range(len(self.names) - 1, -1, -1):
            parent = self.parents[node]
            if parent != ROOT:
                if self.kinds[node] != ChangeKind.DELETE:
                    self.sizes[parent] += self.sizes[node]
                self.folders[parent] = 1

    def by_size(self) -> _Nodes:
        """Return the same tree with the largest of each folder first."""
        below: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents):
            below.setdefault(parent, []).append(node)
        for siblings in below.values():
            siblings.sort(key=lambda node: self.sizes[node])  # the stack turns them round
        other = _Nodes()
        places = array("l", [ROOT]) * len(self.names)
        stack = below.get(ROOT, [])[:]
        while stack:
            node = stack.pop()
            places[node] = len(other.names)
            parent = self.parents[node]
            other.parents.append(ROOT if parent == ROOT else places[parent])
            other.names.append(self.names[node])
            other.kinds.append(self.kinds[node])
            other.sizes.append(self.sizes[node])
            other.folders.append(self.folders[node])
            stack.extend(below.get(node, ()))
        return other
