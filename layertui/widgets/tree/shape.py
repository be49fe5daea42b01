"""The shape of a tree in flat arrays.

Nodes are numbered in preorder, so a subtree is a range of numbers and no function here is recursive. In a *compact*
shape an only child is not indented; only branches are. Chains of layers are long and rarely branch, and an indentation
per layer would leave no room for text.
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
"""The parent of a root."""

_STRIDE = 256  # the head is cached for every 256th node of a chain


@dataclass(frozen=True, eq=False)
class TreeShape:
    """Two columns: the parent of each node, and one past the last node of its subtree.

    Everything else is computed from them when a row is drawn. In a compact shape, the head of a node is the first node
    of its chain; in others, each node is its own head.
    """

    parents: Column[int]
    ends: Column[int]
    compact: bool = False
    _heads: dict[int, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.parents)

    def is_leaf(self, node: int) -> bool:
        """Return whether a node has no children."""
        return self.ends[node] == node + 1

    def children(self, node: int) -> Iterator[int]:
        """Yield the children of a node."""
        child, end = node + 1, self.ends[node]
        while child < end:
            yield child
            child = self.ends[child]

    @cached_property
    def inner(self) -> Sequence[int]:
        """The nodes that have children."""
        return array("i", compress(range(len(self)), map(lt, range(1, len(self) + 1), self.ends)))

    def sibling(self, node: int, step: int) -> int | None:
        """Return the next (1) or previous (-1) sibling of a node, None if there is none."""
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
        """Return whether a node is the last of its siblings."""
        parent = self.parents[node]
        return self.ends[node] == (len(self) if parent == ROOT else self.ends[parent])

    def head(self, node: int) -> int:
        """Return the first node of the chain of a node."""
        if not self.compact:
            return node
        known, head = self._heads, node
        while head not in known and self._is_straight_below(head):
            head -= 1
        head = known.get(head, head)
        known.update(dict.fromkeys(range(node, head, -_STRIDE), head))  # for the next rows of the chain
        return head

    def is_set_in(self, node: int) -> bool:
        """Return whether a node is indented."""
        return self.parents[self.head(node)] != ROOT

    def path(self, node: int) -> list[int]:
        """Return the heads of the chains that lead to `node`, outermost first."""
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
    """Return the shape of nodes in preorder, given their parents."""
    count = len(parents)
    ends = [*range(1, count + 1), 0]
    node = count
    for parent in reversed(parents):  # backwards, so that the end of a node is known before that of its parent
        node -= 1
        end = ends[node]
        if end > ends[parent]:  # noqa: PLR1730 - twice as fast as max
            ends[parent] = end  # for a root, this is the additional last item
    del ends[-1]
    return TreeShape(array("i", parents), array("i", ends), compact)


def prune(shape: TreeShape, nodes: Sequence[int]) -> TreeShape:
    """Return the shape of some nodes of a shape, in ascending order. Their parents must be among them.

    Values are computed on access, because a filter shows only a screenful of its matches.
    """
    return _Pruned(_Places(shape.parents, nodes), _Places(shape.ends, nodes), shape.compact, shape=shape, nodes=nodes)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pruned(TreeShape):
    """The shape of some nodes of another shape."""

    shape: TreeShape
    nodes: Sequence[int]

    @cached_property
    def inner(self) -> Sequence[int]:
        """The nodes that have children, which is to say whose next node is in their subtree."""
        next_ones = islice(self.nodes, 1, None)
        return array("i", compress(range(len(self)), map(lt, next_ones, Picked(self.shape.ends, self.nodes))))


class _Places(Picked[int]):
    """Values of a column of nodes, translated to the positions of these nodes among the picked ones."""

    def __getitem__(self, place: int) -> int:
        node = super().__getitem__(place)
        return ROOT if node == ROOT else bisect_left(self.numbers, node)

    def __iter__(self) -> Iterator[int]:
        return map(self.__getitem__, range(len(self)))


def flat_shape(count: int) -> TreeShape:
    """Return the shape of a list of `count` roots."""
    return TreeShape(array("i", [ROOT]) * count, range(1, count + 1))


class Folding:
    """The folded nodes of a shape, and the visible ones in ascending order."""

    def __init__(self, shape: TreeShape, folded: Iterable[int] = ()) -> None:
        self.shape = shape
        self.folded = set(folded)
        self._sorted = array("i")
        self.visible = array("i")
        self._rebuild()

    def __len__(self) -> int:
        return len(self.visible)

    def line_of(self, node: int) -> int:
        """Return the line of `node`, or of the folded node that hides it."""
        line = bisect_left(self.visible, node)
        if line < len(self.visible) and self.visible[line] == node:
            return line
        return max(line - 1, 0)

    def is_visible(self, node: int) -> bool:
        """Return whether no folded node hides `node`."""
        line = bisect_left(self.visible, node)
        return line < len(self.visible) and self.visible[line] == node

    def fold(self, node: int) -> None:
        """Hide the subtree of `node`."""
        if node in self.folded or self.shape.is_leaf(node):
            return
        self.folded.add(node)
        insort(self._sorted, node)
        start, stop = self._below(node)
        del self.visible[start:stop]

    def unfold(self, node: int) -> None:
        """Show the subtree of `node`, except what other folded nodes hide."""
        if node not in self.folded:
            return
        self.folded.discard(node)
        del self._sorted[bisect_left(self._sorted, node)]
        if self.is_visible(node):
            start, _ = self._below(node)
            self.visible[start:start] = self._walk(node + 1, self.shape.ends[node])

    def reveal(self, node: int) -> None:
        """Unfold all nodes that hide `node`, outermost first."""
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
        """Return the visible nodes of a range, built from the runs between folded nodes."""
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
