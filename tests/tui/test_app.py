"""The whole program: opening a store, following it, the actions, the help and the palette."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from layerstore import LockTimeout, StoreMissing
from layerstore.store import LayerStore
from layertui.app import LayertuiApp
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.copy_menu import CopyMenu
from layertui.dialogs.delete import DeleteDialog, DeleteRequest
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.export import ExportDialog, ExportRequest
from layertui.dialogs.flags import FlagChanges, FlagsDialog
from layertui.dialogs.help import HelpLines, HelpScreen
from layertui.dialogs.names import NamesDialog
from layertui.jobs.runner import Job
from layertui.jobs.strip import JobsStrip
from layertui.keys.actions import TREE_ACTIONS
from layertui.keys.keymap import all_actions
from layertui.panels.layers.actions.marks import LIST_ACTIONS
from layertui.screens.actions import PLACES
from layertui.screens.main.actions import MAIN_ACTIONS
from layertui.screens.main.header import Following, HeaderBar
from layertui.screens.main.screen import LayersScreen
from layertui.screens.opening import OpeningScreen
from layertui.text.format import size_text
from support.browser import Browser, Place, browsing, wait_for
from support.tars import make_tar

# Opening


def opening_text(app: LayertuiApp) -> str:
    return "\n".join(str(widget.render()) for widget in app.screen.query("Static"))


async def test_the_opening_screen_is_shown_before_the_store_is_open(place: Place, store: LayerStore) -> None:
    gate = threading.Event()

    def slowly() -> LayerStore:
        gate.wait(10)
        return place.open()

    app = LayertuiApp(slowly)
    async with app.run_test() as pilot:
        assert isinstance(app.screen, OpeningScreen)
        assert "Opening" in opening_text(app)
        gate.set()
        await wait_for(lambda: isinstance(app.screen, LayersScreen), pilot)


async def failing(error: Exception, body: Callable[[LayertuiApp, Pilot[None]], Any]) -> None:
    def fail() -> LayerStore:
        raise error

    app = LayertuiApp(fail)
    async with app.run_test() as pilot:
        await wait_for(lambda: app.screen.has_class("-failed"), pilot)
        await body(app, pilot)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreMissing("/no/\x1bwhere"), ["/no/\\x1bwhere"]),
        (LockTimeout("/x/layers.lock", 10, ["podman (pid 7)"]), ["podman (pid 7)"]),
        (PermissionError(13, "Permission denied", "/root/x"), ["/root/x"]),
        (RuntimeError("oh"), ["oh", "bug"]),
    ],
)
async def test_a_store_that_cannot_be_opened_is_explained(error: Exception, words: list[str]) -> None:
    async def look(app: LayertuiApp, pilot: Pilot[None]) -> None:
        told = opening_text(app) + str(app.screen.query_one("#box").border_title)
        for word in words:
            assert word in told

    await failing(error, look)


async def test_a_corrupt_file_is_named_with_its_line_and_can_be_tried_again(place: Place, store: LayerStore) -> None:
    good = place.layers_json.read_text()
    place.layers_json.write_text(good[:-20])
    app = LayertuiApp(place.open)
    async with app.run_test() as pilot:
        await wait_for(lambda: app.screen.has_class("-failed"), pilot)
        assert "layers.json" in opening_text(app)
        assert "line" in opening_text(app).casefold()
        place.layers_json.write_text(good)
        await pilot.press("r")
        await wait_for(lambda: isinstance(app.screen, LayersScreen), pilot)
    assert place.layers_json.read_text() == good


async def test_an_empty_store_says_what_to_do(place: Place) -> None:
    async with browsing(place.open) as browser:
        assert "no layers yet" in str(browser.screen.query_one("#empty").render())
        assert " ".join(browser.text("KeyBar").split()) == "n New c Check R Reload ? Help q Quit"
        keys = "m u e d r f y equals_sign U space o slash escape 1 2 4 R ctrl+x z z"
        await browser.press(*keys.split())
        other = place.open()
        other.create(names=["first"])
        await browser.until(lambda: browser.titles == ["first"])
        assert {"Filter", "Sort"} < set(browser.text("KeyBar").split())
        assert "Reload" not in browser.text("KeyBar")


async def test_without_matches_the_key_bar_offers_to_clear_the_filter(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("slash", "z", "q", "z", "enter")
        keys = " ".join(browser.text("KeyBar").split())
        assert keys == "/ Filter n New c Check R Reload esc Clear filter ? Help q Quit"
        await browser.press("escape")
        assert "Clear filter" not in browser.text("KeyBar")
        assert "space Mark" in browser.text("KeyBar")


# Following


async def test_changes_by_others_appear_and_the_cursor_stays(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j")
        assert browser.cursor == "tool"
        started = datetime.now(UTC)
        other = place.open()
        other.create(names=["fresh"], parent=other.lookup("base"))
        await browser.until(lambda: "fresh" in browser.titles)
        assert datetime.now(UTC) - started < timedelta(seconds=2.5)
        assert browser.cursor == "tool"
        other.mount("tool")
        await browser.until(lambda: "mounted" in browser.text("#layers") or "mnt" in browser.text("#layers"))


async def test_the_cursor_of_a_deleted_layer_moves_to_its_neighbour(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j")
        place.open().delete("tool")
        await browser.until(lambda: "tool" not in browser.titles)
        await browser.settle()
        assert browser.cursor == "lone"
        assert "lone" in browser.text("FieldList")
        place.open().delete("lone")
        await browser.until(lambda: "lone" not in browser.titles)
        assert browser.cursor == "app"


async def test_a_store_that_becomes_corrupt_is_reported_and_stays_visible(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        good = place.layers_json.read_text()
        place.layers_json.write_text("[{]")
        header = browser.screen.query_one(HeaderBar)
        await browser.until(lambda: header.following is Following.FAILED)
        assert len(browser.titles) == 5
        await browser.press("R")
        assert isinstance(browser.app.screen, ErrorDialog)
        await browser.press("escape")
        place.layers_json.write_text(good)
        await browser.until(lambda: header.following is Following.ON)


# Actions


async def test_mount_and_unmount(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "m")
        await browser.until(lambda: store.get("middle").mount_count == 1)
        await browser.settle()
        assert browser.app.clipboard == store.get("middle").mount_point
        assert "mnt" in browser.text("#layers")
        await browser.press("m", "u")
        assert store.get("middle").mount_count == 1
        await browser.press("u")
        assert store.get("middle").mount_count == 0
        await browser.press("u")
        assert store.get("middle").mount_count == 0
        assert any("not mounted" in toast.message for toast in browser.app._notifications)


async def test_unmount_all_marked(store: LayerStore, place: Place) -> None:
    for name in ("base", "lone"):
        store.mount(name)
    async with browsing(place.open) as browser:
        await browser.press("space", "space", "end", "space", "U")
        assert [store.get(name).mount_count for name in ("base", "lone")] == [0, 0]


async def dismiss(browser: Browser, kind: type, result: Any) -> None:
    await browser.until(lambda: isinstance(browser.app.screen, kind))
    browser.app.screen.dismiss(result)
    await browser.settle()


async def test_export(store: LayerStore, place: Place, tmp_path: Path) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "e")
        target = tmp_path / "out.tar"
        request = ExportRequest(store.lookup("middle"), None, 0, target, overwrite=False)  # type: ignore[arg-type]
        await dismiss(browser, ExportDialog, request)
        await browser.until(target.exists)
        assert target.read_bytes() == make_tar({"opt": None, "opt/x": b"x" * 300})
        assert "out.tar" in browser.text("JobsStrip")
        assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.tar"]
        await browser.press("e")
        await dismiss(browser, ExportDialog, request)
        assert isinstance(browser.app.screen, ErrorDialog)
        assert target.stat().st_size


async def test_an_export_that_is_cancelled_leaves_nothing(
    store: LayerStore, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()
    progress = Job.progress

    def slow(job: Job, done: int, total: int | None) -> None:
        progress(job, done, total)
        started.set()
        job.stop_event.wait(10)

    monkeypatch.setattr(Job, "progress", slow)
    async with browsing(place.open) as browser:
        await browser.pilot.press("e")
        target = tmp_path / "out.tar"
        await browser.until(lambda: isinstance(browser.app.screen, ExportDialog))
        browser.app.screen.dismiss(ExportRequest(store.lookup("base"), None, 0, target))  # type: ignore[arg-type]
        await browser.until(started.is_set)
        await browser.until(lambda: "Export base" in browser.text("JobsStrip"))
        await browser.press("ctrl+x")
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]


async def test_delete_takes_the_marked_layers_children_first(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j", "space", "space", "d")
        await browser.until(lambda: isinstance(browser.app.screen, DeleteDialog))
        await dismiss(browser, DeleteDialog, DeleteRequest((store.lookup("tool"), store.lookup("lone"))))
        assert [layer.names[0] for layer in place.open().layers()] == ["base", "middle", "app"]
        assert browser.titles == ["base", "middle", "app"]
        assert "2 layers deleted" in browser.text("JobsStrip")
        await browser.press("escape")
        assert not browser.screen.query_one(JobsStrip).display


async def test_the_plan_shows_the_freed_disk_space(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("m")
        await browser.press("G", "d")
        await browser.until(lambda: isinstance(browser.app.screen, DeleteDialog))
        await browser.settle()
        said = str(browser.app.screen.query_one("#sum", Static).render())
        assert f"Frees {size_text(store.usage('lone').size)} on disk" in said
        assert not browser.app._notifications, "no older message covers the buttons"


async def test_a_refusal_of_the_store_is_shown(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("d")
        await dismiss(browser, DeleteDialog, DeleteRequest((store.lookup("base"),)))
        assert isinstance(browser.app.screen, ErrorDialog)
        await browser.press("escape")
        assert len(browser.titles) == 5


async def test_names_and_flags(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("end", "r")
        await dismiss(browser, NamesDialog, ("alone", "solo"))
        assert browser.cursor == "alone"
        await browser.press("f")
        await dismiss(browser, FlagsDialog, FlagChanges({"note": 1}, ()))
        assert store.get("solo").flags == {"note": 1}
        await browser.press("f")
        await dismiss(browser, FlagsDialog, FlagChanges({}, ("note",)))
        assert not store.get("solo").flags
        for key in ("r", "f", "d", "e"):
            await browser.pilot.press(key)
            await browser.pilot.pause()
            browser.app.screen.dismiss(None)
            await browser.settle()


async def test_the_copy_menu(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        for keys, text in (
            ("i", store.lookup("base")),
            ("n", "base"),
            ("d", store.get("base").diff_digest),
            ("j enter", store.lookup("base")[:12]),
            ("y", store.lookup("base")),
        ):
            await browser.pilot.press("y")
            await browser.until(lambda: isinstance(browser.app.screen, CopyMenu))
            await browser.press(*keys.split())
            assert browser.app.clipboard == text
        await browser.press("y", "escape")
        assert browser.app.screen is browser.screen


async def test_a_read_only_store_says_so_and_refuses_writes(store: LayerStore, place: Place) -> None:
    async with browsing(lambda: place.open(read_only=True)) as browser:
        assert "READ-ONLY" in browser.text("HeaderBar")
        shown = browser.text("KeyBar")
        assert "Export" in shown
        assert not any(word in shown for word in ("Mount", "Delete", "Names", "Flags"))
        await browser.press("m", "d", "r", "f")
        assert browser.app.screen is browser.screen
        assert all(layer.mount_count == 0 for layer in store.layers())
        assert any("read-only" in toast.message for toast in browser.app._notifications)


# Help, palette, quitting


async def test_help_lists_every_key(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("question_mark", "i")
        assert isinstance(browser.app.screen, HelpScreen)
        words = {word for line in browser.app.screen.query_one(HelpLines).lines for word in line.plain.split()}
        assert {*all_actions()} - words == set()
        await browser.press("escape")
        assert browser.app.screen is browser.screen


def test_every_action_has_a_unique_id_and_a_help_text() -> None:
    groups = {id(group): group for groups in PLACES.values() for group in groups}
    actions = [action for group in groups.values() for action in group]
    assert all(action.help and action.label for action in actions)
    assert len({action.id for action in actions}) == len(actions) > 80
    assert {*all_actions()} == {action.id for action in actions}


async def test_no_key_is_dead(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        screen, tree = browser.screen, browser.tree
        for action in (*MAIN_ACTIONS, *LIST_ACTIONS, *TREE_ACTIONS):
            binding = action.binding
            name = binding.action.partition("(")[0].removeprefix("screen.")
            places = (browser.app,) if name.startswith("app.") else (screen, tree)
            assert any(hasattr(place, f"action_{name.removeprefix('app.')}") for place in places), binding


async def test_the_palette_runs_actions(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.pilot.press("ctrl+p")
        await browser.pilot.pause(0.1)
        await browser.pilot.press(*"lineage")
        await browser.pilot.pause(0.4)
        await browser.pilot.press("enter")
        await browser.until(lambda: browser.app.screen is browser.screen and browser.screen.panel.id == "lineage")


async def test_rarely_possible_actions_come_last_in_the_palette(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.pilot.press("ctrl+p")
        found = browser.app.screen.query_one(OptionList)
        await browser.until(lambda: found.option_count > 30)
        words = [str(option.prompt).partition(" ")[0] for option in found.options]
        assert words.index("Mount") < words.index("Reload") < words.index("Cancel")


async def test_quitting_asks_while_something_is_written(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        gate = threading.Event()

        def wait(job: Job[None]) -> None:
            while not (gate.is_set() or job.should_stop()):
                gate.wait(0.01)

        browser.app.jobs.submit(Job("Something long", wait, writes=True), browser.screen)
        await browser.pilot.press("q")
        await browser.until(lambda: isinstance(browser.app.screen, ConfirmDialog))
        await browser.pilot.press("n")
        await browser.pilot.pause()
        assert browser.app.screen is browser.screen
        gate.set()
        await browser.settle()
        await browser.pilot.press("q")
        await browser.pilot.pause()
        assert browser.app._exit


async def test_the_key_bar_shows_what_works_here(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        assert "Unmount" not in browser.text("KeyBar")
        await browser.press("m")
        assert "Unmount" in browser.text("KeyBar")
        assert browser.text("KeyBar").endswith("? Help  q Quit")
        await browser.press("2", "2")
        assert "A Added" in browser.text("KeyBar")
        x = browser.text("KeyBar").index("? Help")
        await browser.pilot.click("KeyBar", offset=(x, 0))
        await browser.until(lambda: isinstance(browser.app.screen, HelpScreen))
