"""The choice between the stores of several drivers, and additional image stores."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from layerstore import DriverStore, LayerStore, driver_stores, preferred_driver
from layertui.app import LayertuiApp
from layertui.dialogs.drivers import DriverDialog
from layertui.jobs.opening import DriverChoice
from layertui.screens.check.screen import CheckScreen
from layertui.screens.main.header import HeaderBar
from layertui.screens.main.screen import LayersScreen
from layertui.screens.opening import OpeningScreen
from support.browser import NOW, Place, browsing, wait_for
from support.dialog_host import HOSTILE, assert_harmless, screen_text, shown
from support.program import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a graph root with the stores of three drivers, one of which layertui cannot open."""
    for driver, layers, written in (("overlay", 1, 2_000_000_000), ("vfs", 3, 1_900_000_000), ("btrfs", 2, 1)):
        folder = tmp_path / "graph" / f"{driver}-layers"
        folder.mkdir(parents=True)
        records = [{"id": f"{driver}-{number}"} for number in range(layers)]
        (folder / "layers.json").write_text(json.dumps(records))
        os.utime(folder / "layers.json", (written, written))
    return tmp_path / "graph"


def open_driver(root: Path, driver: str | None = None) -> LayerStore:
    return LayerStore.open(root, root.with_name("run"), driver=driver, read_only=True)


@asynccontextmanager
async def opening(
    root: Path, named: str | None = None, *, ask: bool = True
) -> AsyncIterator[tuple[LayertuiApp, Pilot[None]]]:
    choice = DriverChoice(str(root), lambda driver: open_driver(root, driver), named=named, ask=ask)
    app = LayertuiApp(lambda: open_driver(root), choice=choice, clock=lambda: NOW)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        yield app, pilot


async def dialog_of(app: LayertuiApp, pilot: Pilot[None]) -> DriverDialog:
    await wait_for(lambda: isinstance(app.screen, DriverDialog), pilot)
    await pilot.pause()
    assert isinstance(app.screen, DriverDialog)
    return app.screen


async def opened(app: LayertuiApp, pilot: Pilot[None]) -> str:
    await wait_for(lambda: isinstance(app.screen, LayersScreen) and bool(app.screen.query("FieldList")), pilot)
    await pilot.pause()
    assert isinstance(app.screen, LayersScreen)
    return app.screen.store.driver_name


def test_the_stores_in_a_graph_root(root: Path) -> None:
    found = {store.driver: (store.layers, store.known) for store in driver_stores(root)}
    assert found == {"overlay": (1, True), "vfs": (3, True), "btrfs": (2, False)}
    stores = driver_stores(root)
    assert preferred_driver(stores, None) == "overlay"
    assert preferred_driver(stores, "vfs") == "vfs"
    assert preferred_driver(stores, "btrfs") == "overlay"
    assert preferred_driver([], "vfs") is None
    (root / "vfs-layers" / "layers.json").write_text("{")
    (root / "overlay-layers" / "layers.json").unlink()
    stores = driver_stores(root)
    assert [(store.layers, store.last_write is None) for store in stores if store.known] == [(0, True), (None, False)]
    assert driver_stores(root / "nothing") == []


async def test_the_user_is_asked_and_the_last_written_store_is_preselected(root: Path) -> None:
    async with opening(root) as (app, pilot):
        await dialog_of(app, pilot)
        text = screen_text(app)
        assert "overlay  1 layer, last write 2033-05-18" in text
        assert "vfs      3 layers, last write 2030-03-17" in text
        assert "btrfs (layertui cannot open it)" in text
        await wait_for(lambda: "⏎ Choose" in screen_text(app), pilot)
        await pilot.press("enter")
        assert await opened(app, pilot) == "overlay"


async def test_the_configured_driver_is_preselected_and_arrows_choose(root: Path) -> None:
    async with opening(root, "vfs") as (app, pilot):
        dialog = await dialog_of(app, pilot)
        assert dialog.query_one(OptionList).highlighted == 2
        await pilot.press("up", "down", "k", "j", "enter")
        assert await opened(app, pilot) == "vfs"


async def test_cancelling_opens_nothing_and_can_be_tried_again(root: Path) -> None:
    async with opening(root) as (app, pilot):
        await dialog_of(app, pilot)
        await pilot.press("escape")
        await wait_for(lambda: isinstance(app.screen, OpeningScreen), pilot)
        await pilot.pause()
        assert "No store was chosen" in screen_text(app)
        await pilot.press("r")
        await dialog_of(app, pilot)
        await pilot.press("down", "enter")
        assert await opened(app, pilot) == "vfs"


