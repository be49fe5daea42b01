"""Actions: what is released of them stays, and each is refused for its own reasons."""

from __future__ import annotations

from typing import Any

import pytest

from layerstore import LayerStore
from layertui.keys.actions import Action, Need
from layertui.keys.keymap import all_actions, all_bindings
from support.browser import Place, browsing

RELEASED = {
    "layers": "mark filter order unmount-marked back compare-marked clear-stale",
    "tree": "up down page-up page-down first last out in toggle parent child previous-sibling next-sibling fold-all "
    "unfold-all",
    "layer": "mount unmount export delete shell create apply names flags metadata copy compare-from swap unmount-all",
    "panel": "summary changes files lineage waste json next previous",
    "store": "check reload",
    "pane": "next previous zoom",
    "jobs": "cancel",
    "app": "help quit quit-too palette theme screenshot driver notice",
    "fields": "up down page-up page-down first last copy",
    "changes": "toggle added modified deleted",
    "files": "open toggle extract where copy",
    "preview": "up down page-up page-down first last left right bytes extract copy back",
    "lineage": "choose toggle",
    "waste": "open toggle copy",
    "json": "fold toggle copy",
    "findings": "mark open",
    "check": "cancel plan deep again next-pane previous-pane close",
    "filter": "leave clear",
}
"""The IDs of the actions in each release, which users' settings name: none may disappear."""


def test_every_released_id_still_exists() -> None:
    released = {f"{group}.{name}" for group, names in RELEASED.items() for name in names.split()}
    assert len(released) == 105
    assert released - all_actions().keys() == set()


def test_the_binding_of_an_action_runs_it_on_the_screen_or_on_the_widget() -> None:
    for action in all_actions().values():
        run = all_bindings()[action.id].action
        assert run == (action.run if isinstance(action.run, str) else f"screen.perform('{action.id}')")


def test_an_action_that_needs_a_writable_store_says_what_it_cannot_do() -> None:
    for action in all_actions().values():
        assert bool(action.verb) is (Need.WRITABLE in action.needs), action.id


@pytest.mark.parametrize("read_only", [False, True])
async def test_an_action_is_refused_for_what_it_needs_before_its_own_reasons(
    read_only: bool, store: LayerStore, place: Place
) -> None:
    asked: list[str] = []

    def refusal(browser: Any) -> str:
        asked.append("asked")
        return "{layer.mount} comes first"

    async with browsing(lambda: place.open(read_only=read_only)) as browser:

        def refused(needs: Need) -> str:
            action: Action[Any] = Action("x.y", "", "X", "Do X", asked.append, needs, refusal, verb="do x")
            return browser.screen.browser.refusal(action)

        assert refused(Need.NOTHING) == "m comes first"
        assert refused(Need.LAYER | Need.ROWS) == "m comes first"
        asked.clear()
        assert refused(Need.MARKS) == "No layer is marked: space marks one"
        assert asked == []
        writable = refused(Need.LAYER | Need.WRITABLE)
        assert writable == ("The store is open read-only: cannot do x" if read_only else "m comes first")
        await browser.press("slash", "z", "z", "z", "enter")
        assert refused(Need.ROWS) == "The list is empty"
        assert refused(Need.LAYER) == "There is no layer here"


async def test_a_refused_action_does_not_run(store: LayerStore, place: Place) -> None:
    ran: list[object] = []
    async with browsing(place.open) as browser:
        for reason in ("because", ""):
            action: Action[Any] = Action("x.y", "", "X", "Do X", ran.append, refusal=lambda _, reason=reason: reason)
            browser.screen.browser.perform(action)
            assert len(ran) == (not reason)
        await browser.settle()
        assert any("because" in toast.message for toast in browser.app._notifications)
