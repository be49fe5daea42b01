"""Tests of the dialog for the names of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from layerstore.model import Layer
from layertui.dialogs.names import NamesDialog
from layertui.widgets.inputs import SafeInput
from support.dialog_host import HOSTILE, Host, assert_harmless, play, screen_text, shown, still, until

LAYER = Layer(id="4f3a9b2c1d0e" + "1" * 52, names=("fedora:41", "fedora:latest"))
OTHER = "9a8b7c6d5e4f" + "0" * 52


def dialog(*names: str) -> Callable[[], NamesDialog]:
    layer = Layer(id=LAYER.id, names=names) if names else LAYER
    return lambda: NamesDialog(layer, {"fedora:41": LAYER.id, "moving": OTHER})


async def test_a_name_is_added() -> None:
    async with shown(dialog()) as (app, pilot):
        await play(pilot, "a", "'new'", "enter", "ctrl+s")
        assert app.results == [("fedora:41", "fedora:latest", "new")]


async def test_saving_accepts_the_open_line() -> None:
    async with shown(dialog()) as (app, pilot):
        await play(pilot, "a", "'new'", "ctrl+s")
        assert app.results == [("fedora:41", "fedora:latest", "new")]


async def test_a_name_is_edited_in_place() -> None:
    async with shown(dialog()) as (app, pilot):
        await pilot.press("enter", "backspace", "2", "enter", "ctrl+s")
        assert app.results == [("fedora:42", "fedora:latest")]


@pytest.mark.parametrize("key", ["d", "delete"])
async def test_a_name_is_removed(key: str) -> None:
    async with shown(dialog()) as (app, pilot):
        await pilot.press("j", key, "ctrl+s")
        assert app.results == [("fedora:41",)]


async def test_all_names_can_be_removed() -> None:
    async with shown(dialog("only")) as (app, pilot):
        await pilot.press("d")
        assert "No names yet" in screen_text(app)
        await pilot.press("d", "e", "ctrl+s")
        assert app.results == [()]


async def test_saving_without_changes_returns_nothing() -> None:
    async with shown(dialog()) as (app, pilot):
        await pilot.press("e", "enter", "ctrl+s")
        assert app.results == [None]


async def test_escape_leaves_the_line_and_then_the_dialog() -> None:
    async with shown(dialog()) as (app, pilot):
        await play(pilot, "a", "'new'", "escape")
        assert not app.results
        assert "new" not in screen_text(app)
        await pilot.press("escape")
        assert app.results == [None]


@pytest.mark.parametrize(("typed", "problem"), [("", "Enter a name"), ("fedora:41", "The layer already has this name")])
async def test_invalid_names_are_refused_in_place(typed: str, problem: str) -> None:
    async with shown(dialog()) as (app, pilot):
        await play(pilot, "a", f"'{typed}'", "enter")
        await until(pilot, lambda: problem in screen_text(app))
        await pilot.press("ctrl+s")
        assert not app.results


async def test_a_name_of_another_layer_moves_with_a_warning() -> None:
    async with shown(dialog()) as (app, pilot):
        await play(pilot, "a", "'moving'", "enter")
        assert "moving  ← moves here from 9a8b7c6d5e4f" in screen_text(app)
        assert "! 1 name will be moved here from another layer." in screen_text(app)


async def test_a_hostile_name_is_kept_if_it_is_not_edited() -> None:
    async with shown(dialog(HOSTILE, "b")) as (app, pilot):
        assert_harmless(app)
        await pilot.press("enter", "enter", "down", "d", "ctrl+s")
        assert app.results == [(HOSTILE,)]


async def test_control_characters_cannot_be_pasted() -> None:
    async with shown(dialog()) as (app, pilot):
        await pilot.press("a")
        app.copy_to_clipboard("a\x1b[31mb\u202e\nsecond line")
        await pilot.press("ctrl+v")
        assert app.screen.query_one("#name", SafeInput).value == "a[31mb"


async def test_buttons_do_what_the_keys_do() -> None:
    async with shown(dialog()) as (app, pilot):
        await pilot.click("#add")
        await play(pilot, "'new'")
        await pilot.click("#save")
        assert app.results == [("fedora:41", "fedora:latest", "new")]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    names = ("registry.fedoraproject.org/fedora:41", "[b]not bold[/]\x1b[31m", "moving")

    async def before(pilot: Pilot) -> None:
        await play(pilot, "a", "'moving'")
        await still(pilot)

    assert snap_compare(Host(dialog(*names)), terminal_size=size, run_before=before)
