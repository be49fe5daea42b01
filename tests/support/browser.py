"""The app on a real store, run by Textual's pilot."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerstore import Layer, MountPlace, MountState
from layerstore.records.records import encode_layer as encode
from layerstore.records.table import LayerTable, RecordText
from layerstore.store import LayerStore
from layertui.app import LayertuiApp
from layertui.model.view import StoreInfo, StoreView, build_view
from layertui.panels.layers.tree import LayerTree
from layertui.screens.check.screen import CheckScreen
from layertui.screens.check.tree import FindingsTree
from layertui.screens.main.screen import LayersScreen
from layertui.screens.opening import OpeningScreen

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)


def wait_for(condition: Callable[[], bool], pilot: Pilot[None], seconds: float = 10.0) -> Any:
    """Return a coroutine that runs the app until the condition holds, and fails the test after `seconds`."""

    async def wait() -> None:
        for _ in range(int(seconds / 0.02)):
            if condition():
                return
            await pilot.pause(0.02)
        pytest.fail(f"the condition did not hold within {seconds} s")

    return wait()


@dataclass
class Browser:
    """The running app."""

    app: LayertuiApp
    pilot: Pilot[None]

    @property
    def screen(self) -> LayersScreen:
        screen = self.app.screen_stack[-1]
        while not isinstance(screen, LayersScreen):
            screen = self.app.screen_stack[self.app.screen_stack.index(screen) - 1]
        return screen

    @property
    def tree(self) -> LayerTree:
        return self.screen.layer_tree

    @property
    def titles(self) -> list[str]:
        """The titles of the visible rows."""
        listing = self.tree.listing
        assert listing is not None
        return [listing.rows[node].title for node in self.tree.folding.visible]

    @property
    def cursor(self) -> str:
        row = self.tree.cursor_row
        return "" if row is None else row.title

    def lines(self, selector: str) -> list[str]:
        """Return the text that a widget draws."""
        widget = self.screen.query_one(selector)
        return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]

    def text(self, selector: str) -> str:
        return "\n".join(self.lines(selector))

    async def settle(self) -> None:
        """Wait until no job runs and everything is drawn."""
        await asyncio.sleep(0.06)
        await wait_for(lambda: self.app.jobs.idle, self.pilot)
        await self.pilot.pause()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        names = {":": "colon", ">": "greater_than_sign", "/": "slash", ".": "full_stop", "-": "minus", " ": "space"}
        await self.press(*(names.get(letter, letter) for letter in text))

    async def until(self, condition: Callable[[], bool]) -> None:
        await wait_for(condition, self.pilot)


@asynccontextmanager
async def browsing(open_store: Callable[[], LayerStore], size: tuple[int, int] = (120, 36)) -> AsyncIterator[Browser]:
    """Run the app, and yield it once the store is shown."""
    app = LayertuiApp(open_store, clock=lambda: NOW)
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_for(lambda: not isinstance(app.screen, OpeningScreen) and len(app.screen_stack) > 1, pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        yield browser


def check_of(browser: Browser) -> CheckScreen:
    return next(screen for screen in browser.app.screen_stack if isinstance(screen, CheckScreen))


async def check(browser: Browser) -> FindingsTree:
    """Open the check screen and wait until the quick check is done."""
    await browser.press("c")
    await browser.until(lambda: isinstance(browser.app.screen, CheckScreen))
    await browser.until(lambda: not check_of(browser).checking)
    await browser.settle()
    return check_of(browser).query_one(FindingsTree)


@dataclass
class Place:
    """The folders of a vfs store."""

    root: Path
    run: Path

    def open(self, **options: Any) -> LayerStore:
        return LayerStore.open(self.root, self.run, driver="vfs", **options)

    def users(self, kind: str, entries: list[dict[str, Any]]) -> None:
        """Write images.json or containers.json, as Podman would."""
        folder = self.root / f"vfs-{kind}"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{kind}.json").write_text(json.dumps(entries))

    @property
    def layers_json(self) -> Path:
        return self.root / "vfs-layers" / "layers.json"

    def rewrite(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Edit layers.json without a lock or a token, as a careless program might."""
        records = json.loads(self.layers_json.read_text())
        change(records)
        self.layers_json.write_text(json.dumps(records))


class NoUsers:
    """References in which no layer is used."""

    image_tops: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def images(self, layer_id: str) -> tuple[str, ...]:
        return ()

    def containers(self, layer_id: str) -> tuple[str, ...]:
        return ()


def view_of(layers: list[Layer], users: Any = None) -> StoreView:
    """Return a view of layers that are not on disk. Mounts are those that the layers state."""
    stores = list(dict.fromkeys(["", *(layer.image_store for layer in layers)]))
    texts = [
        _text([layer for layer in layers if (layer.image_store, layer.volatile) == (store, volatile)], store, volatile)
        for store in stores
        for volatile in (False, True)
    ]
    table = LayerTable(texts, read_only=any(layer.read_only for layer in layers))
    mounts = [
        MountState(layer.id, layer.mount_point or f"/mnt/{layer.id}", layer.mount_count, MountPlace.HERE)
        for layer in layers
        if layer.mount_count
    ]
    info = StoreInfo(Path("/var/lib/containers/storage"), Path("/run/containers/storage"), "overlay")
    return build_view(info, table, users or NoUsers(), mounts=mounts)


def _text(layers: list[Layer], image_store: str, volatile: bool) -> RecordText:
    data = b"[" + b",".join(map(encode, layers)) + b"]"
    descriptor = os.memfd_create("layers.json")
    try:
        os.write(descriptor, data)
        return RecordText("layers.json", descriptor, data, volatile=volatile, image_store=image_store)
    finally:
        os.close(descriptor)
