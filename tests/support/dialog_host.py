"""A small app that shows one dialog."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

HOSTILE = "[red]x[/] [/] \x1b[31m\x9b\u202e" + "\udcff" + "層" * 300
"""A name with markup, escape sequences, a byte that is not UTF-8, and too many wide characters."""


class Host(App[None]):
    """Pushes the dialog and collects its results."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, make: Callable[[], Screen[Any]]) -> None:
        super().__init__()
        self._make = make
        self.results: list[Any] = []

    def on_mount(self) -> None:
        self.push_screen(self._make(), self.results.append)


@asynccontextmanager
async def shown(make: Callable[[], Screen[Any]], size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Host, Pilot]]:
    """Run the app and show the dialog."""
    app = Host(make)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot


async def play(pilot: Pilot, *steps: str) -> None:
    """Press keys. A step in quotes is text, inserted at once into the focused field."""
    for step in steps:
        if step.startswith("'"):
            assert isinstance(pilot.app.focused, Input)
            pilot.app.focused.insert_text_at_cursor(step.strip("'"))
            await pilot.pause()
        else:
            await pilot.press(step)


async def until(pilot: Pilot, condition: Callable[[], bool]) -> None:
    """Run the app until the condition holds."""
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("the condition did not hold within 2 s")


def screen_text(app: App[Any]) -> str:
    """Return the text on the screen, one line per row."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def assert_harmless(app: App[Any]) -> None:
    """Assert that the screen holds nothing that a terminal would interpret, and that it can be drawn."""
    text = screen_text(app)
    assert all(char.isprintable() for line in text.split("\n") for char in line)
    text.encode()
    app.export_screenshot()


async def still(pilot: Pilot) -> None:
    """Stop the cursors from blinking, before a picture is taken."""
    await pilot.pause()
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    await pilot.pause()
