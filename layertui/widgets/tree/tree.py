"""A tree, or a list, of any length that draws only the lines on the screen."""

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

from layertui.keys.actions import TREE_BINDINGS
from layertui.widgets.cells import base_style, layered, one_band
from layertui.widgets.line_view import LineView
from layertui.widgets.tree.columns import Column
from layertui.widgets.tree.guides import fold_zone, guide_text
from layertui.widgets.tree.shape import ROOT, Folding, TreeShape, flat_shape

_NOTHING = -1
_NEAR = 200  # lines below the cursor, and above, that may stand in for its own


class _TreeMessage(Message):
    """Comes from a tree."""

    def __init__(self, tree: VirtualTree) -> None:
        self.tree = tree
        super().__init__()

    @property
    def control(self) -> VirtualTree:
        """The tree."""
        return self.tree


class _NodeMessage(_TreeMessage):
    """Is about a node of a tree."""

    def __init__(self, tree: VirtualTree, node: int) -> None:
        self.node = node
        super().__init__(tree)


class VirtualTree(LineView, can_focus=True):
    """Shows the nodes of a `TreeShape`; a subclass says what a line looks like (`render_node`).

    Nodes have keys (a layer's ID, a path), by which the cursor, folds and the scroll position survive a new shape.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*TREE_BINDINGS]
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
        """The cursor is on another node; `node` is -1 when there is none."""

    class Chosen(_NodeMessage):
        """Enter was pressed on a node that has nothing to fold, or a line was clicked twice."""

    class WidthChanged(_TreeMessage):
        """There is more or less room for a line."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id, classes=classes)
        self.folding = Folding(flat_shape(0))
        self._keys: Column[str] = ()
        self._places: dict[str, int] | None = None
        self._wanted: str | None = None
        self._lines: LRUCache[tuple[object, ...], Strip] = LRUCache(512)
        self._styles: dict[tuple[str, ...], Style] = {}

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a node in at most `width` cells, on top of `base`."""
        raise NotImplementedError

    # Content

    @property
    def shape(self) -> TreeShape:
        """The shape that is shown."""
        return self.folding.shape

    @property
    def cursor_node(self) -> int:
        """The node under the cursor, -1 when there is none."""
        lines = self.folding.visible
        return lines[self.cursor_line] if self.cursor_line < len(lines) else _NOTHING

    @property
    def cursor_key(self) -> str | None:
        """The key of the node under the cursor."""
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
        """Show other nodes; cursor, folds and scroll position stay with the keys; `folded` are folded in any case.

        `now_at` says where a node of before is now, None if nowhere: quicker than a look at its key. A cursor whose
        node is gone goes to the nearest line that is still there.
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
        """Put the cursor on this key when nodes are shown the next time."""
        self._wanted = key

    def start_nodes(self, shape: TreeShape, keys: Column[str], folded: Iterable[int] = ()) -> None:
        """Show something else: the cursor goes to the first line, and exactly the nodes `folded` are folded."""
        self._keys, self._places = keys, None
        self.folding = Folding(shape, folded)
        self.forget_lines()
        self._resize_content()
        self._settle(None, 0, 0, None)

    def place(self, key: str) -> int | None:
        """Return the node with this key."""
        if self._places is None:
            self._places = {key: node for node, key in enumerate(self._keys)}
        return self._places.get(key)

    def forget_lines(self) -> None:
        """Draw all lines anew."""
        self._lines.clear()
        self.refresh()

    def _settle(self, node: int | None, line: int, offset: int, before: str | None) -> None:
        """Put the cursor on a node, or else on a line, where it was on the screen; tell if it has left `before`."""
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
        """Return a component style, without the background of the widget."""
        style = self._styles.get(names)
        if style is None:
            style = self._styles[names] = layered(self, *names)
        return style

    def quiet_style_of(self, name: str, node: int) -> Style:
        """Return a component style for what matters less; under the cursor it is as clear as the rest.

        Where there are 16 colours, grey on the grey of the cursor would not be seen.
        """
        return Style.null() if self.has_focus and node == self.cursor_node else self.style_of(name)

    def notify_style_update(self) -> None:
        """Forget what was drawn with another theme."""
        super().notify_style_update()
        self._styles.clear()
        self._lines.clear()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
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
        """Return the lines in front of a node, in at most `room` cells."""
        return guide_text(self.folding, node, room)

    # Cursor

    def validate_cursor_line(self, line: int) -> int:
        """Keep the cursor on a line that is there."""
        return max(0, min(line, len(self.folding) - 1))

    def watch_cursor_line(self, old: int, new: int) -> None:
        """Draw two lines and tell."""
        self.refresh_line(old)
        self.refresh_line(new)
        self._follow_cursor()
        self.post_message(self.CursorMoved(self, self.cursor_node))

    def watch_hover_line(self, old: int, new: int) -> None:
        """Draw two lines."""
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
        """Put the cursor on a node, unfolding what hides it."""
        if not self.folding.is_visible(node):
            self.folding.reveal(node)
            self._folds_changed()
        self.cursor_line = self.folding.line_of(node)

    def go_to_key(self, key: str) -> bool:
        """Put the cursor on the node with this key; False when there is none."""
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
        """Fit the lines to the new width."""
        self._resize_content()
        self._follow_cursor()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the cursor in full, or dimmed."""
        super().watch_has_focus(has_focus)
        self.refresh_line(self.cursor_line)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Light up the line below the mouse."""
        line = event.y + self.scroll_offset.y
        self.hover_line = line if line < len(self.folding) else _NOTHING

    def on_leave(self) -> None:
        """Put the light out."""
        self.hover_line = _NOTHING

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; on the guides, or with a second click, fold or choose."""
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
        """Move the cursor by screens."""
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
        """Fold the node; when it is folded, or has nothing to fold, go to its parent."""
        node = self.cursor_node
        if node == _NOTHING:
            return
        if self.shape.is_leaf(node) or node in self.folding.folded:
            self.action_parent()
        else:
            self.toggle(node)

    def action_in(self) -> None:
        """Unfold the node, or go to its first child."""
        node = self.cursor_node
        if node in self.folding.folded:
            self.toggle(node)
        else:
            self.action_child()

    def action_toggle_fold(self) -> None:
        """Fold or unfold the node; choose it when it has nothing to fold."""
        node = self.cursor_node
        if node == _NOTHING:
            return
        if self.shape.is_leaf(node):
            self.post_message(self.Chosen(self, node))
        else:
            self.toggle(node)

    def action_fold_all(self) -> None:
        """Fold everything but the outermost nodes."""
        self._fold_exactly(self.shape.inner)

    def action_unfold_all(self) -> None:
        """Unfold everything."""
        self._fold_exactly(())

    def _fold_exactly(self, nodes: Collection[int]) -> None:
        node = self.cursor_node
        self.folding.fold_all(nodes)
        self._folds_changed()
        if node != _NOTHING:
            self.cursor_line = self.folding.line_of(node)
        self._follow_cursor()
