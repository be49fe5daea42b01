"""Tests of the dialog for exporting a layer, and of typed paths."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, OptionList

from layerstore.model import Compression, Layer
from layertui.dialogs import export
from layertui.dialogs.apply import Affected, ApplyDialog
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.export import ExportDialog, ExportRequest, file_stem
from layertui.dialogs.pick import LayerPicker
from layertui.widgets import path_suggestions
from layertui.widgets.file_picker import SafeSave
from layertui.widgets.inputs import Choice
from layertui.widgets.path_field import LOOK_DELAY, PathField, PathInput
from layertui.widgets.path_suggestions import Patient, TargetState, check_target, complete
from support.dialog_host import HOSTILE, assert_harmless, play, screen_text, shown, until

PARENT = Layer(id="9a8b7c6d5e4f" + "0" * 52, names=("quay.io/fedora:base",))
LAYER = Layer(
    id="4f3a9b2c1d0e" + "1" * 52,
    parent=PARENT.id,
    names=("registry.fedoraproject.org/fedora:41",),
    diff_digest="sha256:" + "ab12" * 16,
    diff_size=98_234_123,
    compression=int(Compression.GZIP),
)
OTHER = Layer(id="7c" * 32, names=("needle",))
MANY = [PARENT, LAYER, OTHER, *(Layer(id=f"{number:064x}") for number in range(1000))]


def dialog(folder: Path, layer: Layer = LAYER) -> Callable[[], ExportDialog]:
    return lambda: ExportDialog(layer, MANY, folder)


async def settled(pilot: Pilot) -> str:
    """Wait for the description of the path, and return it."""
    await pilot.pause(LOOK_DELAY + 0.05)
    await pilot.app.workers.wait_for_complete([worker for worker in pilot.app.workers if worker.group == "look"])
    await pilot.pause()
    return str(pilot.app.screen.query_one("#found").render())


async def retype(pilot: Pilot, text: str) -> None:
    pilot.app.screen.query_one(PathInput).put(text)
    await pilot.pause()


async def test_enter_accepts_the_suggested_path(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.results))
        path = tmp_path / "fedora-41.tar.gz"
        assert app.results == [ExportRequest(LAYER.id, None, Compression.GZIP, path, overwrite=False)]


async def test_escape_exports_nothing(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.press("escape")
        assert app.results == [None]


async def test_another_format_changes_the_suffix_of_a_suggested_name(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.press("shift+tab", "right")
        assert app.screen.query_one(PathInput).value.endswith("/fedora-41.tar.zst")
        await pilot.press("left", "left", "ctrl+s")
        await until(pilot, lambda: bool(app.results))
        assert app.results[0].compression is Compression.NONE
        assert app.results[0].path.name == "fedora-41.tar"


async def test_an_edited_name_is_kept(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await retype(pilot, f"{tmp_path}/mine.tar.gz")
        app.screen.query_one(Choice).index = 3
        assert "! The name does not end in .tar.xz" in await settled(pilot)
        assert app.screen.query_one(PathInput).value == f"{tmp_path}/mine.tar.gz"


async def test_a_click_selects_a_format(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.click(Choice, offset=(9 + 11 + 3, 0))
        assert app.screen.query_one(Choice).index == 2


@pytest.mark.parametrize(("needle", "from_id"), [("needle", OTHER.id), ("nothing", ""), ("parent", None)])
async def test_the_from_layer_is_found_by_typing(tmp_path: Path, needle: str, from_id: str | None) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.click("#from")
        assert isinstance(app.screen, LayerPicker)
        await play(pilot, f"'{needle}'", "enter", "ctrl+s")
        await until(pilot, lambda: bool(app.results))
        assert app.results[0].from_id == from_id


async def test_the_picker_counts_what_it_does_not_list(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.click("#from")
        assert "1,001 layers, 801 not shown" in screen_text(app)
        await pilot.press("down", "down")
        assert app.screen.query_one(OptionList).highlighted == 2
        await play(pilot, "'no such layer'", "enter")
        assert "No matching layers" in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, ExportDialog)


async def test_the_note_tells_byte_exact_from_generated_tars(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path), (120, 30)) as (app, pilot):
        assert "Byte-exact, 98.2 MB uncompressed; verified against" in screen_text(app)
        assert LAYER.diff_digest in screen_text(app)
        await play(pilot, "shift+tab", "shift+tab", "enter", "'needle'", "enter")
        assert "the changes since 7c7c7c7c7c7c" in screen_text(app)
        assert "Byte-exact" not in screen_text(app)


async def test_a_base_layer_has_no_parent_to_offer(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path, Layer(id="ab" * 32))) as (app, pilot):
        assert "this layer was not created from a tar" in screen_text(app)
    partial = Layer(id="ab" * 32, toc_digest="sha256:" + "7" * 64)
    async with shown(dialog(tmp_path, partial), (120, 30)) as (app, pilot):
        assert "pulled partially, so there is no digest" in screen_text(app)
        await pilot.press("shift+tab", "shift+tab", "enter")
        assert "parent" not in screen_text(app)
        await pilot.press("enter", "ctrl+s")
        await until(pilot, lambda: bool(app.results))
        assert app.results[0].from_id is None


async def test_an_existing_file_needs_a_confirmation(tmp_path: Path) -> None:
    (tmp_path / "fedora-41.tar.gz").touch()
    async with shown(dialog(tmp_path)) as (app, pilot):
        assert "This file already exists" in await settled(pilot)
        assert str(app.screen.query_one("#export", Button).label) == "Overwrite…"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("enter")
        assert not app.results
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: bool(app.results))
        assert app.results[0].overwrite


async def test_a_bad_path_is_refused_before_it_was_looked_up(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        await retype(pilot, f"{tmp_path}/none/x.tar")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one("#export", Button).disabled)
        assert f"The folder {tmp_path}/none does not exist" in " ".join((await settled(pilot)).split())
        assert not app.results
        await retype(pilot, f"{tmp_path}/x.tar")
        assert "New file" in await settled(pilot) or "does not end in" in await settled(pilot)
        assert not app.screen.query_one("#export", Button).disabled


async def test_tab_accepts_the_completion_and_then_moves_on(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    async with shown(dialog(tmp_path)) as (app, pilot):
        await retype(pilot, f"{tmp_path}/fo")
        field = app.screen.query_one(PathInput)
        await until(pilot, lambda: field._offer.endswith("folder/"))
        await pilot.press("tab")
        assert field.value == f"{tmp_path}/folder/"
        await pilot.press("tab")
        assert app.focused is app.screen.query_one("#browse")


async def test_the_file_picker_starts_at_the_path(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "[" / "x]"  # the path looks like markup
    (folder / "seen").mkdir(parents=True)
    (folder / "a\x1b[31m").mkdir()
    async with shown(dialog(folder)) as (app, pilot):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, SafeSave))
        await until(pilot, lambda: "seen" in screen_text(app))
        assert_harmless(app)
        assert "/[/x]" in screen_text(app)
        await pilot.click("#select")
        await pilot.pause()
        assert app.screen.query_one(PathInput).value == str(folder / "fedora-41.tar.gz")


async def test_the_file_picker_starts_at_home_if_the_path_cannot_be_displayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "seen").mkdir()
    (tmp_path / "\x1b[31m").mkdir()
    async with shown(dialog(tmp_path / "\x1b[31m")) as (app, pilot):
        assert app.screen.query_one(PathInput).value == "fedora-41.tar.gz"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "seen" in screen_text(app))
        assert_harmless(app)


async def test_hostile_layers_are_escaped(tmp_path: Path) -> None:
    layer = Layer(id="\x1b" * 64, parent="\udcff" * 64, names=(HOSTILE,), diff_digest=HOSTILE)
    async with shown(dialog(tmp_path, layer)) as (app, pilot):
        await settled(pilot)
        assert_harmless(app)


async def test_the_description_is_right_below_the_path_even_after_another_dialog(tmp_path: Path) -> None:
    async with shown(dialog(tmp_path)) as (app, pilot):
        app.push_screen(ApplyDialog(LAYER, Affected(), tmp_path))
        await pilot.pause()
        field = app.screen.query_one(PathField)
        assert field.query_one("#found").region.y == field.query_one("#path").region.bottom


async def test_a_hanging_file_system_does_not_block_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(export, "check_target", lambda *_: gate.wait(10) or pytest.fail("the gate was never opened"))
    async with shown(dialog(tmp_path)) as (app, pilot):
        await pilot.pause(LOOK_DELAY * 2)
        await play(pilot, "enter", "'x'")
        assert app.screen.query_one(PathInput).value.endswith("x")
        await pilot.press("escape")
        assert app.results == [None]
        gate.set()


# File names


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (("docker.io/library/app:1.2",), "app-1.2"),
        ((), "abababababab"),
        (("../..",), "abababababab"),
        (("x/\x1b[31m/../y z",), "y-z"),
        (("n" * 300,), "n" * 60),
    ],
)
def test_file_names_come_from_the_layer(names: tuple[str, ...], stem: str) -> None:
    assert file_stem(Layer(id="ab" * 32, names=names)) == stem


async def test_the_home_folder_is_abbreviated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with shown(dialog(tmp_path / "out")) as (app, _):
        assert app.screen.query_one(PathInput).value == "~/out/fedora-41.tar.gz"


# Typed paths


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").mkdir()
    (tmp_path / ".hidden").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "state", "problem"),
    [
        ("~/new.tar", TargetState.NEW, ""),
        ("new.tar", TargetState.NEW, ""),
        ("~/file", TargetState.EXISTS, ""),
        ("", TargetState.REFUSED, "Enter the path"),
        ("~/folder", TargetState.REFUSED, "is a folder"),
        ("~/new/", TargetState.REFUSED, "is a folder"),
        ("~/none/x", TargetState.REFUSED, "does not exist"),
        ("~/file/x", TargetState.REFUSED, "is not a folder"),
        ("~/pipe", TargetState.REFUSED, "not a regular file"),
        ("~/" + "n" * 300, TargetState.REFUSED, "name too long"),
        ("~/a\0b", TargetState.REFUSED, "null"),
    ],
)
def test_paths_are_checked(places: Path, text: str, state: TargetState, problem: str) -> None:
    target = check_target(text, places)
    assert target.state is state
    assert problem.casefold() in target.problem.casefold()
    assert (target.free is None) is (state is TargetState.REFUSED)


def test_a_folder_without_write_permission(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_suggestions.os, "access", lambda *_: False)
    assert "No permission to write" in check_target("new", places).problem


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("~/fo", "~/folder/"),
        ("~/f", "~/folder/"),
        ("fi", "file"),
        ("~/folder/", "~/folder/inner/"),
        ("~/.h", "~/.hidden/"),
    ],
)
def test_paths_are_completed_folders_first(places: Path, text: str, completed: str) -> None:
    assert complete(text, places) == completed


@pytest.mark.parametrize("text", ["~/zzz", "~/none/x", "~/file/x", "/\0"])
def test_paths_without_a_completion(places: Path, text: str) -> None:
    assert complete(text, places) is None


def test_names_that_cannot_be_typed_are_not_offered(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m").mkdir()
    assert complete(f"{tmp_path}/a", tmp_path) is None


async def test_blocking_calls_run_one_at_a_time_and_their_errors_are_raised() -> None:
    patient = Patient()
    gate = threading.Event()
    started: list[str] = []

    def slow(name: str) -> str:
        started.append(name)
        gate.wait(5)
        return name

    first = asyncio.create_task(patient(slow, "first"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(patient(slow, "second"))
    third = asyncio.create_task(patient(slow, "third"))
    await asyncio.sleep(0.05)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0.05)
    assert started == ["first"]
    gate.set()
    assert await third == "third"
    assert started == ["first", "third"]
    with pytest.raises(ZeroDivisionError):
        await patient(lambda: 1 // 0)
