"""The guide lines in front of the rows of a tree.

A chain of only children is drawn as a vertical bracket: ╭ at its start, │ in between, ╰ at its end. Branches leave it
with ├─ and ╰─. So a row is indented by two cells per branch that leads to it, and not by the length of its chain.
"""

from __future__ import annotations

from layertui.widgets.tree.shape import ROOT, Folding, TreeShape

_STEP = 2
_FOLDED = "▸"
_OPEN = "▾"
_MORE = "…"


def guide_text(folding: Folding, node: int, room: int) -> str:
    """Return the guides of `node` with its fold mark, in at most `room` cells.

    The innermost guides are kept. Only whole levels are removed, so that vertical lines stay aligned.
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
    """Return how many cells at the start of a row belong to the guides, where a click folds the node."""
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
    """Return the guides of the levels outside the node's own branch, outermost first."""
    text: list[str] = []
    parent = shape.parents[shape.head(node)]
    while parent != ROOT and len(text) <= most:
        head = shape.head(parent)
        if shape.is_set_in(head):
            text.append("  " if shape.is_last(head) else "│ ")
        parent = shape.parents[head]
    text.reverse()
    return text
