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
from itertools import accumulate, compress
from operator import ne

from layertui.marks import few, picked

ROOT = -1
"""The parent of a node that hangs from nothing."""

_STRIDE = 256  # nodes of a long chain from one whose head is remembered to the next


@dataclass(frozen=True, slots=True)
class TreeShape:
    """Two flat arrays, one value a node: its parent, and one past the last node below it.

    The rest follows from them when a row is drawn. In a compact shape the head of a node is the first node of the chain
    that it stands in; elsewhere every node is its own.
    """

    parents: Sequence[int]
    ends: Sequence[int]
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

    def inner(self) -> array[int]:
        """Return the nodes that others hang from."""
        return array("i", compress(range(len(self)), map(ne, self.ends, range(1, len(self) + 1))))

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


def prune(shape: TreeShape, nodes: Sequence[int], kept: Sequence[int], inner: Sequence[int] | None = None) -> TreeShape:
    """Return the shape of some nodes, the parents of all of them among them: their numbers in order, and 1 for each.

    `inner` are all nodes of `shape` that others hang from, for a caller who knows them and that they are not many.
    """
    old_parents = picked(shape.parents, nodes, kept)
    if few(nodes, kept):
        parents = [ROOT if parent == ROOT else bisect_left(nodes, parent) for parent in old_parents]
        ends = array("i", [bisect_left(nodes, shape.ends[node]) for node in nodes])
        return TreeShape(array("i", parents), ends, shape.compact)
    places = [*accumulate(kept, initial=0)]  # how many are kept of those before
    if inner is None:  # from a list an array is made more quickly
        ends = array("i", [*map(places.__getitem__, picked(shape.ends, nodes, kept))])
    else:
        ends = array("i", [*range(1, len(nodes) + 1)])
        for node in compress(inner, map(kept.__getitem__, inner)):
            ends[places[node]] = places[shape.ends[node]]
    places[-1] = ROOT  # what `ROOT` finds
    return TreeShape(array("i", [*map(places.__getitem__, old_parents)]), ends, shape.compact)


def flat_shape(count: int) -> TreeShape:
    """Return the shape of a plain list."""
    return TreeShape(array("i", [ROOT]) * count, range(1, count + 1))


class Folding:
    """Which nodes of a shape are folded, and the nodes that are therefore to be seen, in a flat sorted sequence."""

    def __init__(self, shape: TreeShape, folded: Iterable[int] = ()) -> None:
        self.shape = shape
        self.folded = set(folded)
        self._sorted = array("i")
        self.visible: Sequence[int] = ()
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
        del self._lines()[start:stop]

    def unfold(self, node: int) -> None:
        """Show what is below `node`, but for what other folded nodes hide."""
        if node not in self.folded:
            return
        self.folded.discard(node)
        del self._sorted[bisect_left(self._sorted, node)]
        if self.is_visible(node):
            start, _ = self._below(node)
            self._lines()[start:start] = self._walk(node + 1, self.shape.ends[node])

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

    def _lines(self) -> array[int]:
        """Return the nodes to be seen as an array, which they are not before something is folded."""
        if not isinstance(self.visible, array):
            self.visible = array("i", self.visible)
        return self.visible

    def _rebuild(self) -> None:
        self._sorted = array("i", sorted(self.folded))
        self.visible = self._walk(0, len(self.shape)) if self.folded else range(len(self.shape))

    def _walk(self, node: int, end: int) -> array[int]:
        """Return what is to be seen of a range: runs of nodes from one fold to the next."""
        seen = array("i")
        folded, ends = self._sorted, self.shape.ends
        at = bisect_left(folded, node)
        while at < len(folded) and folded[at] < end:
            fold = folded[at]
            seen.extend(range(node, fold + 1))
            node = ends[fold]
            at = bisect_left(folded, node, at + 1)
        seen.extend(range(node, end))
        return seen
