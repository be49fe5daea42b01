"""Type-ahead: keys take effect in order, and never reach the widget that had the focus before."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from layerstore import LayerStore
from layerstore.content.files import LayerFiles
from layertui.app import LayertuiApp
from layertui.dialogs.delete import DeleteDialog
from layertui.dialogs.extract import ExtractDialog
from layertui.dialogs.help import HelpScreen
from layertui.panels.changes import jobs
from layertui.panels.changes.model import ChangeTree
from layertui.panels.changes.tree import ChangesTree
from layertui.panels.files.panel import FilesPanel
from layertui.panels.files.tree import FilesTree
from layertui.panels.files.view import FilesView
from layertui.screens.main.screen import LayersScreen
from layertui.screens.opening import OpeningScreen
from layertui.widgets.filter_bar import FilterBar
from support.browser import NOW, Browser, Place, browsing, wait_for
from support.liveterm import LiveBrowser
from support.tars import make_tar

_WRITE_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def burst(app: LayertuiApp, *keys: str) -> None:
    """Put keys into the queue of the app at once, as if the terminal sent them in one piece."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def filter_text(browser: Browser) -> str:
    return browser.screen.query_one("#layers-filter", FilterBar).text


# In a real terminal


@pytest.fixture
def environ(tmp_path: Path, own_home: Path) -> dict[str, str]:
    """Create a store with three layers, and return an environment that selects it."""
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    for name in ("web", "database", "cache"):
        store.put(make_tar({name: b"x"}), id=name, names=[f"{name}-layer"])
    config = tmp_path / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path / "g"}"\nrunroot = "{tmp_path / "r"}"\n', encoding="utf-8"
    )
    return {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Callable[[], LiveBrowser]]:
    started: list[LiveBrowser] = []

    def run() -> LiveBrowser:
        started.append(LiveBrowser(environ))
        return started[-1]

    yield run
    for browser in started:
        browser.close()


def test_a_filter_that_arrives_in_one_piece_is_a_filter(start: Callable[[], LiveBrowser]) -> None:
    browser = start()
    browser.wait_for("web-layer", "following")
    for text in ("/web", "/dumnq", "/size:>1kB"):
        browser.press(text)
        browser.wait_for(f"│ {text[0]} {text[1:]} ")
        browser.press("\x1b")
        browser.wait_gone(f"│ {text[0]} {text[1:]} ")
    assert browser.quit() == 0


def test_keys_after_a_filter_act_on_the_match(start: Callable[[], LiveBrowser]) -> None:
    browser = start()
    browser.wait_for("web-layer", "following")
    browser.press("/database\rr")
    browser.wait_for("Names of database")


def test_keys_before_the_first_frame_wait_for_the_layers(start: Callable[[], LiveBrowser]) -> None:
    browser = start()
    browser.press("/web")
    browser.wait_for("│ / web ", "1 of 3", seconds=20)


def test_keys_wait_for_a_locked_store_and_its_holder_is_named(start: Callable[[], LiveBrowser], tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "g" / "vfs-layers" / "layers.lock", os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WRITE_LOCK)
        browser = start()
        browser.wait_for("Opening the store", seconds=20)
        browser.press("/dq")
        browser.wait_for(f"(PID {os.getpid()}) has the store locked (vfs-layers/layers.lock)", seconds=8)
    finally:
        os.close(descriptor)
    browser.wait_for("│ / dq ", "0 of 3")


def test_quitting_works_while_the_store_is_locked(start: Callable[[], LiveBrowser], tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "g" / "vfs-layers" / "layers.lock", os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WRITE_LOCK)
        browser = start()
        browser.wait_for("Opening the store", seconds=20)
        browser.press("/web")
        browser.wait_for("has the store locked", seconds=8)
        assert browser.quit() == 0
    finally:
        os.close(descriptor)


# Keys that open something


@pytest.mark.parametrize("panel", ["2", "3"])
async def test_the_filters_of_the_panels(store: LayerStore, place: Place, panel: str) -> None:
    async with browsing(place.open) as browser:
        await browser.press(panel, "tab")
        marks = len(browser.tree.marks)
        burst(browser.app, "slash", *"dAxmq")
        await browser.settle()
        assert isinstance(browser.screen, LayersScreen)
        bar = browser.screen.query_one("#changes-filter" if panel == "2" else "#files-filter", FilterBar)
        assert bar.text == "dAxmq"
        assert len(browser.tree.marks) == marks


@pytest.mark.parametrize("key", ["e", "a"])
async def test_the_path_of_a_dialog_gets_every_letter(store: LayerStore, place: Place, key: str) -> None:
    async with browsing(place.open) as browser:
        burst(browser.app, key, *"dmq")
        await browser.settle()
        field = browser.app.screen.focused
        assert isinstance(field, Input)
        assert field.value.endswith("dmq")


@pytest.mark.parametrize("key", ["d", "r", "f", "n", "s", "t", "y", "question_mark", "c"])
async def test_keys_after_one_that_opens_a_screen_do_not_reach_the_list(
    store: LayerStore, place: Place, key: str
) -> None:
    async with browsing(place.open) as browser:
        screens = len(browser.app.screen_stack)
        order, panel = browser.screen.order, browser.screen.panel.id
        burst(browser.app, key, "o", "m", "4")
        await browser.settle()
        assert len(browser.app.screen_stack) == screens + 1
        assert (browser.screen.order, browser.screen.panel.id) == (order, panel)
        assert not any(row.mounted for row in browser.screen.view.rows)


