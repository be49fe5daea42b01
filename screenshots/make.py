"""Make the README's pictures from the real program on the demo store: `make screenshots`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from layerstore import LayerStore
from layertui import demo
from layertui.app import LayertuiApp

HERE = Path(__file__).resolve().parent
SIZE = (120, 36)


async def main() -> None:
    """Open the demo store, press keys, take pictures."""
    with tempfile.TemporaryDirectory() as folder:
        place = demo.prepare(place=Path(folder) / "demo")
        app = LayertuiApp(lambda: LayerStore.open(place.graph_root, place.run_root, driver="vfs"))
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await pilot.pause(1.0)
            for name, keys in SHOTS.items():
                await pilot.press(*keys)
                await pilot.pause(0.6)
                app.save_screenshot(f"{name}.svg", path=str(HERE))


SHOTS: dict[str, list[str]] = {
    "summary": ["1", "down", "down"],
    "changes": ["2"],
    "lineage": ["4"],
    "export": ["e"],
    "delete": ["escape", "d"],
}

if __name__ == "__main__":
    asyncio.run(main())
