"""Tests of the dialog for the flags of a layer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from layerstore.model import Layer
from layertui.dialogs.flags import FlagChanges, FlagsDialog, changes_between, json_text, parse_value
from layertui.text.safe import safe
from support.dialog_host import HOSTILE, Host, assert_harmless, play, screen_text, shown, still, until

FLAGS = {"diff-compression": 2, "note": "a\x1b[31m", "deep": {"list": [1, None, "層"]}}


def dialog(flags: dict[str, Any] | None = None) -> FlagsDialog:
    return FlagsDialog(Layer(id="4f3a9b2c1d0e" + "1" * 52, flags=FLAGS if flags is None else flags))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_displayed_values_parse_to_the_same_value(value: object) -> None:
    text = json_text(value)
    assert all(safe(char) == char for char in text)
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("42", 42), ("word", "word"), ('"42"', "42"), (" two words ", "two words"), ("NaN", "NaN")],
)
def test_values_are_json_or_words(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["", '{"a":', "[1,", '"open', r'"\ud800"', "[" * 100_000, "[NaN]"])
def test_invalid_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_value(text)


def test_true_is_not_one() -> None:
    assert changes_between({"a": 1, "b": 2}, {"a": True}) == FlagChanges({"a": True}, ("b",))
    assert changes_between({"a": 1}, {"a": 1}) == FlagChanges({})


async def test_a_flag_is_added() -> None:
    async with shown(dialog) as (app, pilot):
        await play(pilot, "a", "'new'", "tab", "'[1]'", "enter")
        assert "* new = [1]" in screen_text(app)
        assert "Saving sets new." in screen_text(app)
        await pilot.press("ctrl+s")
        assert app.results == [FlagChanges({"new": [1]})]


async def test_a_value_is_edited_but_not_its_name() -> None:
    async with shown(dialog) as (app, pilot):
        await pilot.press("e")
        assert app.screen.query_one("#name").disabled
        await pilot.press("0", "ctrl+s")
        assert app.results == [FlagChanges({"diff-compression": 20})]


async def test_a_flag_is_cleared() -> None:
    async with shown(dialog) as (app, pilot):
        await pilot.press("down", "d", "ctrl+s")
        assert app.results == [FlagChanges({}, ("note",))]


async def test_opening_and_closing_a_line_changes_nothing() -> None:
    async with shown(dialog) as (app, pilot):
        await pilot.press("enter", "enter", "down", "enter", "enter", "ctrl+s")
        assert app.results == [None]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (["enter"], "Enter a name"),
        (["'note'", "enter"], "This flag already exists; edit it instead"),
        (["'new'", "enter"], "Enter a value"),
        (["'new'", "tab", "'[1'"], "Invalid JSON at character 3"),
    ],
)
async def test_problems_are_shown_in_place(keys: list[str], problem: str) -> None:
    async with shown(dialog) as (app, pilot):
        await play(pilot, "a", *keys)
        await until(pilot, lambda: f"✗ {problem}" in screen_text(app))
        await pilot.press("ctrl+s")
        assert not app.results


async def test_incomplete_warns_and_asks() -> None:
    async with shown(dialog) as (app, pilot):
        await play(pilot, "a", "'incomplete'", "tab", "'true'", "enter")
        assert "! Podman and layertui delete layers" in screen_text(app)
        await pilot.press("ctrl+s", "enter")
        assert not app.results
        await pilot.press("ctrl+s", "y")
        await pilot.pause()
        assert app.results == [FlagChanges({"incomplete": True})]


async def test_a_layer_that_is_already_incomplete_needs_no_confirmation() -> None:
    async with shown(lambda: dialog({"incomplete": True})) as (app, pilot):
        assert "! Podman" in screen_text(app)
        await pilot.press("a", "x", "tab", "1", "ctrl+s")
        assert app.results == [FlagChanges({"x": 1})]


async def test_hostile_flags_are_escaped_and_kept() -> None:
    async with shown(lambda: dialog({HOSTILE: [HOSTILE]})) as (app, pilot):
        assert_harmless(app)
        await pilot.press("e")
        assert_harmless(app)
        await pilot.press("enter", "ctrl+s")
        assert app.results == [None]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot) -> None:
        await play(pilot, "a", "'incomplete'", "tab", "'true'", "enter", "up", "d", "e")
        await still(pilot)

    assert snap_compare(Host(dialog), terminal_size=size, run_before=before)