async def test_the_filter_of_the_help(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        burst(browser.app, "question_mark", "slash", *"qimo")
        await browser.settle()
        assert isinstance(browser.app.screen, HelpScreen)
        assert browser.app.screen.query_one("#needle", Input).value == "qimo"


async def test_the_palette(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        burst(browser.app, "ctrl+p", *"mq")
        await browser.settle()
        field = browser.app.screen.focused
        assert isinstance(field, Input)
        assert field.value == "mq"


async def test_keys_after_a_filter_wait_for_its_rows(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        name = browser.screen.view.rows[-1].id
        burst(browser.app, "slash", *name, "enter", "d")
        await browser.until(lambda: isinstance(browser.app.screen, DeleteDialog))
        assert browser.tree.cursor_key == name
        assert filter_text(browser) == name


async def test_keys_after_the_filter_of_changes_wait_for_its_rows(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = jobs.filter_changes

    def slowly(*arguments: Any, **options: Any) -> ChangeTree:
        time.sleep(0.3)
        return whole(*arguments, **options)

    monkeypatch.setattr(jobs, "filter_changes", slowly)
    layer = store.put(make_tar({"etc/a": b"x", "etc/b": b"x", "usr/bin/tool": b"x", "usr/lib/a": b"x"}))[0].id
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(layer)
        burst(browser.app, "2", "tab", "slash", *"bin", "enter", "down", "down")
        tree = browser.screen.query_one(ChangesTree)
        await browser.until(lambda: tree.cursor_key == "/usr/bin/tool")
        assert tree.tree_shown is not None
        assert tree.tree_shown.filter.text == "bin"


async def test_keys_after_a_search_for_files_wait_for_its_matches(store: LayerStore, place: Place) -> None:
    layer = store.put(make_tar({"a": b"x", "b": b"x", "deep/in/it/tool": b"x", "deep/in/it/tool-2": b"x"}))[0].id
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(layer)
        burst(browser.app, "3", "tab", "slash", *"tool", "enter", "end", "enter", "escape", "x")
        await browser.until(lambda: isinstance(browser.app.screen, ExtractDialog))
        assert browser.screen.query_one(FilesView).preview_path == "/deep/in/it/tool-2"


@pytest.mark.parametrize(("later", "last"), [("q", ["escape"]), (["escape"], "")])
async def test_keys_that_end_a_long_search_overtake_waiting_keys(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch, later: Sequence[str], last: Sequence[str]
) -> None:
    whole = LayerFiles.walk

    def endless(self: LayerFiles, path: str = "/", **options: Any) -> Iterator[Any]:
        while True:
            yield from whole(self, path, **options)

    async with browsing(place.open) as browser:
        await browser.press("3", "tab")
        monkeypatch.setattr(LayerFiles, "walk", endless)
        burst(browser.app, "slash", *"qqq", "enter", "c", "z", *later)
        await browser.until(lambda: browser.screen.query_one(FilesPanel).running is not None)
        await asyncio.sleep(1.2)
        burst(browser.app, *last)
        await browser.until(lambda: not browser.screen.query_one("#files-filter", FilterBar).text)
        await browser.settle()
        assert browser.app.screen is browser.screen
        assert not browser.screen.query(".-zoom")


async def test_pasted_text_stays_in_order(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        burst(browser.app, "slash", "a")
        browser.app.post_message(events.Paste("\x1bbc"))
        burst(browser.app, "d")
        await browser.settle()
        assert filter_text(browser) == "abcd"


async def test_keys_without_an_action_do_not_delay_others(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        first = browser.tree.cursor_line
        burst(browser.app, "f11", "ctrl+g", "j", "j", "k", "f12")
        await browser.settle()
        assert browser.tree.cursor_line == first + 1


# While the store is being opened


async def test_keys_wait_for_the_store_and_are_dropped_if_it_fails_to_open(store: LayerStore, place: Place) -> None:
    broken = True

    def open_store() -> LayerStore:
        time.sleep(0.3)
        if broken:
            raise OSError("no such disk")
        return place.open()

    app = LayertuiApp(open_store, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for(lambda: isinstance(app.screen, OpeningScreen), pilot)
        burst(app, "slash", *"qd", "question_mark")
        await wait_for(lambda: app.screen.has_class("-failed"), pilot)
        await pilot.pause(0.1)
        assert isinstance(app.screen, OpeningScreen)
        broken = False
        burst(app, "r", "slash", *"qd")
        await wait_for(lambda: bool(app.screen.query("#layers-filter FilterInput")), pilot)
        browser = Browser(app, pilot)
        await browser.until(lambda: filter_text(browser) == "qd")


# Reload


async def test_reload_reads_a_preview_again_and_keeps_its_position(store: LayerStore, place: Place) -> None:
    layer = store.lookup("app")
    path = next(place.root.glob(f"vfs/dir/{layer}/app/main.py"))
    async with browsing(place.open, size=(120, 50)) as browser:
        browser.tree.go_to_key(layer)
        await browser.press("3", "tab")
        await browser.until(lambda: "/app" in browser.screen.query_one(FilesTree).tree_shown.keys)
        browser.screen.query_one(FilesPanel).reveal("/app/main.py")
        await browser.settle()
        await browser.press("enter")
        await browser.until(lambda: "print(1)" in browser.text("#preview"))
        await browser.press("down", "down", "b")
        view = browser.screen.query_one(FilesView).preview
        await browser.press("down")
        line = view.scroll_offset.y
        assert line > 0
        path.write_bytes(path.read_bytes().replace(b"print(1)", b"print(7)"))
        await browser.press("f5")
        await browser.until(lambda: "28 37 29" in browser.text("#preview"))
        assert view.preview is not None
        assert view.preview.hex
        assert view.scroll_offset.y == line
        assert view.has_focus