async def test_nothing_is_asked_for_one_store_or_a_named_driver(root: Path) -> None:
    async with opening(root, "vfs", ask=False) as (app, pilot):
        assert await opened(app, pilot) == "overlay"
    (root / "overlay-layers").rename(root / "gone")
    async with opening(root) as (app, pilot):
        assert await opened(app, pilot) == "vfs"


async def test_the_palette_changes_the_driver_later(root: Path) -> None:
    async with opening(root, ask=False) as (app, pilot):
        assert await opened(app, pilot) == "overlay"
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Other driver" in titles
        app.find_drivers()
        await dialog_of(app, pilot)
        await pilot.press("escape")
        assert await opened(app, pilot) == "overlay"
        app.find_drivers()
        await dialog_of(app, pilot)
        await pilot.press("down", "enter")
        await wait_for(lambda: isinstance(app.screen, LayersScreen) and app.screen.store.driver_name == "vfs", pilot)
        assert len(app.screen_stack) == 2


async def test_hostile_names_in_the_dialog() -> None:
    store = DriverStore(HOSTILE, f"/x/{HOSTILE}", 1, datetime(2030, 1, 1, tzinfo=UTC), True)
    stores = [store, replace(store, driver="vfs", known=False)]
    async with shown(lambda: DriverDialog(f"/x/{HOSTILE}", stores, None, NOW)) as (app, _):
        assert_harmless(app)


# The command line


def test_layers_names_the_drivers_that_it_leaves_out(root: Path, tmp_path: Path) -> None:
    place = ["--root", str(root), "--runroot", str(tmp_path / "run")]
    done = run(*place, "layers")
    assert done.stdout == "overlay-0\n"
    assert done.stderr.count("\n") == 1
    assert "also has layers of btrfs, vfs (see --driver)" in done.stderr
    done = run(*place, "--driver", "vfs", "layers")
    assert (done.stdout, done.stderr) == ("vfs-0\nvfs-1\nvfs-2\n", "")


def test_layers_uses_the_configured_driver_if_it_has_a_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "storage.conf"
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(config))
    text = f'[storage]\ndriver = "vfs"\ngraphroot = "{root}"\nrunroot = "{tmp_path}/run"\n'
    config.write_text(text)
    assert run("layers").stdout.startswith("vfs-0\n")
    (root / "vfs-layers").rename(root / "gone")
    assert run("layers").stdout == "overlay-0\n"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    store = LayerStore.open(tmp_path / "shared", tmp_path / "shared-run", driver="vfs")
    store.create(id="base", names=["the-base"])
    return tmp_path / "shared"


def test_layers_marks_layers_of_image_stores(place: Place, shared: Path) -> None:
    place.open().create(id="mine")
    missing = shared.with_name("missing")
    option = f"additionalimagestore={shared},{missing}"
    command = ["--root", place.root, "--runroot", place.run, "--storage-opt", option, "layers"]
    done = run(*command)
    assert done.stdout == f"mine\nbase\n\tname: the-base\n\timage store: {shared}\n"
    assert done.stderr == f"layertui: image store {missing} cannot be read: the folder is missing\n"
    records = json.loads(run(*command, "--json").stdout)
    assert [record.get("image-store") for record in records] == [None, str(shared)]


# The browser


async def test_image_stores_in_the_browser(place: Place, shared: Path) -> None:
    options = {"additionalimagestores": f"{shared},{shared}-missing"}
    place.open(options=options).create(id="mine", parent="base")
    async with browsing(lambda: place.open(options=options), size=(160, 36)) as browser:
        assert "2 image stores" in browser.text("HeaderBar")
        assert "! 1 problem (c)" in browser.text("HeaderBar")
        assert browser.screen.query_one(HeaderBar).view is not None
        notes = [note.message for note in browser.app._notifications]
        assert notes == [f"image store {shared}-missing cannot be read: the folder is missing"]
        assert browser.titles == ["the-base", "mine"]
        await browser.pilot.click("HeaderBar", offset=(browser.lines("HeaderBar")[0].index("problem"), 0))
        await browser.until(lambda: isinstance(browser.app.screen, CheckScreen))
        await browser.press("escape")
        rows = browser.lines("LayerTree")
        assert "the-base base shr" in rows[0]
        assert "shr" not in rows[1]
        await browser.press("g")
        assert browser.cursor == "the-base"
        assert f"Store{shared}(animagestore)" in "".join(browser.text("FieldList").split())
        await browser.press("m")
        assert "cannot mount" in [note.message for note in browser.app._notifications][-1]
        await browser.press("slash")
        await browser.type("is:shared")
        assert browser.titles == ["the-base"]
