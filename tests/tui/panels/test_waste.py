"""The Waste panel: the totals, the tables by path and by layer, the job and the cache."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from textual.widgets import Static

from layerstore import LayerStore, NotSupported
from layerstore.content.waste import Copy, LayerWaste, WasteEntry, WasteReport
from layerstore.model import ChangeKind
from layertui.panels.waste.model import by_layer, by_path
from layertui.panels.waste.panel import WastePanel
from layertui.panels.waste.tree import WasteTree, efficiency_text
from support.browser import Browser, Place, browsing
from support.tars import make_tar

REPORT = WasteReport(
    1000,
    300,
    (
        WasteEntry("/a", 200, (Copy("1", ChangeKind.ADD, 200), Copy("2", ChangeKind.MODIFY, 10))),
        WasteEntry("/b", 100, (Copy("1", ChangeKind.ADD, 100), Copy("2", ChangeKind.DELETE))),
    ),
    (LayerWaste("1", 900, 300, 0), LayerWaste("2", 100, 0, 300)),
)


def test_the_table_of_paths_lists_the_copies_below_each_path() -> None:
    table = by_path(REPORT)
    assert [type(row).__name__ for row in table.rows] == ["WasteEntry", "Copy", "Copy"] * 2
    assert list(table.folded()) == [0, 3]
    assert len(set(table.keys)) == 6


def test_the_table_of_layers_begins_at_the_top() -> None:
    assert [row.layer for row in by_layer(REPORT).rows if isinstance(row, LayerWaste)] == ["2", "1"]


def test_only_a_chain_without_waste_is_100_percent_efficient() -> None:
    assert efficiency_text(REPORT) == "70.0%"
    assert efficiency_text(WasteReport(10**9, 1, (), ())) == "99.9%"
    assert efficiency_text(WasteReport(0, 0, (), ())) == "100.0%"


def note(browser: Browser) -> str:
    widget = browser.screen.query_one("#waste-note", Static)
    return str(widget.render()) if widget.display else ""


async def to_waste(browser: Browser, title: str) -> None:
    browser.tree.go_to_key(browser.screen.store.lookup(title))
    await browser.settle()
    await browser.press("5")
    await browser.until(lambda: "Looking" not in note(browser))


async def test_the_waste_of_a_chain(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_waste(browser, "tool")
        summary = browser.text("WasteSummary")
        assert "5.0 kB wasted of 25.3 kB" in summary
        assert "80.2%" in summary
        assert "never visible" in summary
        assert "5.0 kB       1 ▸ /usr/bin/sh" in browser.text("#waste-tree")
        await browser.press("5", "enter")
        shown = browser.text("#waste-tree")
        assert "A added" in shown
        assert "D deleted" in shown
        assert "base" in shown
        await browser.press("y")
        assert browser.app.clipboard == "/usr/bin/sh"
        await browser.press("j", "enter")
        assert browser.cursor == "base"
        assert browser.tree.has_focus


async def test_a_chain_without_waste_says_so(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_waste(browser, "middle")
        assert "Nothing is wasted" in note(browser)
        assert "100% efficient" in note(browser)


async def test_without_waste_the_keys_of_lines_are_not_offered(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_waste(browser, "tool")
        await browser.press("5")
        assert "Layers" in browser.text("KeyBar")
        assert "Copy path" in browser.text("KeyBar")
        await browser.press("escape")
        await to_waste(browser, "middle")
        await browser.press("5", "y", "enter")
        assert browser.screen.query_one(WasteTree).has_focus
        assert "Layers" not in browser.text("KeyBar")
        assert "Copy" not in browser.text("KeyBar")
        assert not browser.app.clipboard, "the lines of the layer before are gone"
        assert browser.cursor == "middle"


async def test_totals_by_layer(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_waste(browser, "tool")
        await browser.press("5", "o")
        lines = [line.split() for line in browser.lines("#waste-tree") if line.strip()]
        assert lines == [
            ["0", "B", "20.0", "kB", "5.0", "kB", "tool"],
            ["0", "B", "300", "B", "0", "B", "middle"],
            ["5.0", "kB", "5.0", "kB", "0", "B", "base"],
        ]
        await browser.press("j", "enter")
        assert browser.cursor == "middle"


async def test_a_report_is_cached_until_a_reload(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    whole = LayerStore.waste

    def counted(self: LayerStore, ref: str, **options: Any) -> WasteReport:
        asked.append(ref)
        return whole(self, ref, **options)

    monkeypatch.setattr(LayerStore, "waste", counted)
    tool, app = store.lookup("tool"), store.lookup("app")
    async with browsing(place.open) as browser:
        assert asked == []
        await to_waste(browser, "tool")
        await to_waste(browser, "app")
        await to_waste(browser, "tool")
        store.create(names=["another"])
        await browser.until(lambda: len(browser.titles) == 6)
        await browser.settle()
        assert asked == [tool, app]
        await browser.press("R")
        await browser.until(lambda: asked == [tool, app, tool])


async def test_a_layer_without_a_digest_is_computed_again_when_the_store_changes(
    store: LayerStore, place: Place
) -> None:
    rw = store.create(parent=store.lookup("tool"), names=["rw"])
    async with browsing(place.open) as browser:
        await to_waste(browser, "rw")
        assert "/usr/bin/tool" not in browser.text("#waste-tree")
        (next(iter(store.paths(rw.id).values())) / "usr/bin/tool").write_text("new")
        store.create(names=["another"])
        await browser.until(lambda: "/usr/bin/tool" in browser.text("#waste-tree"))


async def test_reload_keeps_the_table_and_the_cursor(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await to_waste(browser, "tool")
        await browser.press("5", "enter", "G")
        panel = browser.screen.query_one(WastePanel)
        tree = browser.screen.query_one(WasteTree)
        before, cursor = browser.text("#waste-tree"), tree.cursor_key
        assert tree.cursor_line
        notes: list[str] = []
        panel.show_note = notes.append  # type: ignore[method-assign]
        await browser.press("R")
        assert (browser.text("#waste-tree"), tree.cursor_key) == (before, cursor)
        assert notes == []


async def test_computing_can_be_stopped(store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LayerStore.waste
    slow = threading.Event()

    def hang(self: LayerStore, ref: str, *, progress: Any, should_stop: Any) -> WasteReport:
        while not should_stop() and not slow.is_set():
            progress(123_000_000, None)
            slow.wait(0.02)
        return whole(self, ref, progress=progress, should_stop=should_stop)

    monkeypatch.setattr(LayerStore, "waste", hang)
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(store.lookup("tool"))
        await browser.settle()
        await browser.pilot.press("5")
        await browser.until(lambda: "123.0 MB so far" in note(browser))
        await browser.until(lambda: "Cancel" in browser.text("KeyBar"))
        await browser.pilot.press("ctrl+x")
        await browser.until(lambda: "Stopped" in note(browser))
        slow.set()
        await browser.press("R")
        await browser.until(lambda: "/usr/bin/sh" in browser.text("#waste-tree"))


async def test_moving_to_another_layer_stops_computing(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    whole = LayerStore.waste
    tool = store.lookup("tool")

    def hang(self: LayerStore, ref: str, *, progress: Any, should_stop: Any) -> WasteReport:
        if ref == tool:
            while not should_stop():
                threading.Event().wait(0.02)
            stopped.set()
        return whole(self, ref, progress=progress, should_stop=should_stop)

    monkeypatch.setattr(LayerStore, "waste", hang)
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(tool)
        await browser.settle()
        await browser.pilot.press("5")
        await browser.until(lambda: "Looking" in note(browser))
        browser.tree.go_to_key(store.lookup("app"))
        await browser.until(stopped.is_set)
        await browser.until(lambda: "/etc/os-release" in browser.text("#waste-tree"))


async def test_an_error_is_explained(store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: LayerStore, ref: str, **options: Any) -> WasteReport:
        raise NotSupported("a composefs image \x1b")

    monkeypatch.setattr(LayerStore, "waste", refuse)
    async with browsing(place.open) as browser:
        await to_waste(browser, "tool")
        assert note(browser) == "The waste cannot be computed: a composefs image \\x1b"
        assert len(browser.app.screen_stack) == 2


async def test_hostile_paths(store: LayerStore, place: Place) -> None:
    name = "\x1b[31m[red]\n\udcff"
    base, _ = store.put(make_tar({name: b"x" * 50}), names=["evil"])
    store.put(make_tar({name: b"y"}), names=["top"], parent=base.id)
    async with browsing(place.open) as browser:
        await to_waste(browser, "top")
        assert "/\\x1b[31m[red]\\n\\xff" in browser.text("#waste-tree")
        await browser.press("5", "y")
        assert browser.screen.query_one(WasteTree).path == f"/{name}"


async def test_a_low_panel_leaves_the_explanation_out(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(80, 24)) as browser:
        await to_waste(browser, "tool")
        assert "never visible" not in browser.text("WasteSummary")
        assert browser.screen.query_one(WastePanel).size.height < 9
        assert "80.2%" in browser.text("WasteSummary")
        assert "/usr/bin/sh" in browser.text("#waste-tree")
