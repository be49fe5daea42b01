"""Short messages: their size and duration, and that none that matters is lost."""

from __future__ import annotations

import pytest

from layerstore.store import LayerStore
from support.browser import Browser, Place, browsing
from support.dialog_host import screen_text

LOW, HIGH = (80, 24), (120, 36)
COPIED = ("Copied path: /a", "Copied path: /b")


async def say(browser: Browser, *messages: str) -> str:
    """Show messages one after another, and return the text on the screen afterwards."""
    browser.screen.browser.say("It went wrong", "error")
    await browser.settle()
    for message in messages:
        browser.screen.browser.say(message)
        await browser.settle()
    return screen_text(browser.app)


async def test_on_a_low_screen_a_message_replaces_the_one_before(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, LOW) as browser:
        shown = await say(browser, *COPIED)
        assert COPIED[0] not in shown
        assert COPIED[1] in shown
        assert "It went wrong" in shown, "only informational messages are replaced"
        assert {toast.outer_size.height for toast in browser.screen.query("Toast") if toast.display} == {1}


async def test_copying_a_long_text_shows_a_one_line_message(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, LOW) as browser:
        await browser.press("y", "i")
        assert browser.app.clipboard == store.get("base").id
        assert "Copied ID: " in screen_text(browser.app)
        (toast,) = browser.screen.query("Toast")
        assert toast.outer_size.height == 1


async def test_on_a_high_screen_all_messages_stay(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, HIGH) as browser:
        shown = await say(browser, *COPIED)
        assert all(message in shown for message in (*COPIED, "It went wrong"))


@pytest.mark.parametrize("size", [LOW, HIGH])
async def test_only_confirmations_disappear_early(size: tuple[int, int], store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size) as browser:
        usual = browser.app.NOTIFICATION_TIMEOUT
        await say(browser, COPIED[0], "Still mounted: it takes a moment to read what this says")
        times = {toast.message: toast.timeout for toast in browser.app._notifications}
        assert times.pop(COPIED[0]) < usual
        assert set(times.values()) == {usual}
        assert len(times) == 2
