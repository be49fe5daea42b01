"""Marking layers."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions, Need
from layertui.panels.base import Browser

MARK: Action[Browser] = Action(
    "layers.mark",
    "space",
    "Mark",
    "Mark or unmark the layer, for actions on several layers",
    "mark",
    needs=Need.ROWS,
    shown=True,
)

LIST_ACTIONS: Actions = (MARK,)
"""Actions that work only while the list of layers has the focus."""
