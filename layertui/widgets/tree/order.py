"""The order of a tree: parents before their children, whatever the records say about parents.

One pass a step and no recursion, so that depth and number do not matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from layertui.widgets.tree.shape import ROOT


def preorder(parents: Sequence[int], nodes: Sequence[int] | None = None) -> tuple[array[int], array[int], list[int]]:
    """Return the nodes in preorder, for each place in that order its parent's place, and which circles were cut.

    `parents` has each node's parent, anything negative where it has none. Whatever no root leads to stands in a
    circle of parents: its first node becomes a root, and is among the third value. Siblings follow each other as in
    `nodes`, which has all of them, or by their numbers.
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
                if places[node] != ROOT:  # where a circle was cut
                    break
                places[node] = len(order)
                placed.append(places[parents[node]] if parents[node] >= 0 else ROOT)
                order.append(node)
                node = children[node]
        while suspect < len(parents) and places[suspect] != ROOT:
            suspect += 1
        if suspect == len(parents):
            return order, placed, cut
        start = _circle_member(parents, suspect)
        cut.append(start)
        places[start] = len(order)
        placed.append(ROOT)
        order.append(start)
        stack.append(children[start])


def _links(parents: Sequence[int], nodes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return each node's first child, with the first root at the end, and each node's next sibling."""
    children = [ROOT] * (len(parents) + 1)
    siblings = [ROOT] * len(parents)
    for node in reversed(nodes):
        parent = parents[node]
        if parent < 0:
            parent = ROOT
        siblings[node] = children[parent]
        children[parent] = node
    return children, siblings


def _circle_member(parents: Sequence[int], node: int) -> int:
    """Follow parents from a node that no root leads to until one comes twice: that one is in the circle."""
    seen = set()
    while node not in seen:
        seen.add(node)
        node = parents[node]
    members = [node]
    while parents[members[-1]] != node:
        members.append(parents[members[-1]])
    return min(members)
