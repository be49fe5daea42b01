"""Make the README's pictures with the real program, on a store of Podman or the demo store: `make screenshots`.

Each picture is taken in the dark theme (NAME.svg) and in the light theme (NAME-light.svg).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import podman_store
from textual.pilot import Pilot

from layerstore import LayerStore, StorePlace, find_store
from layertui.app import LayertuiApp
from layertui.cli import demo
from layertui.screens.main.screen import LayersScreen
from layertui.settings import Settings

HERE = Path(__file__).resolve().parent
SIZE = (120, 36)
_PATIENCE = 60.0
_NAMES = {":": "colon", "/": "slash", ".": "full_stop"}


@dataclass(frozen=True)
class Shot:
    """A picture: the image or name of the layer to move the cursor to ("" for none), and the keys to press there."""

    name: str
    on: str
    keys: str


SHOTS = (
    Shot("changes", "worker:2.3", "2 2"),
    Shot("summary", "shop:2.3", "1"),
    Shot("lineage", "python:3.11", "4"),
    Shot("files", "shop:2.3", "3 3 right down down down down down down enter"),
    Shot("where", "shop:2.3", "3 3 right down down down down w"),
    Shot("compare", "shop:2.3", "equals_sign down down down 2"),
    Shot("waste", "shop:2.3", "5 5 enter"),
    Shot("json", "shop:2.3", "6 6"),
    Shot("filter", "", "/ i s : u n u s e d"),
    Shot("export", "shop:2.3", "e"),
    Shot("delete", "shop:2.3", "d"),
    Shot("create", "shop:2.3", "n"),
    Shot("apply", "shop-2024", "a / s r v / s h o p minus 2 0 2 4 . t a r"),
    Shot("check", "", "c D g down down"),
    Shot("repair", "", "c D space space f"),
    Shot("help", "", "question_mark"),
)
"""Each picture starts a new app, so that none depends on another."""


Clock = Callable[[], datetime]


async def take(shot: Shot, open_store: Callable[[], LayerStore], clock: Clock) -> None:
    """Run the app, press the keys, and take the picture in both themes."""
    app = LayertuiApp(open_store, clock=clock, settings=Settings(theme="layertui-dark"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await _settle(app, pilot)
        async with asyncio.timeout(_PATIENCE):
            while not isinstance(app.screen, LayersScreen):
                await pilot.pause(0.05)
        await _settle(app, pilot)
        if shot.on:
            app.screen.go_to_layer(_layer_of(app.screen, shot.on))
            await _settle(app, pilot)
        for key in shot.keys.split():
            await pilot.press(_NAMES.get(key, key))
            await _settle(app, pilot)
        app.clear_notifications()
        for theme, file in (("dark", f"{shot.name}.svg"), ("light", f"{shot.name}-light.svg")):
            app.theme = f"layertui-{theme}"
            await pilot.pause(0.1)
            app.save_screenshot(file, path=str(HERE))


def _layer_of(screen: LayersScreen, name: str) -> str:
    """Return the ID of the top layer of an image, or of the layer with this name, or of the first layer."""
    rows = screen.view.rows
    named = (row for row in rows if name in row.names or any(image.endswith(f"/{name}") for image in row.tops))
    return next(named, rows[0]).id


async def _settle(app: LayertuiApp, pilot: Pilot[None]) -> None:
    await pilot.pause(0.12)
    async with asyncio.timeout(_PATIENCE):
        while not app.jobs.idle:
            await pilot.pause(0.05)
    await pilot.pause(0.06)


async def take_all(place: StorePlace, clock: Clock, wanted: list[str]) -> None:
    """Take the wanted pictures, or all if the list is empty."""

    def open_store() -> LayerStore:
        return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, options=place.all_options)

    for shot in SHOTS:
        if not wanted or shot.name in wanted:
            await take(shot, open_store, clock)


@contextmanager
def demo_store() -> Iterator[StorePlace]:
    """Create the demo store in a folder whose path says nothing about this machine."""
    work = Path(tempfile.gettempdir()) / "layertui"
    work.mkdir()
    try:
        os.chdir(work)
        yield demo.prepare(place=work / "demo")
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def real_store() -> Iterator[StorePlace]:
    """Create a store with Podman, and find it as Podman does."""
    try:
        podman_store.make()
        os.chdir(podman_store.WORK)
        yield find_store()
    finally:
        podman_store.close()


def main() -> None:
    """Take the pictures named on the command line, or all."""
    reason = podman_store.why_not()
    if not reason and not podman_store.inside():
        podman_store.go_inside()
    if reason:
        print(f"screenshots: cannot create a store with Podman here ({reason}); using the demo store", file=sys.stderr)
    clock: Clock = (lambda: datetime.now(UTC)) if reason else (lambda: podman_store.NOW)
    with demo_store() if reason else real_store() as place:
        asyncio.run(take_all(place, clock, sys.argv[1:]))


if __name__ == "__main__":
    main()
