"""Preorder of a tree whose parents may be missing or form cycles. No recursion, so the depth does not matter."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from layertui.widgets.tree.shape import ROOT


def preorder(parents: Sequence[int], nodes: Sequence[int] | None = None) -> tuple[array[int], array[int], list[int]]:
    """Return the nodes in preorder, the position of each one's parent in it, and the nodes where cycles were cut.

    `parents` holds the parent of each node, a negative number for none. Nodes that no root leads to are in or below a
    cycle of parents; the lowest node of each cycle becomes a root. Siblings are in the order of `nodes`, which must
    hold all nodes, or by number.
    """
    children, siblings = _links(parents, range(len(parents)) if nodes is None else nodes)
    order, placed = array("i"), array("i")
    places = [ROOT] * len(parents)
    cut: list[int] = []
    stack = [children[ROOT]]
    suspect = 0
    while True:
        while stack:
            node = stack.pop()
            while node != ROOT:
                if siblings[node] != ROOT:
                    stack.append(siblings[node])
                if places[node] != ROOT:  # a cycle was cut here
                    break
                places[node] = len(order)
                placed.append(places[parents[node]] if parents[node] >= 0 else ROOT)
                order.append(node)
                node = children[node]
        while suspect < len(parents) and places[suspect] != ROOT:
            suspect += 1
        if suspect == len(parents):
            return order, placed, cut
        start = _cycle_start(parents, suspect)
        cut.append(start)
        places[start] = len(order)
        placed.append(ROOT)
        order.append(start)
        stack.append(children[start])


def _links(parents: Sequence[int], nodes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the first child of each node, with the first root at the end, and the next sibling of each node."""
    children = [ROOT] * (len(parents) + 1)
    siblings = [ROOT] * len(parents)
    for node in reversed(nodes):
        parent = parents[node]
        if parent < 0:
            parent = ROOT
        siblings[node] = children[parent]
        children[parent] = node
    return children, siblings


def _cycle_start(parents: Sequence[int], node: int) -> int:
    """Return the lowest node of the cycle that the parents of `node` lead to."""
    seen = set()
    while node not in seen:
        seen.add(node)
        node = parents[node]
    members = [node]
    while parents[members[-1]] != node:
        members.append(parents[members[-1]])
    return min(members)
