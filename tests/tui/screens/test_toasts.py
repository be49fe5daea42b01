"""Short messages: how much room and time they take, and that none which matters is lost."""

from __future__ import annotations

import pytest

from layerstore.store import LayerStore
from support.browser import Browser, Place, browsing
from support.dialog_host import screen_text

LOW, HIGH = (80, 24), (120, 36)
COPIED = ("Copied path: /a", "Copied path: /b")


async def say(browser: Browser, *messages: str) -> str:
    """Show messages one after another; return what is on the screen then."""
    browser.screen.browser.say("It went wrong", "error")
    await browser.settle()
    for message in messages:
        browser.screen.browser.say(message)
        await browser.settle()
    return screen_text(browser.app)


async def test_where_lines_are_few_a_message_takes_the_place_of_the_one_before(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, LOW) as browser:
        shown = await say(browser, *COPIED)
        assert COPIED[0] not in shown
        assert COPIED[1] in shown
        assert "It went wrong" in shown, "only what informs gives way"
        assert {toast.outer_size.height for toast in browser.screen.query("Toast") if toast.display} == {1}


async def test_a_long_text_that_was_copied_takes_one_line(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, LOW) as browser:
        await browser.press("y", "i")
        assert browser.app.clipboard == store.get("base").id
        assert "Copied ID: " in screen_text(browser.app)
        (toast,) = browser.screen.query("Toast")
        assert toast.outer_size.height == 1


async def test_where_there_is_room_messages_stand_side_by_side(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, HIGH) as browser:
        shown = await say(browser, *COPIED)
        assert all(message in shown for message in (*COPIED, "It went wrong"))


@pytest.mark.parametrize("size", [LOW, HIGH])
async def test_only_what_merely_confirms_goes_early(size: tuple[int, int], store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size) as browser:
        usual = browser.app.NOTIFICATION_TIMEOUT
        await say(browser, COPIED[0], "Still mounted: it takes a moment to read what this says")
        times = {toast.message: toast.timeout for toast in browser.app._notifications}
        assert times.pop(COPIED[0]) < usual
        assert set(times.values()) == {usual}
        assert len(times) == 2
