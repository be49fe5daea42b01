"""Tests of the dialog for metadata, and of unsaved edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.screen import Screen
from textual.widgets import TextArea

from layerstore.model import Layer
from layerstore.store import LayerStore
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.flags import FlagsDialog
from layertui.dialogs.metadata import MetadataDialog, editable, restored
from layertui.dialogs.names import NamesDialog
from support.browser import Place, browsing
from support.dialog_host import HOSTILE, assert_harmless, play, screen_text, shown

LAYER = Layer(id="4f3a9b2c1d0e" + "1" * 52, names=("fedora:41",), flags={"a": 1})
JSON = '{"b":[1,2],"a":{"x":null}}'


def dialog(metadata: str) -> Callable[[], MetadataDialog]:
    return lambda: MetadataDialog(Layer(id=LAYER.id, metadata=metadata))


def editor(app: Any) -> TextArea:
    return app.screen.query_one("#text", TextArea)


async def test_the_text_is_saved_exactly_as_typed() -> None:
    async with shown(dialog("one\ntwo  \n")) as (app, pilot):
        assert "10 B" in screen_text(app)
        editor(app).move_cursor((1, 5))
        await pilot.press("x", "enter", "tilde")
        assert "edited" in screen_text(app)
        await pilot.press("ctrl+s")
        assert app.results == ["one\ntwo  x\n~\n"]


async def test_closing_without_edits_returns_nothing_and_asks_nothing() -> None:
    async with shown(dialog("one")) as (app, pilot):
        await pilot.press("ctrl+s")
        assert app.results == [None]
    async with shown(dialog("one")) as (app, pilot):
        await pilot.press("escape")
        assert app.results == [None]


async def test_json_is_shown_indented_and_saved_as_typed() -> None:
    async with shown(dialog(JSON)) as (app, pilot):
        assert "JSON" in screen_text(app)
        await pilot.press("ctrl+t")
        assert '"x": null' in screen_text(app)
        await pilot.press("z", "ctrl+s")
        assert app.results == [None], "the indented view is read-only"
    async with shown(dialog(JSON)) as (app, pilot):
        await pilot.press("ctrl+t", "ctrl+t")
        editor(app).move_cursor((0, len(JSON)))
        await pilot.press("space", "ctrl+s")
        assert app.results == [JSON + " "]


@pytest.mark.parametrize("text", ["", "plain", "12", '"word"', "{broken", "[" * 100_000])
async def test_text_that_is_not_json_has_no_indented_view(text: str) -> None:
    async with shown(dialog(text)) as (app, pilot):
        await pilot.press("ctrl+t")
        assert not app.screen.query_one("#indented").display
        assert not app.screen.query_one("#indent").display


@pytest.mark.parametrize("text", ["a\r\nb\x1b[31m\n\tc\x85d\u2028e\n", HOSTILE, "\udcff", "a\\x1b"])
async def test_unedited_lines_are_kept_byte_for_byte(text: str) -> None:
    assert restored(editable(text), text) == text
    async with shown(dialog("first\n" + text)) as (app, pilot):
        assert_harmless(app)
        await pilot.press("ctrl+home", "Z", "ctrl+s")
        assert app.results == ["Zfirst\n" + text]


async def test_control_characters_are_not_pasted() -> None:
    async with shown(dialog("")) as (app, pilot):
        editor(app).post_message(events.Paste("a\r\nb\x1b[31m\x9b\tc"))
        await pilot.pause()
        app.copy_to_clipboard("\x1b!")
        editor(app).action_paste()
        await pilot.press("ctrl+s")
        assert app.results == ["a\nb[31m\tc!"]


def _names() -> Screen[Any]:
    return NamesDialog(LAYER, {})


def _flags() -> Screen[Any]:
    return FlagsDialog(LAYER)


@pytest.mark.parametrize(("make", "edit"), [(_names, ["d"]), (_flags, ["d"]), (dialog("x"), ["y"])])
async def test_edits_are_not_discarded_without_confirmation(make: Callable[[], Screen[Any]], edit: list[str]) -> None:
    async with shown(make) as (app, pilot):
        await play(pilot, *edit, "escape")
        assert isinstance(app.screen, ConfirmDialog)
        await play(pilot, "escape")
        assert app.results == []
        await pilot.click("#cancel")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        await play(pilot, "y")
        assert app.results == [None]


async def test_metadata_is_written_to_the_store(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(store.get("tool").id)
        await browser.settle()
        await browser.press("t", *"hi", "ctrl+s")
        await browser.settle()
        assert store.metadata("tool") == "hi"
        assert browser.screen.browser.row is not None
        assert browser.screen.browser.row.layer.metadata == "hi"


async def test_quitting_asks_about_edits_too(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        await browser.press("t", "x")
        await browser.app.action_quit()
        await browser.settle()
        assert isinstance(browser.app.screen, ConfirmDialog)
        assert "not saved" in screen_text(browser.app)
        assert browser.app.is_running
