"""Tests of the error dialog, of the explanations in it, and of the confirmation dialog."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from layerstore import errors
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.error import ErrorDialog
from layertui.dialogs.explain import explain
from support.dialog_host import HOSTILE, Host, assert_harmless, screen_text, shown, still, until

LAYER = "4f3a9b2c1d0e" + "1" * 52
IN_USE = errors.LayerInUse(LAYER, children=["9a" * 32], images=["app:1", "[b]app[/]:2"], containers=["web"])
INHABITED = errors.LayerInUse(LAYER, mounts=["/m"], processes=["sleep 9 (PID 7)"], hint="Stop it first")
EVERY_KIND = [
    INHABITED,
    errors.LayerUnknown("ab", ["abc", "abd"]),
    errors.ParentUnknown(LAYER, "gone"),
    errors.DuplicateID(LAYER),
    errors.UnusableID("../x"),
    errors.DuplicateName("name", LAYER),
    IN_USE,
    errors.StoreMissing("/nowhere"),
    errors.StoreCorrupt("/store/layers.json", "no comma", line=3, column=7),
    errors.StoreReadOnly("/store"),
    errors.StoreAccess("/store", "Permission denied"),
    errors.LockTimeout("/store/layers.lock", 5, ["podman (PID 12)", "buildah (PID 13)"]),
    errors.BadArchive("not a header", entry="../x", offset=512),
    errors.DamagedLayer(LAYER, "has another size", path="/etc/passwd"),
    errors.NoSuchFile(LAYER, "/etc/passwd"),
    errors.UnusableFile(LAYER, "/dev/null", "only root may make a device", "use sudo"),
    errors.TargetExists("/home/me/out"),
    errors.NotSupported("not with vfs"),
    errors.Cancelled("the export"),
]


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
def test_every_kind_has_its_own_headline_and_all_its_fields(error: errors.LayerStoreError) -> None:
    explanation = explain(error)
    assert not explanation.is_bug
    assert explanation.headline != explain(errors.LayerStoreError("x")).headline
    text = explanation.as_text()
    for name, value in vars(error).items():
        for part in value if isinstance(value, tuple) else [value]:
            assert (f"{part:,}" if name == "offset" else f"{part:g}" if name == "seconds" else str(part)) in text


def test_no_kind_is_forgotten() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds - {errors.LayerStoreError} == {type(error) for error in EVERY_KIND}


def test_the_hint_of_an_error_replaces_the_remedy() -> None:
    assert explain(errors.StoreCorrupt("f", "r", hint="run the repair")).way_out == "Run the repair"


def test_a_system_error_is_no_bug() -> None:
    assert "Free space" in explain(OSError(errno.ENOSPC, "No space left on device")).way_out
    explanation = explain(FileNotFoundError(2, "No such file or directory", "/x"))
    assert not explanation.is_bug
    assert explanation.facts == (("Path", "/x"),)


async def test_holders_are_listed_in_full_and_copied() -> None:
    async with shown(lambda: ErrorDialog(IN_USE), (120, 36)) as (app, pilot):
        text = screen_text(app)
        assert "Layer in use" in text
        for holder in ("9a" * 32, "app:1", "[b]app[/]:2", "web"):
            assert holder in text
        await pilot.press("y")
        assert "Image: [b]app[/]:2" in app.clipboard
        await pilot.press("escape")
        assert app.results == [None]


async def test_the_position_of_a_fault_and_the_remedy() -> None:
    error = errors.StoreCorrupt("/store/layers.json", "a comma is missing", line=3, column=7)
    async with shown(lambda: ErrorDialog(error)) as (app, _):
        text = screen_text(app)
        for part in (
            "Store corrupt",
            "/store/layers.json",
            "3, column 7",
            "a comma is missing",
            "→ Nothing was written",
        ):
            assert part in text


async def test_a_bug_is_called_one_and_shows_no_traceback() -> None:
    try:
        {}["key[/]"]
    except KeyError as error:
        bug = error
    async with shown(lambda: ErrorDialog(bug, Path("/state/layertui.log"))) as (app, pilot):
        text = screen_text(app)
        for part in ("This is a bug in layertui", "KeyError", "key[/]", "/state/layertui.log"):
            assert part in text
        assert "Traceback" not in text
        assert Path(__file__).stem not in text
        await pilot.press("enter")
        assert app.results == [None]


async def test_hundreds_of_holders_can_be_scrolled() -> None:
    error = errors.LayerInUse(LAYER, images=[f"image-{number}" for number in range(500)])
    async with shown(lambda: ErrorDialog(error)) as (app, pilot):
        assert "500 images" in screen_text(app)
        await pilot.press("shift+tab", "shift+tab", "end")
        await until(pilot, lambda: "image-499" in screen_text(app))


async def test_a_long_text_scrolls() -> None:
    error = errors.NotSupported("\n".join(f"line {number}" for number in range(60)))
    async with shown(lambda: ErrorDialog(error)) as (app, pilot):
        assert "line 59" not in screen_text(app)
        await pilot.press(*["pagedown"] * 5)
        await until(pilot, lambda: "line 59" in screen_text(app))
        await pilot.press(*["pageup"] * 5)
        await until(pilot, lambda: "line 1 " in screen_text(app))


@pytest.mark.parametrize("error", [errors.DuplicateName(HOSTILE, HOSTILE), RuntimeError(HOSTILE), OSError(5, HOSTILE)])
async def test_hostile_text_is_escaped(error: Exception) -> None:
    async with shown(lambda: ErrorDialog(error, Path(HOSTILE))) as (app, pilot):
        assert_harmless(app)
        await pilot.press("y")
        app.clipboard.encode()


@pytest.mark.parametrize(("keys", "answer"), [(["enter"], True), (["escape"], False), (["n"], False), (["y"], True)])
async def test_a_harmless_question(keys: list[str], answer: bool) -> None:
    async with shown(lambda: ConfirmDialog("Go?", "Really?", confirm_label="Go")) as (app, pilot):
        await pilot.press(*keys)
        assert app.results == [answer]


async def test_enter_alone_confirms_nothing_dangerous() -> None:
    async with shown(lambda: ConfirmDialog(HOSTILE, HOSTILE, confirm_label=HOSTILE[:20], danger=True)) as (app, pilot):
        assert_harmless(app)
        await pilot.press("enter")
        assert app.results == [False]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(Host(lambda: ErrorDialog(IN_USE)), terminal_size=size, run_before=still)


def test_picture_of_a_question(snap_compare: Any) -> None:
    body = "out.tar\n\nThe existing file will be replaced."
    dialog = Host(lambda: ConfirmDialog("Overwrite this file?", body, confirm_label="Overwrite", danger=True))
    assert snap_compare(dialog, run_before=still)
