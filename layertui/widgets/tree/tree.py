"""A tree or list of any length that draws only the visible lines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.cache import LRUCache
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from layertui.keys.actions import TREE_ACTIONS, bindings
from layertui.widgets.cells import base_style, layered, one_band
from layertui.widgets.line_view import LineView
from layertui.widgets.tree.columns import Column
from layertui.widgets.tree.guides import fold_zone, guide_text
from layertui.widgets.tree.shape import ROOT, Folding, TreeShape, flat_shape

_NOTHING = -1
_NEAR = 200  # lines above and below a deleted one that the cursor may move to


class _TreeMessage(Message):
    """A message from a tree."""

    def __init__(self, tree: VirtualTree) -> None:
        self.tree = tree
        super().__init__()

    @property
    def control(self) -> VirtualTree:
        """The tree."""
        return self.tree


class _NodeMessage(_TreeMessage):
    """A message about a node of a tree."""

    def __init__(self, tree: VirtualTree, node: int) -> None:
        self.node = node
        super().__init__(tree)


class VirtualTree(LineView, can_focus=True):
    """Shows the nodes of a `TreeShape`, which subclasses draw with `render_node`.

    Nodes have keys, such as layer IDs or paths, which keep the cursor, the folds and the scroll position when the shape
    changes.
    """

    DEFAULT_CSS = """
    VirtualTree {
        height: 1fr;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        background: $background;
        & .tree--cursor { background: $primary 38%; text-style: bold; }
        & .tree--cursor-blurred { background: $foreground 12%; }
        & .tree--hover { background: $foreground 6%; }
        & .tree--guides { color: $foreground 45%; }
        & .tree--dim { color: $foreground 60%; }
        & .tree--escape { color: $warning; text-style: reverse dim; }
        &:light .tree--cursor { background: $primary 22%; }
        &:nocolor .tree--cursor { text-style: bold reverse; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(TREE_ACTIONS)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tree--cursor",
        "tree--cursor-blurred",
        "tree--hover",
        "tree--guides",
        "tree--dim",
        "tree--escape",
    }

    cursor_line: reactive[int] = reactive(0, repaint=False)
    hover_line: reactive[int] = reactive(_NOTHING, repaint=False)

    class CursorMoved(_NodeMessage):
        """The cursor has moved to another node. `node` is -1 if the tree is empty."""

    class Chosen(_NodeMessage):
        """Enter was pressed on a leaf, or a leaf was double-clicked."""

    class WidthChanged(_TreeMessage):
        """The width of the lines has changed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes=classes)
        self.folding = Folding(flat_shape(0))
        self._keys: Column[str] = ()
        self._places: dict[str, int] | None = None
        self._wanted: str | None = None
        self._lines: LRUCache[tuple[object, ...], Strip] = LRUCache(512)
        self._styles: dict[tuple[str, ...], Style] = {}

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Return the segments of a node in at most `width` cells, in styles based on `base`."""
        raise NotImplementedError

    # Content

    @property
    def shape(self) -> TreeShape:
        """The current shape."""
        return self.folding.shape

    @property
    def cursor_node(self) -> int:
        """The node under the cursor, -1 if the tree is empty."""
        lines = self.folding.visible
        return lines[self.cursor_line] if self.cursor_line < len(lines) else _NOTHING

    @property
    def cursor_key(self) -> str | None:
        """The key of the node under the cursor, None if the tree is empty."""
        node = self.cursor_node
        return None if node == _NOTHING else self._keys[node]

    def show_nodes(
        self,
        shape: TreeShape,
        keys: Column[str],
        folded: Iterable[int] = (),
        *,
        now_at: Callable[[int], int | None] | None = None,
    ) -> None:
        """Show new nodes and keep the cursor, the folds and the scroll position with their keys.

        The nodes in `folded` are folded as well. `now_at` returns the new number of an old node, None if it is gone; it
        is faster than looking up the key. If the node under the cursor is gone, the cursor moves to the nearest line
        that remains.
        """
        before, lines, line = self._keys, self.folding.visible, self.cursor_line
        offset = line - self.scroll_offset.y
        own = lines[line] if line < len(lines) else _NOTHING
        old_key = before[own] if own != _NOTHING else None
        wanted, self._wanted = self._wanted, None
        self._keys, self._places = keys, None
        find = now_at or (lambda node: self.place(before[node]))
        places = map(find, self.folding.folded)
        self.folding = Folding(shape, [*folded, *(place for place in places if place is not None)])
        self.forget_lines()
        self._resize_content()
        nearby = map(find, chain(lines[line : line + _NEAR], reversed(lines[max(0, line - _NEAR) : line])))
        self._settle(next((place for place in nearby if place is not None), None), line, offset, old_key)
        if wanted is not None:
            self.go_to_key(wanted)

    def want(self, key: str) -> None:
        """Move the cursor to this key the next time that nodes are shown."""
        self._wanted = key

    def start_nodes(self, shape: TreeShape, keys: Column[str], folded: Iterable[int] = ()) -> None:
        """Show unrelated nodes, with the cursor on the first line and only the nodes in `folded` folded."""
        self._keys, self._places = keys, None
        self.folding = Folding(shape, folded)
        self.forget_lines()
        self._resize_content()
        self._settle(None, 0, 0, None)

    def place(self, key: str) -> int | None:
        """Return the node with this key, None if there is none."""
        if self._places is None:
            self._places = {key: node for node, key in enumerate(self._keys)}
        return self._places.get(key)

    def forget_lines(self) -> None:
        """Drop the cached lines and redraw."""
        self._lines.clear()
        self.refresh()

    def _settle(self, node: int | None, line: int, offset: int, before: str | None) -> None:
        """Move the cursor to `node`, or to `line` if that is None, `offset` rows below the top of the view.

        Post `CursorMoved` if the key under the cursor is not `before`.
        """
        if node is not None:
            line = self.folding.line_of(node)
        self.set_reactive(VirtualTree.cursor_line, max(0, min(line, len(self.folding) - 1)))
        self.scroll_to(y=max(0, self.cursor_line - max(offset, 0)), animate=False, immediate=True)
        if self.cursor_key != before or before is None:
            self.post_message(self.CursorMoved(self, self.cursor_node))

    def _resize_content(self) -> None:
        width = self.scrollable_content_region.width
        if width != self.virtual_size.width:
            self.post_message(self.WidthChanged(self))
        self.set_line_count(len(self.folding))

    # Drawing

    def style_of(self, *names: str) -> Style:
        """Return a component style without the style of the widget."""
        style = self._styles.get(names)
        if style is None:
            style = self._styles[names] = layered(self, *names)
        return style

    def quiet_style_of(self, name: str, node: int) -> Style:
        """Return a component style for secondary text of `node`, or none if the cursor is on it.

        With 16 colours, grey text would be invisible on the grey of the cursor.
        """
        return Style.null() if self.has_focus and node == self.cursor_node else self.style_of(name)

    def notify_style_update(self) -> None:
        """Drop the styles and lines of the previous theme."""
        super().notify_style_update()
        self._styles.clear()
        self._lines.clear()

    def render_line(self, y: int) -> Strip:
        """Draw row `y` of the view, from the cache if possible."""
        line = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if not 0 <= line < len(self.folding):
            return Strip.blank(width, base_style(self))
        node = self.folding.visible[line]
        state = (line == self.cursor_line, line == self.hover_line, self.has_focus)
        key = (node, width, *state)
        strip = self._lines.get(key)
        if strip is None:
            strip = self._lines[key] = self._draw(node, width, state)
        return strip

    def _draw(self, node: int, width: int, state: tuple[bool, bool, bool]) -> Strip:
        base = base_style(self)
        cursor, hover, focus = state
        if cursor:
            base += self.style_of("tree--cursor" if focus else "tree--cursor-blurred")
        elif hover:
            base += self.style_of("tree--hover")
        strip = Strip(one_band(self.render_node(node, width, base=base), base))
        return strip.adjust_cell_length(width, base).simplify()

    def guides(self, node: int, room: int) -> str:
        """Return the guides of a node, in at most `room` cells."""
        return guide_text(self.folding, node, room)

    # Cursor

    def validate_cursor_line(self, line: int) -> int:
        """Keep the cursor on an existing line."""
        return max(0, min(line, len(self.folding) - 1))

    def watch_cursor_line(self, old: int, new: int) -> None:
        """Redraw both lines, scroll to the cursor and post `CursorMoved`."""
        self.refresh_line(old)
        self.refresh_line(new)
        self._follow_cursor()
        self.post_message(self.CursorMoved(self, self.cursor_node))

    def watch_hover_line(self, old: int, new: int) -> None:
        """Redraw both lines."""
        for line in (old, new):
            if line != _NOTHING:
                self.refresh_line(line)

    def _follow_cursor(self) -> None:
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if height <= 0:
            return
        if self.cursor_line < top:
            self.scroll_to(y=self.cursor_line, animate=False, immediate=True)
        elif self.cursor_line >= top + height:
            self.scroll_to(y=self.cursor_line - height + 1, animate=False, immediate=True)

    def go_to(self, node: int) -> None:
        """Move the cursor to a node and unfold the nodes that hide it."""
        if not self.folding.is_visible(node):
            self.folding.reveal(node)
            self._folds_changed()
        self.cursor_line = self.folding.line_of(node)

    def go_to_key(self, key: str) -> bool:
        """Move the cursor to the node with this key and return whether there is one."""
        node = self.place(key)
        if node is None:
            return False
        self.go_to(node)
        return True

    # Folding

    def toggle(self, node: int) -> None:
        """Fold or unfold a node."""
        if node in self.folding.folded:
            self.folding.unfold(node)
        else:
            self.folding.fold(node)
        self._folds_changed()

    def _folds_changed(self) -> None:
        self._resize_content()
        self.forget_lines()

    # Events

    def on_resize(self) -> None:
        """Fit the lines into the new width and keep the cursor visible."""
        self._resize_content()
        self._follow_cursor()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Redraw the cursor, which is dimmed without focus."""
        super().watch_has_focus(has_focus)
        self.refresh_line(self.cursor_line)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Highlight the line under the mouse."""
        line = event.y + self.scroll_offset.y
        self.hover_line = line if line < len(self.folding) else _NOTHING

    def on_leave(self) -> None:
        """Clear the hover highlight."""
        self.hover_line = _NOTHING

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked line.

        A click on the guides or a double click folds the node; a double click on a leaf chooses it.
        """
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y + self.scroll_offset.y
        if line >= len(self.folding):
            return
        self.cursor_line = line
        node = self.folding.visible[line]
        if self.shape.is_leaf(node):
            if event.chain == 2:
                self.post_message(self.Chosen(self, node))
        elif event.chain == 2 or offset.x < fold_zone(self.folding, node, self.scrollable_content_region.width):
            self.toggle(node)

    # Actions

    def action_move(self, lines: int) -> None:
        """Move the cursor by lines."""
        self.cursor_line += lines

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.cursor_line += pages * max(1, self.scrollable_content_region.height - 1)

    def action_edge(self, where: str) -> None:
        """Move the cursor to the first or the last line."""
        self.cursor_line = 0 if where == "first" else len(self.folding) - 1

    def action_parent(self) -> None:
        """Move the cursor to the parent."""
        node = self.cursor_node
        if node != _NOTHING and self.shape.parents[node] != ROOT:
            self.go_to(self.shape.parents[node])

    def action_child(self) -> None:
        """Move the cursor to the first child, unfolding the node."""
        node = self.cursor_node
        if node != _NOTHING and not self.shape.is_leaf(node):
            self.go_to(node + 1)

    def action_sibling(self, step: int) -> None:
        """Move the cursor to the next or the previous child of the same parent."""
        node = self.cursor_node
        other = None if node == _NOTHING else self.shape.sibling(node, step)
        if other is not None:
            self.go_to(other)

    def action_out(self) -> None:
        """Fold the node, or move the cursor to its parent if it is folded or a leaf."""
        node = self.cursor_node
        if node == _NOTHING:
            return
        if self.shape.is_leaf(node) or node in self.folding.folded:
            self.action_parent()
        else:
            self.toggle(node)

    def action_in(self) -> None:
        """Unfold the node, or move the cursor to its first child if it is not folded."""
        node = self.cursor_node
        if node in self.folding.folded:
            self.toggle(node)
        else:
            self.action_child()

    def action_toggle_fold(self) -> None:
        """Fold or unfold the node, or choose it if it is a leaf."""
        node = self.cursor_node
        if node == _NOTHING:
            return
        if self.shape.is_leaf(node):
            self.post_message(self.Chosen(self, node))
        else:
            self.toggle(node)

    def action_fold_all(self) -> None:
        """Fold all nodes that have children."""
        self._fold_exactly(self.shape.inner)

    def action_unfold_all(self) -> None:
        """Unfold all nodes."""
        self._fold_exactly(())

    def _fold_exactly(self, nodes: Collection[int]) -> None:
        node = self.cursor_node
        self.folding.fold_all(nodes)
        self._folds_changed()
        if node != _NOTHING:
            self.cursor_line = self.folding.line_of(node)
        self._follow_cursor()
