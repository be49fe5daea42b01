"""Tests of screens that are closed while they are still being composed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from layerstore import Layer
from layerstore.config.detect import DriverStore
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.create import CreateDialog
from layertui.dialogs.delete import DeleteDialog
from layertui.dialogs.drivers import DriverDialog
from layertui.dialogs.help import HelpScreen
from layertui.dialogs.metadata import MetadataDialog
from layertui.dialogs.names import NamesDialog
from layertui.dialogs.pick import LayerPicker
from layertui.dialogs.shell import ShellDialog
from layertui.model.deletion import build_delete_plan
from support.browser import NOW, view_of
from support.dialog_host import Host, shown

LAYER = Layer(id="a" * 64, names=("web",))
STORE = DriverStore("vfs", "/tmp/vfs/dir", 1, None, known=True)
STEPS = range(4)
"""The iterations of the event loop in which the largest screen is composed."""

SCREENS: dict[str, Callable[[], Screen[Any]]] = {
    "confirm": lambda: ConfirmDialog("Sure?", "text", confirm_label="Yes"),
    "create": lambda: CreateDialog([LAYER], {LAYER.id: LAYER}, "", {}, Path("/tmp")),
    "delete": lambda: DeleteDialog(build_delete_plan(view_of([LAYER]), [LAYER.id])),
    "drivers": lambda: DriverDialog("/tmp", [STORE], None, NOW),
    "help": lambda: HelpScreen([]),
    "metadata": lambda: MetadataDialog(LAYER),
    "names": lambda: NamesDialog(LAYER, {}),
    "pick": lambda: LayerPicker("Parent", [LAYER]),
    "shell": lambda: ShellDialog(LAYER, "", images=1, containers=0, children=0),
}


async def begin(app: Host, name: str, steps: int) -> None:
    """Open a screen and run the event loop for `steps` iterations."""
    app.push_screen(SCREENS[name]())
    for _ in range(steps):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_may_be_closed_while_it_is_composed(name: str) -> None:
    async with shown(lambda: ConfirmDialog("First", "text", confirm_label="Yes")) as (app, pilot):
        for steps in STEPS:
            await begin(app, name, steps)
            app.pop_screen()
            await pilot.pause()
            assert isinstance(app.screen, ConfirmDialog)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", ["confirm", "create", "delete"])
async def test_the_app_may_exit_while_a_screen_is_composed(name: str, steps: int) -> None:
    async with shown(lambda: ConfirmDialog("First", "text", confirm_label="Yes")) as (app, _):
        await begin(app, name, steps)
        assert app.return_code is None
        app.exit()
    assert not app.is_running
    assert app.return_code == 0, "an exception would make it 1"
    assert app.results == []
