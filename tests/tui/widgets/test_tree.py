"""Tests of the tree: its shape, folding and guides, and the widget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult

from layertui.widgets.tree.guides import guide_text
from layertui.widgets.tree.shape import ROOT, Folding, TreeShape, build_shape, flat_shape, prune
from layertui.widgets.tree.tree import VirtualTree


@st.composite
def parent_lists(draw: st.DrawFn) -> list[int]:
    """Draw the parents of a forest in preorder, where the parent of a node is on the path to the previous node."""
    parents: list[int] = []
    path: list[int] = []
    for node in range(draw(st.integers(0, 40))):
        depth = draw(st.integers(0, len(path)))
        parents.append(path[depth - 1] if depth else ROOT)
        path = [*path[:depth], node]
    return parents


def below(parents: list[int], node: int) -> set[int]:
    return {child for child, parent in enumerate(parents) if parent == node}


@given(parent_lists())
def test_the_shape_agrees_with_its_definition(parents: list[int]) -> None:
    shape = build_shape(parents)
    for node, parent in enumerate(parents):
        inside = {node}
        for other in range(node + 1, len(parents)):
            if parents[other] in inside:
                inside.add(other)
        assert set(range(node, shape.ends[node])) == inside
        siblings = sorted(below(parents, parent))
        assert shape.is_last(node) == (node == siblings[-1])
        place = siblings.index(node)
        assert shape.sibling(node, 1) == (siblings[place + 1] if place + 1 < len(siblings) else None)
        assert shape.sibling(node, -1) == (siblings[place - 1] if place else None)
        assert shape.is_leaf(node) == (not below(parents, node))
        assert shape.path(node) == [*([] if parent == ROOT else shape.path(parent)), node]
        assert shape.is_set_in(node) == (parent != ROOT)


@given(parent_lists())
def test_in_a_compact_shape_only_branches_are_indented(parents: list[int]) -> None:
    shape = build_shape(parents, compact=True)
    for node, parent in enumerate(parents):
        if parent == ROOT:
            assert shape.path(node) == [node]
        elif len(below(parents, parent)) == 1:
            assert shape.path(node) == shape.path(parent)
        else:
            assert shape.path(node) == [*shape.path(parent), node]
        assert shape.head(node) == shape.path(node)[-1]
        assert shape.is_set_in(node) == (len(shape.path(node)) > 1)


@given(parent_lists(), st.data())
def test_a_pruned_shape_equals_one_built_from_its_own_parents(parents: list[int], data: st.DataObject) -> None:
    kept = bytearray(len(parents))
    for chosen in data.draw(st.sets(st.sampled_from(range(len(parents))))) if parents else ():
        node = chosen
        while node != ROOT:
            kept[node] = 1
            node = parents[node]
    numbers = [node for node in range(len(parents)) if kept[node]]
    left = [ROOT if parents[node] == ROOT else numbers.index(parents[node]) for node in numbers]
    whole = build_shape(parents, compact=True)
    pruned, made = prune(whole, numbers), build_shape(left, compact=True)
    for column in ("parents", "ends", "inner"):
        assert [*getattr(pruned, column)] == [*getattr(made, column)]
    assert [pruned.path(node) for node in range(len(pruned))] == [made.path(node) for node in range(len(made))]


@given(parent_lists(), st.data())
def test_exactly_the_nodes_without_folded_ancestors_are_visible(parents: list[int], data: st.DataObject) -> None:
    shape = build_shape(parents)
    folding = Folding(shape)
    for _ in range(data.draw(st.integers(0, 12))):
        if not parents:
            break
        node = data.draw(st.integers(0, len(parents) - 1))
        data.draw(st.sampled_from([folding.fold, folding.unfold, folding.reveal]))(node)
        visible = []
        for other in range(len(parents)):
            above = parents[other]
            while above != ROOT and above not in folding.folded:
                above = parents[above]
            if above == ROOT:
                visible.append(other)
        assert list(folding.visible) == visible
        assert [folding.line_of(other) for other in visible] == list(range(len(visible)))
        hidden = set(range(len(parents))) - set(visible)
        for other in hidden:
            shown = visible[folding.line_of(other)]
            assert shown < other < shape.ends[shown]


def test_chains_are_straight_and_branches_are_indented() -> None:
    """The tree is the chain 0 - 1 - 2 with the branches 3 - 4, 5, and 6 - 7."""
    shape = build_shape([ROOT, 0, 1, 2, 3, 2, 2, 6], compact=True)
    folding = Folding(shape)
    assert [guide_text(folding, node, 40) for node in range(8)] == [
        "╭ ",
        "│ ",
        "│ ",
        "├─┬ ",
        "│ ╰ ",
        "├── ",
        "╰─┬ ",
        "  ╰ ",
    ]
    folding.fold(3)
    assert guide_text(folding, 3, 40) == "├─▸ "


def test_guides_that_do_not_fit_keep_the_innermost_levels() -> None:
    parents = [ROOT]
    for _ in range(30):
        parents += [len(parents) - 2 if len(parents) > 1 else 0] * 2
    shape = build_shape(sorted(parents), compact=True)
    deepest = max(range(len(parents)), key=lambda node: len(shape.path(node)))
    whole = guide_text(Folding(shape), deepest, 1000)
    text = guide_text(Folding(shape), deepest, 10)
    assert len(whole) > len(text) == 10
    assert text == "…" + whole[-9:]


def test_a_chain_of_a_hundred_thousand_needs_no_recursion() -> None:
    shape = build_shape([ROOT, *range(99_999)], compact=True)
    assert shape.path(99_999) == [0]
    assert [shape.head(node) for node in (50_000, 49_999, 0)] == [0, 0, 0]
    folding = Folding(shape)
    folding.fold(50_000)
    assert len(folding) == 50_001
    folding.reveal(99_999)
    assert len(folding) == 100_000
    assert guide_text(folding, 99_999, 20) == "╰ "


class Numbers(VirtualTree):
    """A tree that draws the keys of its nodes and counts the drawn lines."""

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        self.drawn = getattr(self, "drawn", 0) + 1
        return [Segment(f"{self.guides(node, 20)}{self._keys[node]}"[:width], base)]


class TreeApp(App[None]):
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, shape: TreeShape, keys: list[str]) -> None:
        super().__init__()
        self.shape, self.keys = shape, keys
        self.moves: list[int] = []
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield Numbers(id="tree")

    @property
    def tree_widget(self) -> Numbers:
        return self.query_one(Numbers)

    def on_mount(self) -> None:
        self.tree_widget.styles.height = "1fr"
        self.tree_widget.show_nodes(self.shape, self.keys)
        self.tree_widget.focus()

    def on_virtual_tree_cursor_moved(self, event: Numbers.CursorMoved) -> None:
        self.moves.append(event.node)

    def on_virtual_tree_chosen(self, event: Numbers.Chosen) -> None:
        self.chosen.append(event.node)


#           a          b
#          / \         |
#         aa  ab       ba
#         |
#        aaa
PARENTS = [ROOT, 0, 1, 0, ROOT, 4]
KEYS = ["a", "aa", "aaa", "ab", "b", "ba"]


def small() -> TreeApp:
    return TreeApp(build_shape(PARENTS), KEYS)


WAYS = [
    ("down down", "aaa"),
    ("j j k", "aa"),
    ("end", "ba"),
    ("G", "ba"),
    ("G g", "a"),
    ("end home", "a"),
    ("up", "a"),
    ("end down", "ba"),
    ("down down p", "aa"),
    ("down down shift+left", "aa"),
    ("shift+right", "aa"),
    ("down J", "ab"),
    ("down shift+down shift+up", "aa"),
    ("down J J", "ab"),
    ("shift+down", "b"),
    ("right", "aa"),
    ("l l l", "aaa"),
    ("down down left", "aa"),
    ("down down h h", "aa"),
    ("down down h h h", "a"),
    ("down left down", "ab"),
    ("pagedown", "ba"),
    ("pagedown pageup", "a"),
    ("down down minus", "a"),
    ("minus down", "b"),
    ("minus plus down", "aa"),
    ("enter down", "b"),
    ("enter enter down", "aa"),
]


async def test_keys() -> None:
    app = small()
    async with app.run_test() as pilot:
        for keys, where in WAYS:
            app.tree_widget.start_nodes(build_shape(PARENTS), KEYS)
            await pilot.press(*keys.split())
            assert app.tree_widget.cursor_key == where, keys


async def test_enter_on_a_leaf_chooses_it() -> None:
    app = small()
    async with app.run_test() as pilot:
        await pilot.press("end", "enter")
        await pilot.pause()
        assert app.chosen == [5]


async def test_the_mouse() -> None:
    app = small()
    async with app.run_test() as pilot:
        await pilot.click("#tree", offset=(12, 2))
        assert app.tree_widget.cursor_key == "aaa"
        await pilot.click("#tree", offset=(0, 0))
        await pilot.pause()
        assert [app.keys[node] for node in app.tree_widget.folding.visible] == ["a", "b", "ba"]
        await pilot.click("#tree", offset=(5, 0), times=2)
        await pilot.pause()
        assert len(app.tree_widget.folding) == 6
        await pilot.click("#tree", offset=(5, 20))
        await pilot.hover("#tree", offset=(5, 1))
        assert app.tree_widget.hover_line == 1


async def test_new_nodes_keep_the_cursor_and_the_folds() -> None:
    app = small()
    async with app.run_test() as pilot:
        await pilot.press("down", "left", "down")
        tree = app.tree_widget
        assert tree.cursor_key == "ab"
        tree.show_nodes(build_shape([ROOT, ROOT, 1, 2, 1]), ["new", "a", "aa", "aaa", "ab"])
        await pilot.pause()
        assert tree.cursor_key == "ab"
        assert [tree._keys[node] for node in tree.folding.visible] == ["new", "a", "aa", "ab"]


@pytest.mark.parametrize(
    ("keys", "left", "where"),
    [("down", ["a", "b"], "b"), ("end", ["a", "aa"], "aa"), ("end", [], None), ("", ["b", "ba"], "b")],
)
async def test_the_cursor_moves_to_the_nearest_line_if_its_node_is_gone(
    keys: str, left: list[str], where: str | None
) -> None:
    app = small()
    async with app.run_test() as pilot:
        await pilot.press(*keys.split())
        app.tree_widget.show_nodes(flat_shape(len(left)), left)
        await pilot.pause()
        assert app.tree_widget.cursor_key == where
        await pilot.press("down", "up", "left", "right", "enter", "minus", "plus", "J", "p")


async def test_only_the_visible_lines_are_drawn() -> None:
    count = 100_000
    app = TreeApp(build_shape([ROOT, *([0] * (count - 1))]), [str(number) for number in range(count)])
    async with app.run_test(size=(80, 24)) as pilot:
        tree = app.tree_widget
        await pilot.press("end")
        assert tree.cursor_key == str(count - 1)
        await pilot.pause()
        assert tree.drawn < 200
        before = tree.drawn
        await pilot.press("up")
        await pilot.pause()
        assert tree.drawn - before <= 4
        assert tree.scroll_offset.y == count - 24


async def test_the_scroll_position_stays_with_the_cursor() -> None:
    keys = [str(number) for number in range(1000)]
    app = TreeApp(flat_shape(1000), keys)
    async with app.run_test(size=(80, 24)) as pilot:
        tree = app.tree_widget
        tree.go_to(500)
        await pilot.pause()
        await pilot.press(*["up"] * 10)
        offset = tree.cursor_line - tree.scroll_offset.y
        tree.show_nodes(flat_shape(1100), [*(f"new{number}" for number in range(100)), *keys])
        await pilot.pause()
        assert tree.cursor_key == "490"
        assert tree.cursor_line - tree.scroll_offset.y == offset


async def test_each_move_of_the_cursor_posts_one_message() -> None:
    app = small()
    async with app.run_test() as pilot:
        await pilot.press("down", "down")
        await pilot.pause()
        assert app.moves[-2:] == [1, 2]
        count = len(app.moves)
        app.tree_widget.show_nodes(build_shape(PARENTS), KEYS)
        await pilot.pause()
        assert len(app.moves) == count
