"""Comparing any two layers by marking them."""

from __future__ import annotations

from layerstore.store import LayerStore
from layertui.panels.changes import CHANGES
from support.browser import Browser, Place, browsing
from support.dialog_host import screen_text


async def _mark(browser: Browser, *ids: str) -> None:
    for layer_id in ids:
        browser.tree.go_to_key(layer_id)
        await browser.press("space")


async def test_two_marked_layers_are_compared_and_swapped(place: Place, store: LayerStore) -> None:
    app, tool = store.get("app").id, store.get("tool").id
    async with browsing(place.open) as browser:
        await _mark(browser, tool, app)
        await browser.press("equals_sign")
        await browser.until(lambda: "against" in screen_text(browser.app))
        first, second = browser.cursor, browser.screen.view[browser.tree.base].title
        assert {first, second} == {"app", "tool"}
        assert browser.screen.panel.id == CHANGES.id
        assert f"{first} against {second}" in screen_text(browser.app)
        await browser.press("X")
        await browser.until(lambda: f"{second} against {first}" in screen_text(browser.app))
        assert browser.cursor == second
        await browser.until(lambda: "main.py" in browser.text("ChangesTree"))
        await browser.press("equals_sign")
        assert browser.tree.base == "", "a second = ends the comparison"
        assert browser.screen.refusal("layer.swap")


async def test_a_descendant_is_shown_against_its_ancestor(place: Place, store: LayerStore) -> None:
    base, app = store.get("base").id, store.get("app").id
    async with browsing(place.open) as browser:
        await _mark(browser, app, base)
        await browser.press("equals_sign")
        assert (browser.cursor, browser.tree.base) == ("app", base)
        names = {change.path.rpartition("/")[2] for change in store.changes(app, base)}
        assert {"x", "main.py", "os-release"} <= names
        await browser.until(lambda: all(name in browser.text("ChangesTree") for name in names))
        assert "usr" not in browser.text("ChangesTree"), "both layers have it"


async def test_one_mark_or_three_do_not_change_the_key(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        await _mark(browser, store.get("tool").id)
        assert "exactly two" in browser.screen.refusal("layers.compare-marked")
        browser.tree.go_to_key(store.get("app").id)
        await browser.press("equals_sign")
        assert browser.tree.base == store.get("app").id
        await browser.press("equals_sign")
        assert browser.tree.base == ""
        await _mark(browser, store.get("lone").id, store.get("base").id)
        assert len(browser.tree.marks) == 3
        assert "exactly two" in browser.screen.refusal("layers.compare-marked")
        browser.tree.go_to_key(store.get("app").id)
        await browser.press("equals_sign")
        assert browser.tree.base == store.get("app").id


async def test_the_palette_compares_marked_layers(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        await _mark(browser, store.get("tool").id, store.get("lone").id)
        await browser.press("ctrl+p")
        await browser.type("compare the two")
        await browser.pilot.pause(0.5)
        await browser.press("enter", "enter")
        await browser.until(lambda: browser.screen.panel.id == CHANGES.id)
        await browser.until(lambda: "against" in screen_text(browser.app))
