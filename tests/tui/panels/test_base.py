"""The table of panels: each is complete, and none is imported before it is shown."""

from __future__ import annotations

import subprocess
import sys

from layerstore import LayerStore
from layertui.keys.keymap import all_actions
from layertui.panels import PANELS
from layertui.panels.base import Panel
from support.browser import Place, browsing


def test_every_panel_is_complete() -> None:
    assert len({panel.id for panel in PANELS}) == len({panel.key for panel in PANELS}) == len(PANELS) == 6
    for panel in PANELS:
        widget = panel.load()
        assert issubclass(widget, Panel)
        assert "show" in vars(widget)
        assert panel.places
        shown = all_actions()[f"panel.{panel.id}"]
        assert (shown.keys, shown.label, shown.help) == (panel.key, panel.title, panel.help)


async def test_every_panel_is_shown_by_its_key_and_knows_where_keys_go(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        for info in PANELS:
            await browser.press(info.key)
            panel = browser.screen.panel
            assert panel.id == info.id
            assert type(panel) is info.load()
            await browser.press(info.key)
            assert browser.screen.focused is panel.focus_target
            await browser.press("escape")
            assert browser.tree.has_focus


def test_declaring_the_actions_imports_no_panel_and_no_store() -> None:
    script = """
import sys
import layertui.app, layertui.screens.actions
late = ["layertui.panels.files.panel", "layertui.panels.changes.model", "layertui.screens.main.screen",
    "layertui.jobs.read", "layertui.dialogs.delete", "layerstore.store", "layerstore.records.table", "pygments"]
assert not [name for name in late if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
