"""The actions of the Waste panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from layertui.keys.actions import Action, Actions
from layertui.panels.browser import Browser

if TYPE_CHECKING:
    from layertui.panels.waste.panel import WastePanel


def _no_line(browser: Browser) -> str:
    return "There are no lines here" if cast("WastePanel", browser.panel).layer_id is None else ""


def copy(browser: Browser) -> None:
    """Copy the path under the cursor, or the layer's ID on the line of a layer."""
    panel = cast("WastePanel", browser.panel)
    text = panel.path or panel.layer_id
    if text is not None:
        browser.copy(text, "path" if panel.path else "ID")


_OPEN = "Show the layers with this path; on a layer, go to it"

WASTE_ACTIONS: Actions = (
    Action("waste.open", "enter", "Layers", _OPEN, "toggle_fold", refusal=_no_line, shown=True, written="⏎"),
    Action("waste.toggle", "space", "Layers", _OPEN, "toggle_fold", refusal=_no_line),
    Action("waste.copy", "y", "Copy path", "Copy the path", copy, refusal=_no_line, shown=True),
)
