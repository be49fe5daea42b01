"""The actions of the Waste panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from layertui.keys.actions import Action, Actions
from layertui.panels.base import Browser

if TYPE_CHECKING:
    from typing import Protocol

    class _Lines(Protocol):
        """The part of the Waste panel that its actions use."""

        @property
        def layer_id(self) -> str | None:
            """The layer of the line under the cursor, None while there is a note."""
            ...

        @property
        def path(self) -> str | None:
            """The path under the cursor, None on the line of a layer and while there is a note."""
            ...


def _lines(browser: Browser) -> _Lines:
    return cast("_Lines", browser.panel)


def _no_line(browser: Browser) -> str:
    return "There are no lines here" if _lines(browser).layer_id is None else ""


def copy(browser: Browser) -> None:
    """Copy the path under the cursor, or the layer's ID on the line of a layer."""
    line = _lines(browser)
    text = line.path or line.layer_id
    if text is not None:
        browser.copy(text, "path" if line.path else "ID")


_OPEN = "Show the layers with this path; on a layer, go to it"

WASTE_ACTIONS: Actions = (
    Action("waste.open", "enter", "Layers", _OPEN, "toggle_fold", refusal=_no_line, shown=True, written="⏎"),
    Action("waste.toggle", "space", "Layers", _OPEN, "toggle_fold", refusal=_no_line),
    Action("waste.copy", "y", "Copy path", "Copy the path", copy, refusal=_no_line, shown=True),
)
