"""The shape of a tree in flat arrays: who hangs from whom, how far rows are set in, and the lines between them.

Nodes are numbered in preorder, a node before everything below it, so that a subtree is a range and nothing here is
recursive. In a *compact* shape an only child stands straight below its parent, and only where a tree branches are
rows set in: chains of layers are long and seldom branch, and sixty steps to the right would leave no room to read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

ROOT = -1
"""The parent of a node that hangs from nothing."""


@dataclass(frozen=True, slots=True)
class TreeShape:
    """Flat arrays, one value a node.

    `ends` is one past the last node below; `heads` is the first node of the chain that a node stands in (itself,
    outside a compact shape); `levels` how far it is set in; `lasts` is 1 where no sibling follows.
    """

    parents: Sequence[int]
    ends: Sequence[int]
    heads: Sequence[int]
    levels: Sequence[int]
    lasts: bytes
    compact: bool = False

    def __len__(self) -> int:
        return len(self.parents)

    def is_leaf(self, node: int) -> bool:
        """Tell whether nothing hangs from this node."""
        return self.ends[node] == node + 1

    def branches(self, node: int) -> bool:
        """Tell whether more than one node hangs from this one."""
        first = node + 1
        return first < self.ends[node] and self.ends[first] < self.ends[node]

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

    def path(self, node: int) -> list[int]:
        """Return the heads of the chains from the outermost down to the one that `node` stands in."""
        heads = []
        while node != ROOT:
            head = self.heads[node]
            heads.append(head)
            node = self.parents[head]
        heads.reverse()
        return heads


def build_shape(parents: Sequence[int], *, compact: bool = False) -> TreeShape:
    """Work out the arrays from the parents of nodes in preorder."""
    count = len(parents)
    ends = array("l", range(1, count + 1))
    lasts = bytearray(count)
    root_seen = False
    for node in range(count - 1, -1, -1):  # backwards, a node's own end is known before its parent's
        parent = parents[node]
        if parent == ROOT:
            lasts[node] = not root_seen
            root_seen = True
        elif ends[node] > ends[parent]:  # only the last child still moves its parent's end
            ends[parent] = ends[node]
            lasts[node] = 1
    heads = array("l", range(count))
    levels = array("l", [0]) * count
    for node in range(count):
        parent = parents[node]
        if parent == ROOT:
            continue
        if compact and ends[node] == ends[parent] and node == parent + 1:
            heads[node] = heads[parent]
            levels[node] = levels[parent]
        else:
            levels[node] = levels[parent] + 1
    return TreeShape(parents, ends, heads, levels, bytes(lasts), compact)


def flat_shape(count: int) -> TreeShape:
    """Return the shape of a plain list."""
    return TreeShape(
        array("l", [ROOT]) * count, range(1, count + 1), range(count), array("l", [0]) * count, bytes(count)
    )


class Folding:
    """Which nodes of a shape are folded, and the nodes that are therefore to be seen, in a flat sorted array."""

    def __init__(self, shape: TreeShape, folded: Iterable[int] = ()) -> None:
        self.shape = shape
        self.folded = set(folded)
        self.visible = array("l")
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
        start, stop = self._below(node)
        del self.visible[start:stop]

    def unfold(self, node: int) -> None:
        """Show what is below `node`, but for what other folded nodes hide."""
        if node not in self.folded:
            return
        self.folded.discard(node)
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
        if self.folded:
            self.visible = self._walk(0, len(self.shape))
        else:
            self.visible = array("l", range(len(self.shape)))

    def _walk(self, node: int, end: int) -> array[int]:
        seen = array("l")
        folded, ends = self.folded, self.shape.ends
        while node < end:
            seen.append(node)
            node = ends[node] if node in folded else node + 1
        return seen
