"""The shape of a tree in flat arrays: who hangs from whom, how far rows are set in, and the lines between them.

Nodes are numbered in preorder, a node before everything below it, so that a subtree is a range and nothing here is
recursive. In a *compact* shape an only child stands straight below its parent, and only where a tree branches are
rows set in: chains of layers are long and seldom branch, and sixty steps to the right would leave no room to read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, islice
from operator import lt

from layertui.widgets.tree.columns import Column, Picked, numbers_to

ROOT = -1
"""The parent of a node that hangs from nothing."""

_STRIDE = 256  # nodes of a long chain from one whose head is remembered to the next


@dataclass(frozen=True, eq=False)
class TreeShape:
    """Two flat arrays, one value a node: its parent, and one past the last node below it.

    The rest follows from them when a row is drawn. In a compact shape the head of a node is the first node of the chain
    that it stands in; elsewhere every node is its own.
    """

    parents: Column[int]
    ends: Column[int]
    compact: bool = False
    _heads: dict[int, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.parents)

    def is_leaf(self, node: int) -> bool:
        """Tell whether nothing hangs from this node."""
        return self.ends[node] == node + 1

    def branches(self, node: int) -> bool:
        """Tell whether more than one node hangs from this one."""
        first = node + 1
        return first < self.ends[node] and self.ends[first] < self.ends[node]

    def children(self, node: int) -> Iterator[int]:
        """Yield the nodes that hang from this one."""
        child, end = node + 1, self.ends[node]
        while child < end:
            yield child
            child = self.ends[child]

    @cached_property
    def inner(self) -> Sequence[int]:
        """The nodes that others hang from."""
        return array("i", compress(range(len(self)), map(lt, range(1, len(self) + 1), self.ends)))

    def sibling(self, node: int, step: int) -> int | None:
        """Return the next (1) or previous (-1) node with the same parent, None at the end."""
        parent = self.parents[node]
        first, end = (0, len(self)) if parent == ROOT else (parent + 1, self.ends[parent])
        if step > 0:
            return self.ends[node] if self.ends[node] < end else None
        if node == first:
            return None
        other = node - 1
        while self.parents[other] != parent:
            other = self.parents[other]
        return other

    def is_last(self, node: int) -> bool:
        """Tell whether no sibling follows this node."""
        parent = self.parents[node]
        return self.ends[node] == (len(self) if parent == ROOT else self.ends[parent])

    def head(self, node: int) -> int:
        """Return the first node of the chain that this one stands in."""
        if not self.compact:
            return node
        known, head = self._heads, node
        while head not in known and self._is_straight_below(head):
            head -= 1
        head = known.get(head, head)
        known.update(dict.fromkeys(range(node, head, -_STRIDE), head))  # others of the chain are asked for next
        return head

    def is_set_in(self, node: int) -> bool:
        """Tell whether this node stands further right than the roots."""
        return self.parents[self.head(node)] != ROOT

    def path(self, node: int) -> list[int]:
        """Return the heads of the chains from the outermost down to the one that `node` stands in."""
        heads = []
        while node != ROOT:
            head = self.head(node)
            heads.append(head)
            node = self.parents[head]
        heads.reverse()
        return heads

    def _is_straight_below(self, node: int) -> bool:
        parent = self.parents[node]
        return parent != ROOT and node == parent + 1 and self.ends[node] == self.ends[parent]


def build_shape(parents: Sequence[int], *, compact: bool = False) -> TreeShape:
    """Work out the ends from the parents of nodes in preorder."""
    count = len(parents)
    ends = [*range(1, count + 1), 0]
    node = count
    for parent in reversed(parents):  # backwards, a node's own end is known before its parent's
        node -= 1
        end = ends[node]
        if end > ends[parent]:  # noqa: PLR1730 - twice as quick as max
            ends[parent] = end  # of a root: in the last place, which stands for no node
    del ends[-1]
    return TreeShape(array("i", parents), array("i", ends), compact)


def prune(shape: TreeShape, nodes: Sequence[int]) -> TreeShape:
    """Return the shape of some nodes, in their order, the parents of all of them among them.

    It is worked out for those that are looked at: of many a filter shows a screenful.
    """
    return _Pruned(_Places(shape.parents, nodes), _Places(shape.ends, nodes), shape.compact, shape=shape, nodes=nodes)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pruned(TreeShape):
    """Some nodes of a shape."""

    shape: TreeShape
    nodes: Sequence[int]

    @cached_property
    def inner(self) -> Sequence[int]:
        """The nodes whose next one still stands below them."""
        next_ones = islice(self.nodes, 1, None)
        return array("i", compress(range(len(self)), map(lt, next_ones, Picked(self.shape.ends, self.nodes))))


class _Places(Picked[int]):
    """Nodes that a column has for some nodes, as their places among these."""

    def __getitem__(self, place: int) -> int:
        node = super().__getitem__(place)
        return ROOT if node == ROOT else bisect_left(self.numbers, node)

    def __iter__(self) -> Iterator[int]:
        return map(self.__getitem__, range(len(self)))


def flat_shape(count: int) -> TreeShape:
    """Return the shape of a plain list."""
    return TreeShape(array("i", [ROOT]) * count, range(1, count + 1))


class Folding:
    """Which nodes of a shape are folded, and the nodes that are therefore to be seen, in a flat sorted sequence."""

    def __init__(self, shape: TreeShape, folded: Iterable[int] = ()) -> None:
        self.shape = shape
        self.folded = set(folded)
        self._sorted = array("i")
        self.visible = array("i")
        self._rebuild()

    def __len__(self) -> int:
        return len(self.visible)

    def line_of(self, node: int) -> int:
        """Return the line that shows `node`, or the folded node that hides it."""
        line = bisect_left(self.visible, node)
        if line < len(self.visible) and self.visible[line] == node:
            return line
        return max(line - 1, 0)

    def is_visible(self, node: int) -> bool:
        """Tell whether nothing hides this node."""
        line = bisect_left(self.visible, node)
        return line < len(self.visible) and self.visible[line] == node

    def fold(self, node: int) -> None:
        """Hide what is below `node`."""
        if node in self.folded or self.shape.is_leaf(node):
            return
        self.folded.add(node)
        insort(self._sorted, node)
        start, stop = self._below(node)
        del self.visible[start:stop]

    def unfold(self, node: int) -> None:
        """Show what is below `node`, but for what other folded nodes hide."""
        if node not in self.folded:
            return
        self.folded.discard(node)
        del self._sorted[bisect_left(self._sorted, node)]
        if self.is_visible(node):
            start, _ = self._below(node)
            self.visible[start:start] = self._walk(node + 1, self.shape.ends[node])

    def reveal(self, node: int) -> None:
        """Unfold everything that hides `node`, outermost first."""
        above = []
        parent = self.shape.parents[node]
        while parent != ROOT:
            above.append(parent)
            parent = self.shape.parents[parent]
        for ancestor in reversed(above):
            self.unfold(ancestor)

    def fold_all(self, nodes: Collection[int]) -> None:
        """Fold exactly these nodes."""
        self.folded = set(nodes)
        self._rebuild()

    def _below(self, node: int) -> tuple[int, int]:
        start = bisect_left(self.visible, node + 1)
        return start, bisect_left(self.visible, self.shape.ends[node], start)

    def _rebuild(self) -> None:
        self._sorted = array("i", sorted(self.folded))
        self.visible = self._walk(0, len(self.shape))

    def _walk(self, node: int, end: int) -> array[int]:
        """Return what is to be seen of a range: runs of nodes from one fold to the next."""
        seen = array("i")
        folded, ends, every = self._sorted, self.shape.ends, numbers_to(len(self.shape))
        at = bisect_left(folded, node)
        while at < len(folded) and folded[at] < end:
            fold = folded[at]
            seen += every[node : fold + 1]
            node = ends[fold]
            at = bisect_left(folded, node, at + 1)
        seen += every[node:end]
        return seen
