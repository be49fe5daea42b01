"""The tree of a layer's changes: a letter and a colour for each kind, sizes, and totals of folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message

from layerstore import ChangeKind
from layertui.keys.actions import bindings
from layertui.panels.changes.actions import CHANGES_ACTIONS
from layertui.panels.changes.model import LETTERS, UNCHANGED, ChangeTree
from layertui.text.format import size_text
from layertui.widgets.cells import Line, cut_name
from layertui.widgets.tree.tree import VirtualTree

_SIZE = 9
_EDGE = 1  # blank cells beside the scroll bar
_MANY = 400  # a tree with more nodes starts with its deep folders folded
_STYLES = ("changes--modified", "changes--added", "changes--deleted", "changes--folder")


class _Paths:
    """The paths of the nodes of a tree, built when they are read."""

    def __init__(self, tree: ChangeTree) -> None:
        self._tree = tree

    def __len__(self) -> int:
        return len(self._tree)

    def __iter__(self) -> Iterator[str]:
        return map(self._tree.path, range(len(self)))

    def __getitem__(self, node: int) -> str:
        return self._tree.path(node)


class ChangesTree(VirtualTree):
    """Shows a `ChangeTree`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHANGES_ACTIONS)
    DEFAULT_CSS = """
    ChangesTree {
        & .changes--added { color: $text-success; }
        & .changes--modified { color: $text-warning; }
        & .changes--deleted { color: $text-error; }
        & .changes--folder { color: $foreground 70%; }
        & .changes--size { color: $foreground 70%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "changes--added",
        "changes--modified",
        "changes--deleted",
        "changes--folder",
        "changes--size",
    }

    class KindToggled(Message):
        """The user asks to show or hide a kind of changes."""

        def __init__(self, tree: ChangesTree, kind: ChangeKind) -> None:
            self.tree = tree
            self.kind = kind
            super().__init__()

        @property
        def control(self) -> ChangesTree:
            """The tree."""
            return self.tree

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.tree_shown: ChangeTree | None = None
        self._folded_elsewhere: set[int] = set()  # in `whole`: hidden folders stay folded

    def show(self, tree: ChangeTree, *, start: bool) -> None:
        """Replace the changes. Start at the top with `start`, otherwise keep the cursor and folds where possible."""
        before, self.tree_shown = self.tree_shown, tree
        if start or before is None:
            self._folded_elsewhere.clear()
            self.start_nodes(tree.shape, _Paths(tree), tree.deep_folders() if len(tree) > _MANY else ())
        elif before.whole is tree.whole:
            folded = self._folded_elsewhere | {before.nodes[node] for node in self.folding.folded}
            places = {number: tree.place_of(number) for number in folded}
            self._folded_elsewhere = {number for number, place in places.items() if place is None}
            here = [place for place in places.values() if place is not None]
            self.show_nodes(tree.shape, _Paths(tree), here, now_at=lambda node: tree.place_of(before.nodes[node]))
        else:
            self._folded_elsewhere.clear()
            self.show_nodes(tree.shape, _Paths(tree))

    def place(self, key: str) -> int | None:
        """Return the node with this path, or None, by walking down from the root."""
        tree = self.tree_shown
        if tree is None:
            return None
        node, end = 0, len(tree)
        found = None
        for part in key.strip("/").split("/"):
            while node < end and tree.names[node] != part:
                node = tree.shape.ends[node]
            if node >= end:
                return None
            found, node, end = node, node + 1, tree.shape.ends[node]
        return found

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a change."""
        tree = self.tree_shown
        assert tree is not None
        kind = tree.kinds[node]
        line = Line(width)
        style = base + self.style_of(_STYLES[kind])
        line.put(f" {LETTERS[kind]} ", style + Style(bold=kind != UNCHANGED))
        line.put(self.guides(node, max(4, width // 2)), base + self.quiet_style_of("tree--guides", node))
        line.width = max(width - _SIZE - _EDGE - 1, line.used)
        escape = base + self.style_of("tree--escape")
        hidden = f" +{tree.shape.ends[node] - node - 1:,}" if node in self.folding.folded else ""
        room = line.room - tree.folders[node] - len(hidden)
        line.put_foreign(cut_name(tree.names[node], room), style, escape, room)
        if tree.folders[node]:
            line.put("/", base + self.quiet_style_of("changes--folder", node))
        if hidden:
            line.put(hidden, base + self.quiet_style_of("tree--dim", node))
        line.fill_to(line.width, base)
        line.width = width
        text = size_text(tree.sizes[node]) if tree.sizes[node] or not tree.folders[node] else ""
        line.put_right(text, _SIZE, base + self.quiet_style_of("changes--size", node))
        return line.segments

    def action_toggle_kind(self, name: str) -> None:
        """Ask to show or hide a kind."""
        self.post_message(self.KindToggled(self, ChangeKind[name]))
