"""The lines in front of a tree's rows.

A chain of only children runs straight down, as a bracket: ╭ where it starts, │ on the way, ╰ where it ends. Branches
leave it with ├─ and ╰─. So a row is set in by two cells for each branch that leads to it, and for nothing else.
"""

from __future__ import annotations

from layertui.widgets.tree.shape import ROOT, Folding, TreeShape

_STEP = 2
_FOLDED = "▸"
_OPEN = "▾"
_MORE = "…"


def guide_text(folding: Folding, node: int, room: int) -> str:
    """Return the guides of `node` with the mark of its fold, in at most `room` cells; the innermost are kept.

    What is cut is cut by whole levels, so that lines which pass by stand under each other.
    """
    shape = folding.shape
    room -= room % _STEP
    text = "".join(_above(shape, node, room // _STEP))
    head = shape.head(node)
    if shape.is_set_in(node):
        if node == head:
            text += "╰─" if shape.is_last(head) else "├─"
        else:
            text += "  " if shape.is_last(head) else "│ "
    text += _chain_mark(folding, node) if shape.compact else _folder_mark(folding, node)
    return text if len(text) <= room else _MORE + text[len(text) - room + 1 :]


def fold_zone(folding: Folding, node: int, room: int) -> int:
    """Return how many cells at the start of a row belong to the guides: a click there folds."""
    return len(guide_text(folding, node, room))


def _chain_mark(folding: Folding, node: int) -> str:
    shape = folding.shape
    starts = shape.head(node) == node
    inside = shape.is_set_in(node)
    if node in folding.folded:
        return _FOLDED + " "
    if shape.is_leaf(node):
        return ("─ " if inside else "╶ ") if starts else "╰ "
    return ("┬ " if inside else "╭ ") if starts else "│ "


def _folder_mark(folding: Folding, node: int) -> str:
    if folding.shape.is_leaf(node):
        return " " if folding.shape.is_set_in(node) else "  "
    return (_FOLDED if node in folding.folded else _OPEN) + " "


def _above(shape: TreeShape, node: int, most: int) -> list[str]:
    """Return, from the outside in, whether a line passes by for each level around the node's own branch."""
    text: list[str] = []
    parent = shape.parents[shape.head(node)]
    while parent != ROOT and len(text) <= most:
        head = shape.head(parent)
        if shape.is_set_in(head):
            text.append("  " if shape.is_last(head) else "│ ")
        parent = shape.parents[head]
    text.reverse()
    return text
