"""The changes of a layer as a tree of folders with totals, stored in columns. Imports neither Textual nor Rich."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, compress
from operator import mul

from layerstore import Cancelled, Change, ChangeKind
from layertui.widgets.tree.columns import Column, Picked, both, either, neither, numbers_to
from layertui.widgets.tree.order import preorder
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape, prune

UNCHANGED = 3
"""The kind of a folder that did not change itself, and is listed only because of its content."""

LETTERS = "MAD "
"""The letter of each kind, indexed by the kind."""

ALL_KINDS = frozenset(ChangeKind)
_EVERY = 4096
_FOLDER = 0o040000
_TYPE = 0o170000


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes to show, and in which order.

    Attributes:
        kinds: The kinds to show.
        text: Words that the path must contain, in any case.
        by_size: Whether each folder lists its largest entry first.
    """

    kinds: frozenset[ChangeKind] = ALL_KINDS
    text: str = ""
    by_size: bool = False

    @property
    def active(self) -> bool:
        """Whether the filter may hide changes."""
        return bool(self.text) or self.kinds != ALL_KINDS


@dataclass(frozen=True, eq=False)
class ChangeSet:
    """All changes and the folders above them, in preorder. Every `ChangeTree` is a selection of these nodes.

    Attributes:
        names: The last component of each path.
        kinds: The `ChangeKind` of each node, or UNCHANGED.
        sizes: The bytes of each changed file, without anything below it.
        folders: 1 for each folder, empty or not, and 0 for everything else.
        shape: The parents and children.
        count: The number of changes.
    """

    names: Sequence[str]
    kinds: bytes
    sizes: array[int]
    folders: bytes
    shape: TreeShape
    count: int

    @cached_property
    def folded_names(self) -> Sequence[str]:
        """The names, case-folded."""
        return [name if name == folded else folded for name in self.names for folded in (name.casefold(),)]


@dataclass(frozen=True, eq=False)
class ChangeTree:
    """The changes of `whole` that match a filter, with the folders above them.

    Nodes are in preorder, sorted as the filter asks.

    Attributes:
        whole: All changes.
        nodes: The number of each node in `whole`.
        shape: The parents and children.
        chosen: 1 for each node of `whole` that matches the filter itself, 0 for the others.
        filter: The filter.
        counts: The number of matching changes of each kind.
        taken: Running totals of the sizes that count.
    """

    whole: ChangeSet
    nodes: Sequence[int]
    shape: TreeShape
    chosen: bytes
    filter: ChangeFilter
    counts: tuple[int, ...]
    taken: _Sums

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def size(self) -> int:
        """The bytes of added and modified files."""
        return self.taken.total

    @cached_property
    def names(self) -> Column[str]:
        """The last component of each path."""
        return Picked(self.whole.names, self.nodes)

    @cached_property
    def kinds(self) -> Column[int]:
        """The kinds, UNCHANGED for folders that are listed only because of their content."""
        only_folders = self.chosen.translate(bytes([UNCHANGED]) + bytes(255))  # 0xFF for nodes that are not chosen
        return Picked(either(self.whole.kinds, only_folders), self.nodes)

    @cached_property
    def folders(self) -> Column[int]:
        """1 for each folder, empty or not, and 0 for everything else."""
        return Picked(self.whole.folders, self.nodes)

    @property
    def sizes(self) -> Column[int]:
        """The size of each node in bytes. A folder includes everything below it except what was deleted."""
        return _Sizes(self)  # not cached: a reference cycle would keep large trees alive

    def path(self, node: int) -> str:
        """Return the absolute path of a node inside the layer."""
        parts = []
        while node != ROOT:
            parts.append(self.names[node])
            node = self.shape.parents[node]
        return "/" + "/".join(reversed(parts))

    def place_of(self, number: int) -> int | None:
        """Return the node with this number in `whole`, None if the filter hides it."""
        if self._places is not None:
            return None if self._places[number] == ROOT else self._places[number]
        place = bisect_left(self.nodes, number)
        return place if place < len(self.nodes) and self.nodes[place] == number else None

    @cached_property
    def _places(self) -> Sequence[int] | None:
        """The node of each number in `whole`, ROOT if hidden, or None if `nodes` is sorted and can be bisected."""
        if not self.filter.by_size:
            return None
        places = array("i", [ROOT]) * len(self.whole.names)
        for node, number in enumerate(self.nodes):
            places[number] = node
        return places

    def deep_folders(self) -> Iterator[int]:
        """Yield the folders below the top level that are not empty, which start folded in a large tree."""
        parents = self.shape.parents
        return (node for node in self.shape.inner if parents[node] != ROOT)


