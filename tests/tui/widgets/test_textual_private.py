"""Tests that the private names of Textual which the browser uses still exist and take the same arguments."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.worker import WorkerFailed

import layertui
from layertui.widgets.line_view import LineView
from layertui.widgets.textual_private import CrashingApp


def test_a_scroll_view_can_update_its_scroll_bars() -> None:
    assert list(inspect.signature(ScrollView._scroll_update).parameters) == ["self", "virtual_size"]


class Lines(App[None]):
    def compose(self) -> ComposeResult:
        yield LineView()


async def test_the_scroll_bar_appears_and_disappears_with_the_number_of_lines() -> None:
    app = Lines()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LineView)
        for count, shown in ((5, False), (500, True), (5, False)):
            view.set_line_count(count)
            await pilot.pause()
            assert view.show_vertical_scrollbar is shown
            assert view.virtual_size.height == count


class Crashing(CrashingApp[None]):
    def crashed(self, error: Exception) -> str:
        return "it crashed"


async def test_a_palette_that_was_closed_before_its_worker_started_does_not_end_the_program() -> None:
    app = Crashing()

    async def run() -> None:
        async with app.run_test() as pilot:
            app._handle_exception(WorkerFailed(NoMatches("No nodes match 'CommandList' on CommandPalette()")))
            await pilot.pause()
            assert app.return_code is None
            app._handle_exception(WorkerFailed(NoMatches("No nodes match 'Static' on Screen()")))

    with pytest.raises(WorkerFailed, match="Static"):
        await run()
    assert app.return_code == 1


def test_private_names_of_textual_are_used_in_one_module_only() -> None:
    """Look for attributes that the classes of the browser do not define and that those of Textual do."""
    names = {name for cls in (ScrollView, Screen, App) for name in dir(cls)}
    private = {name for name in names if name.startswith("_") and not name.startswith("__")}
    sources = {path: ast.parse(path.read_text()) for path in Path(layertui.__file__).parent.rglob("*.py")}
    ours = {
        node.name
        for tree in sources.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    } | {
        node.attr
        for tree in sources.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    modules = {
        path.name
        for path, tree in sources.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in private - ours
    }
    assert modules == {"textual_private.py"}
