"""Tests of creating a layer: the dialog, and the result in a real store."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input

from layerstore.model import Compression, Layer
from layerstore.store import LayerStore
from layertui.dialogs.create import CreateDialog
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.pick import LayerPicker
from layertui.dialogs.tar_field import check_tar
from layertui.jobs.runner import JobState
from layertui.jobs.strip import JobsStrip
from layertui.jobs.write import CreateRequest
from layertui.widgets.file_picker import SafeOpen
from layertui.widgets.inputs import Choice
from support.browser import Browser, Place, browsing
from support.dialog_host import HOSTILE, assert_harmless, play, screen_text, shown, until
from support.tars import large_tar, make_tar

BASE = Layer(id="4f3a9b2c1d0e" + "1" * 52, names=("base",))
OTHER = Layer(id="9a8b7c6d5e4f" + "0" * 52, names=("other",))
TAR = make_tar({"a": None, "a/b": b"content" * 1000})


def dialog(folder: Path, *layers: Layer, parent: str = BASE.id) -> Callable[[], CreateDialog]:
    known = {layer.id: layer for layer in layers or (BASE, OTHER)}
    taken = {name: layer.id for layer in known.values() for name in layer.names}
    return lambda: CreateDialog(list(known.values()), known, parent, taken, folder)


# The dialog


async def test_enter_in_the_names_creates_an_empty_layer_on_the_suggested_parent(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        assert not app.screen.query_one("PathField").display
        app.screen.query_one("#names").focus()
        await pilot.pause()
        await play(pilot, "'one two  one'", "enter")
        await pilot.pause()
        assert app.results == [CreateRequest(None, BASE.id, ("one", "two"), None)]


async def test_another_parent_is_picked_or_none(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.click("#parent")
        await until(pilot, lambda: isinstance(app.screen, LayerPicker))
        await play(pilot, "'other'", "enter")
        await pilot.pause()
        assert "other" in screen_text(app)
        await until(pilot, lambda: not app.screen.query_one("#parent").has_class("-active"))
        await pilot.click("#parent")
        await until(pilot, lambda: isinstance(app.screen, LayerPicker))
        await play(pilot, "'none'", "enter", "ctrl+s")
        await until(pilot, lambda: bool(app.results))
        assert app.results == [CreateRequest(None, "", (), None)]


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("#names", "new base", "The name base is already used by 4f3a9b2c1d0e"),
        ("#id", "9a8b7c6d5e4f" + "0" * 52, "A layer with this ID already exists"),
        ("#id", ".hidden", "hidden"),
        ("#id", "a/b", "a/b"),
    ],
)
async def test_invalid_names_and_ids_are_reported_while_typing(
    tmp_path: Path, field: str, text: str, problem: str
) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        app.screen.query_one(field).focus()
        await pilot.pause()
        await play(pilot, f"'{text}'")
        assert "✗" in screen_text(app)
        assert problem in screen_text(app)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.results == []


async def test_a_tar_is_checked_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(TAR))
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.press("right", "tab")
        await play(pilot, "'nowhere'")
        await until(pilot, lambda: "No such file" in screen_text(app))
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert app.results == []
        app.screen.query_one("#path", Input).value = "x.t"
        await until(pilot, lambda: "x.tar.gz" in screen_text(app))
        await pilot.press("end", "tab")
        await until(pilot, lambda: "gzip" in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
        assert app.results == [CreateRequest(tmp_path / "x.tar.gz", BASE.id, (), None)]


async def test_the_file_picker_fills_the_path(tmp_path: Path) -> None:
    (tmp_path / "only.tar").write_bytes(TAR)
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, CreateDialog), "an empty layer needs no file"
        app.screen.query_one(Choice).index = 1
        await pilot.pause()
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, SafeOpen) and "only.tar" in screen_text(app))
        app.screen.query_one(Input).value = "only.tar"
        await pilot.click("#select")
        await until(pilot, lambda: isinstance(app.screen, CreateDialog) and "uncompressed" in screen_text(app))
        assert app.screen.query_one("#path", Input).value == str(tmp_path / "only.tar")


async def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    layer = Layer(id="\x1b" * 64, names=(HOSTILE,))
    async with shown(dialog(tmp_path, layer, parent=layer.id)) as (app, pilot):
        app.screen.query_one("#names", Input).value = HOSTILE.split()[0]
        await pilot.pause()
        assert_harmless(app)


# Checking a tar


@pytest.mark.parametrize("compression", list(Compression))
def test_every_compression_is_detected(tmp_path: Path, compression: Compression) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    layer, _ = store.put(TAR)
    with store.diff(layer.id, compression=compression) as diff:
        (tmp_path / "x").write_bytes(diff.read())
    found = check_tar("x", tmp_path)
    assert (found.compression, found.problem, found.odd) == (compression, "", False)
    assert found.size == (tmp_path / "x").stat().st_size


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tar at all " * 100)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(TAR)[:30])
    assert check_tar("text", tmp_path).odd
    assert "ends" in check_tar("cut.gz", tmp_path).problem or "trunc" in check_tar("cut.gz", tmp_path).problem
    assert "folder" in check_tar(".", tmp_path).problem
    assert "not a regular file" in check_tar("/dev/null", tmp_path).problem
    assert check_tar(" ", tmp_path).problem
    assert check_tar("a\0b", tmp_path).problem


# In a store


async def _from_tar(browser: Browser, path: Path, names: str = "") -> None:
    await browser.press("n")
    browser.app.screen.query_one(Choice).index = 1
    browser.app.screen.query_one("#path", Input).value = str(path)
    browser.app.screen.query_one("#names", Input).value = names
    await browser.pilot.pause()
    await browser.press("ctrl+s")
    await browser.until(lambda: not isinstance(browser.app.screen, CreateDialog))
    await browser.settle()


async def test_a_layer_is_created_from_a_tar_and_selected(place: Place, store: LayerStore, tmp_path: Path) -> None:
    (tmp_path / "new.tar.gz").write_bytes(gzip.compress(TAR))
    async with browsing(place.open) as browser:
        await browser.press("slash", *"tool", "enter")
        assert browser.cursor == "tool"
        await _from_tar(browser, tmp_path / "new.tar.gz", "made:1 made:2")
        await browser.until(lambda: browser.cursor == "made:1")
        made = store.get("made:1")
        assert made.parent == store.get("tool").id
        assert made.names == ("made:1", "made:2")
        assert made.diff_digest == "sha256:" + hashlib.sha256(TAR).hexdigest()
        shown = browser.text("JobsStrip")
        assert made.id[:12] in shown
        assert made.diff_digest[:60] in shown
    with store.diff(made.id, compression=Compression.NONE) as diff:
        assert diff.read() == TAR


async def test_an_empty_store_gets_its_first_layer(place: Place) -> None:
    place.open()
    async with browsing(place.open) as browser:
        assert browser.cursor == ""
        await browser.press("n", "tab", "tab")
        browser.app.screen.query_one("#id", Input).value = "first"
        await browser.press("ctrl+s")
        await browser.until(lambda: browser.cursor == "first")
    (layer,) = place.open().layers()
    assert (layer.id, layer.parent, layer.names) == ("first", "", ())


def _ids(records: bytes) -> list[str]:
    return [record["id"] for record in json.loads(records)]


async def test_a_broken_tar_leaves_nothing_and_says_so(place: Place, store: LayerStore, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(TAR[:4000])
    before, files = place.layers_json.read_bytes(), sorted((place.root / "vfs" / "dir").rglob("*"))
    async with browsing(place.open) as browser:
        await _from_tar(browser, tmp_path / "bad.tar", "never")
        assert isinstance(browser.app.screen, ErrorDialog)
        assert "No layer was created, and the store is as it was" in screen_text(browser.app)
    assert _ids(place.layers_json.read_bytes()) == _ids(before)
    assert sorted((place.root / "vfs" / "dir").rglob("*")) == files


async def test_making_a_layer_is_cancelled(place: Place, store: LayerStore, tmp_path: Path) -> None:
    large_tar(tmp_path / "large.tar", 4 << 30)
    before = {layer.id for layer in store.layers()}
    async with browsing(place.open) as browser:
        await browser.press("n")
        browser.app.screen.query_one(Choice).index = 1
        browser.app.screen.query_one("#path", Input).value = str(tmp_path / "large.tar")
        await browser.pilot.press("ctrl+s")
        strip = browser.screen.query_one(JobsStrip)
        await browser.until(lambda: "%" in browser.text("JobsStrip"))
        (job,) = strip.running
        assert job.total == (tmp_path / "large.tar").stat().st_size
        await browser.pilot.press("ctrl+x")
        await browser.until(lambda: job.state is JobState.CANCELLED)
        await browser.settle()
        assert "cancelled" in browser.text("JobsStrip")
    assert {layer.id for layer in place.open().layers()} == before
    assert not list(place.root.rglob("zeros"))


async def test_a_read_only_store_cannot_be_changed(place: Place, store: LayerStore) -> None:
    async with browsing(lambda: place.open(read_only=True)) as browser:
        await browser.press("n", "a", "t", "s")
        assert browser.app.screen is browser.screen
        for action in ("create", "apply", "metadata", "shell"):
            assert browser.screen.refusal(f"layer.{action}").startswith("The store is open read-only")
        assert "n New" not in browser.text("KeyBar")
