"""Tests of the help screen."""

from __future__ import annotations

from textual.content import Content

from layertui.dialogs.help import HelpScreen, help_lines
from support.dialog_host import play, screen_text, shown

SECTIONS = [
    ("Move", [("↑ ↓ j k", "Up and down", "Move the cursor", "tree.up"), ("g G", "First and last", "", "tree.first")]),
    (
        "Layers",
        [("m", "Mount", "The path is shown and copied", "layer.mount"), ("[", "Panel before", "[/] is not markup", "")],
    ),
    ("Many", [(f"f{number}", f"Action {number}", "", "") for number in range(30)]),
]
LEGEND = [
    (Content.styled("●2", "$text-success"), "mounted twice"),
    (Content.styled("!", "$text-warning"), "incomplete: the content is not all there"),
]


def dialog() -> HelpScreen:
    return HelpScreen(SECTIONS, LEGEND)


def plain(needle: str) -> list[str]:
    return [line.plain.strip() for line in help_lines(SECTIONS, LEGEND, needle)]


def test_columns_are_aligned() -> None:
    lines = [line.plain for line in help_lines(SECTIONS)]
    assert lines[0] == "Move"
    assert lines[1].index("Up") == lines[2].index("First")
    assert len(lines) == 2 + 2 + 30 + 3 + 2


def test_long_text_wraps_in_its_column() -> None:
    sections = [("Page", [("pagedown, ctrl+f", "Down", "Go one screen down, and no further than the end", "down")])]
    lines = [line.plain.rstrip() for line in help_lines(sections, [(LEGEND[1][0], "not all there " * 4)], width=44)]
    assert lines[1:4] == [
        "  pagedown,     Down  Go one screen down,",
        "  ctrl+f              and no further than",
        "                      the end",
    ]
    assert lines[6:8] == ["  !             not all there not all there", "                not all there not all there"]


def test_the_filter_searches_keys_actions_descriptions_and_titles() -> None:
    assert plain("COPIED")[0] == "Layers"
    assert len(plain("layers")) == 3
    assert plain("incomplete") == ["Symbols", "!  incomplete: the content is not all there"]
    assert plain("no such thing") == ["Nothing matches."]


def test_actions_without_a_key_can_be_the_only_matches() -> None:
    lines = help_lines(
        [*SECTIONS, ("In the palette", [("", "Clear stale", "Forget mounts", "layers.clear-stale")])], (), "stale"
    )
    assert [line.plain.split() for line in lines] == [["In", "the", "palette"], ["Clear", "stale", "Forget", "mounts"]]


async def test_i_shows_ids_instead_of_descriptions_and_they_can_be_searched() -> None:
    async with shown(dialog) as (app, pilot):
        assert "layer.mount" not in screen_text(app)
        await pilot.press("i")
        assert "layer.mount" in screen_text(app)
        assert "shown and copied" not in screen_text(app)
        await pilot.press("i")
        assert "shown and copied" in screen_text(app)
    assert plain("layer.mount")[1].startswith("m ")


async def test_it_scrolls_and_closes() -> None:
    async with shown(dialog) as (app, pilot):
        assert "not markup" in screen_text(app)
        assert "incomplete" not in screen_text(app)
        await pilot.press("G")
        assert "incomplete: the content is not all there" in screen_text(app)
        await pilot.press("g")
        assert "Move the cursor" in screen_text(app)
        await pilot.press("q")
        assert app.results == [None]


async def test_it_filters_while_typing() -> None:
    async with shown(dialog) as (app, pilot):
        await play(pilot, "slash", "'path'")
        assert "Mount" in screen_text(app)
        assert "Action 1" not in screen_text(app)
        await pilot.press("escape")
        assert not app.results
        assert "Move the cursor" in screen_text(app)
        await pilot.press("question_mark")
        assert app.results == [None]