class _Sums:
    """Prefix sums of the marked values of a column, stored for every 64th place to save memory."""

    _STEP = 64

    def __init__(self, column: array[int], marks: bytes) -> None:
        self._column, self._marks = column, marks
        self._sums = [
            *accumulate((self._sum(at, at + self._STEP) for at in range(0, len(marks), self._STEP)), initial=0)
        ]

    @property
    def total(self) -> int:
        """The sum of all marked values."""
        return self._sums[-1]

    def before(self, place: int) -> int:
        """Return the sum of the marked values before a place."""
        step, rest = divmod(place, self._STEP)
        return self._sums[step] + self._sum(place - rest, place)

    def _sum(self, start: int, stop: int) -> int:
        return sum(compress(self._column[start:stop], self._marks[start:stop]))


class _Sizes:
    """The sizes of the nodes of a tree, computed when they are read."""

    def __init__(self, tree: ChangeTree) -> None:
        self._tree = tree

    def __len__(self) -> int:
        return len(self._tree)

    def __getitem__(self, node: int) -> int:
        tree, whole = self._tree, self._tree.whole
        number = tree.nodes[node]
        own, end = whole.sizes[number] * tree.chosen[number], whole.shape.ends[number]
        return own if end == number + 1 else own + tree.taken.before(end) - tree.taken.before(number + 1)

    def __iter__(self) -> Iterator[int]:
        tree = self._tree
        sizes = [*map(mul, Picked(tree.whole.sizes, tree.nodes), Picked(tree.chosen, tree.nodes))]
        for node in tree.shape.inner:
            sizes[node] = self[node]
        return iter(sizes)


def build_change_tree(
    changes: Iterable[Change], wanted: ChangeFilter | None = None, *, should_stop: Callable[[], bool] = lambda: False
) -> ChangeTree:
    """Build the tree of `changes` and the folders above them. It keeps no reference to the `Change` objects.

    Raises:
        Cancelled: `should_stop` returned True.
    """
    return filter_changes(_collect(changes, should_stop), wanted or ChangeFilter(), should_stop=should_stop)


def filter_changes(
    whole: ChangeSet, wanted: ChangeFilter, *, should_stop: Callable[[], bool] = lambda: False
) -> ChangeTree:
    """Build the tree of the changes that match a filter, in the order of the filter.

    Raises:
        Cancelled: `should_stop` returned True.
    """
    chosen = _chosen(whole, wanted, should_stop)
    counts = tuple(both(_of_kind(whole, {kind}), chosen).count(1) for kind in ChangeKind)
    nodes: Sequence[int] = range(len(whole.names))
    shape = whole.shape
    if sum(counts) != whole.count:
        nodes = array("i", [*compress(nodes, _with_folders(whole, chosen))])
        shape = prune(shape, nodes)
    if should_stop():
        raise Cancelled("filtering the changes")
    taken = _Sums(whole.sizes, both(chosen, neither(_of_kind(whole, {ChangeKind.DELETE}))))
    tree = ChangeTree(whole, nodes, shape, chosen, wanted, counts, taken)
    return _by_size(tree) if wanted.by_size else tree


def _collect(changes: Iterable[Change], should_stop: Callable[[], bool]) -> ChangeSet:
    nodes = _Nodes()
    count = 0
    for count, change in enumerate(sorted(changes, key=_path_key), 1):
        if count % _EVERY == 1 and should_stop():
            raise Cancelled("building the tree of changes")
        nodes.add(change)
    shape = build_shape(nodes.parents)
    for node in shape.inner:
        nodes.folders[node] = 1
    numbers_to(len(shape))  # cached in this thread, so the event loop does not have to
    return ChangeSet(nodes.names, bytes(nodes.kinds), nodes.sizes, bytes(nodes.folders), shape, count)


