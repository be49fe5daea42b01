"""Make the README's pictures from the real program on the demo store: `make screenshots`."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from layerstore import LayerStore
from layertui import demo
from layertui.app import LayertuiApp

HERE = Path(__file__).resolve().parent
WORK = Path(tempfile.gettempdir()) / "layertui"
SIZE = (120, 36)

SHOTS: dict[str, list[str]] = {
    "changes": [*["down"] * 4, "2"],
    "summary": ["1"],
    "lineage": ["4"],
    "export": ["e"],
    "filter": ["escape", "tab", "slash", *"is:unused"],
    "delete": ["escape", "escape", "home", *["down"] * 4, "d"],
    "help": ["escape", "question_mark"],
}
"""The pictures' names, and the keys that lead from one to the next."""


async def main() -> None:
    """Open the demo store in a folder whose name says nothing of this machine, press keys, take pictures."""
    WORK.mkdir()
    os.chdir(WORK)
    place = demo.prepare(place=WORK / "demo")
    app = LayertuiApp(lambda: LayerStore.open(place.graph_root, place.run_root, driver="vfs"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.pause(1.0)
        for name, keys in SHOTS.items():
            await pilot.press(*keys)
            await pilot.pause(0.8)
            app.save_screenshot(f"{name}.svg", path=str(HERE))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
