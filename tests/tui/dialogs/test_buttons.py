"""Tests that the background of a button shows the focus, also with 16 colours and without colour."""

from __future__ import annotations

from typing import Any

import pytest
from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip
from textual.widgets import Button

from layertui.dialogs.confirm import ConfirmDialog
from layertui.theme import CONTRAST, THEMES
from support.dialog_host import HOSTILE, Host, assert_harmless, screen_text, shown


class Themed(Host):
    """A host for a dialog in one of the themes of layertui."""

    def __init__(self, theme: str, *, danger: bool) -> None:
        super().__init__(lambda: ConfirmDialog("Go on?", "Really", confirm_label="Start", danger=danger))
        for known in THEMES:
            self.register_theme(known)
        self.theme = theme


def styles_of(app: Host, selector: str) -> set[tuple[Any, Any, bool]]:
    """Return the background, the colour and the reverse attribute of all cells of a button."""
    region = app.screen.query_one(selector, Button).region
    line: Strip = app.screen._compositor.render_strips()[region.y].crop(region.x, region.right)
    styles = [segment.style or Style() for segment in line for _ in segment.text]
    assert len(styles) == region.width >= 10
    return {(style.bgcolor, style.color, bool(style.reverse)) for style in styles}


@pytest.mark.parametrize("danger", [False, True])
@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_a_button_has_one_background_and_the_focused_one_another(theme: str, danger: bool) -> None:
    app = Themed(theme, danger=danger)
    async with app.run_test(size=(80, 24)) as pilot:
        for focused, other in (("#confirm", "#cancel"), ("#cancel", "#confirm")):
            app.screen.query_one(focused).focus()
            await pilot.pause()
            backgrounds = []
            for selector in (focused, other):
                styles = styles_of(app, selector)
                assert len({background for background, _, _ in styles}) == 1
                assert not any(reverse for _, _, reverse in styles)
                background = next(iter(styles))[0]
                backgrounds.append(background.downgrade(ColorSystem.STANDARD) if theme == CONTRAST.name else background)
            assert backgrounds[0] != backgrounds[1]


async def test_without_colour_the_focused_button_is_light_and_the_others_are_dark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Themed("layertui-dark", danger=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.focused is app.screen.query_one("#confirm")
        greys = {}
        for selector in ("#confirm", "#cancel"):
            (background,) = {background for background, _, _ in styles_of(app, selector)}
            greys[selector] = sum(background.get_truecolor()) / 3
        assert greys["#confirm"] > 2 * greys["#cancel"]


@pytest.mark.parametrize(
    ("words", "hints"),
    [(("Discard", "Keep editing"), "esc Keep editing  y Discard"), (("OK", HOSTILE[:20]), "esc [red]x")],
)
async def test_the_footer_uses_the_labels_of_the_buttons(words: tuple[str, str], hints: str) -> None:
    async with shown(lambda: ConfirmDialog("Go on?", "Really", confirm_label=words[0], cancel_label=words[1])) as (
        app,
        _,
    ):
        assert hints in screen_text(app)
        assert_harmless(app)