def _path_key(change: Change) -> str:
    """Return a key that sorts the content of a folder right after it: "/" itself sorts after characters such as "-"."""
    return change.path.replace("/", "\0")


class _Nodes:
    """A `ChangeSet` under construction. The stack holds the path of the last node."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kinds = bytearray()
        self.sizes = array("q")
        self.folders = bytearray()
        self.parents = array("i")
        self._stack: list[tuple[str, int]] = []
        self._folder = ""
        self._depth = 0
        self._parent = ROOT

    def add(self, change: Change) -> None:
        """Add a change. Its path must sort after all paths added before."""
        folder, _, name = change.path.rpartition("/")
        if folder != self._folder:
            self._open(folder)
        self._stack[self._depth :] = [(name, len(self.names))]
        self._put(name, change.kind, change.size or 0, folder=change.mode & _TYPE == _FOLDER)

    def _open(self, folder: str) -> None:
        """Make a folder the top of the stack, adding nodes for the folders above it that have none yet."""
        parts = folder.split("/")[1:]
        common = 0
        for part, (open_part, _) in zip(parts, self._stack, strict=False):
            if part != open_part:
                break
            common += 1
        del self._stack[common:]
        self._parent = self._stack[-1][1] if self._stack else ROOT
        for part in parts[common:]:
            node = len(self.names)
            self._put(part, UNCHANGED, 0, folder=True)
            self._stack.append((part, node))
            self._parent = node
        self._folder, self._depth = folder, len(parts)

    def _put(self, name: str, kind: int, size: int, *, folder: bool) -> None:
        self.parents.append(self._parent)
        self.names.append(name)
        self.kinds.append(kind)
        self.sizes.append(size)
        self.folders.append(folder)


def _of_kind(whole: ChangeSet, kinds: Collection[int]) -> bytes:
    """Mark the nodes of these kinds."""
    return whole.kinds.translate(bytes(kind in kinds for kind in range(256)))


def _chosen(whole: ChangeSet, wanted: ChangeFilter, should_stop: Callable[[], bool]) -> bytes:
    """Mark the changes that match a filter."""
    marks = _of_kind(whole, wanted.kinds)
    for word in wanted.text.casefold().split():
        if should_stop():
            raise Cancelled("filtering the changes")
        marks = both(marks, _with_word(whole, word))
    return marks


def _with_word(whole: ChangeSet, word: str) -> bytearray:
    """Mark the nodes whose paths contain a word: the node in whose name the word ends, and everything below it."""
    *folders, last = word.split("/")
    names = whole.folded_names
    if folders:
        fits = _Above(whole, folders)
        pairs = zip(names, whole.shape.parents, strict=True)
        marks = bytearray([name.startswith(last) and fits[parent] for name, parent in pairs])
    else:
        marks = bytearray([last in name for name in names])
    ends = whole.shape.ends
    for node in whole.shape.inner:
        if marks[node]:
            marks[node : ends[node]] = b"\1" * (ends[node] - node)
    return marks


class _Above(dict[int, bool]):
    """Whether the path of each folder ends with these components, the first of which may be the end of a name."""

    def __init__(self, whole: ChangeSet, folders: Sequence[str]) -> None:
        super().__init__()
        self._whole = whole
        self._folders = folders

    def __missing__(self, node: int) -> bool:
        names, parents = self._whole.folded_names, self._whole.shape.parents
        first, *rest = self._folders
        above = node
        for part in reversed(rest):
            if above == ROOT or names[above] != part:
                self[node] = False
                return False
            above = parents[above]
        self[node] = not first if above == ROOT else names[above].endswith(first)
        return self[node]


def _with_folders(whole: ChangeSet, chosen: bytes) -> bytearray:
    """Mark the chosen nodes and the folders above them."""
    kept, ends = bytearray(chosen), whole.shape.ends
    for node in whole.shape.inner:
        if not kept[node] and chosen.find(1, node, ends[node]) >= 0:
            kept[node] = 1
    return kept


def _by_size(tree: ChangeTree) -> ChangeTree:
    """Return the same tree with the largest entry of each folder first."""
    sizes = [*tree.sizes]
    falling = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    order, parents, _ = preorder([*tree.shape.parents], falling)
    nodes = array("i", Picked(tree.nodes, order))
    return replace(tree, nodes=nodes, shape=build_shape(parents))
