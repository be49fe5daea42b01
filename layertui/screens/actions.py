"""All actions of the program, by the places that can have the focus.

Importing this module registers them (see `layertui.keys.keymap`).
"""

from __future__ import annotations

from layertui.keys.actions import APP_ACTIONS, FILTER_ACTIONS, TREE_ACTIONS, Actions
from layertui.keys.keymap import declare
from layertui.panels import PANELS
from layertui.panels.layers.actions.marks import LIST_ACTIONS
from layertui.screens.check.actions import CHECK_ACTIONS, FINDINGS_ACTIONS
from layertui.screens.main.actions import MAIN_ACTIONS

PLACES: dict[str, tuple[Actions, ...]] = {
    "list": (LIST_ACTIONS, TREE_ACTIONS, MAIN_ACTIONS, APP_ACTIONS),
    **{place: (*actions, MAIN_ACTIONS, APP_ACTIONS) for panel in PANELS for place, actions in panel.places.items()},
    "check": (FINDINGS_ACTIONS, TREE_ACTIONS, CHECK_ACTIONS, APP_ACTIONS),
    "filter": (FILTER_ACTIONS, MAIN_ACTIONS, APP_ACTIONS),
}
"""The actions of each place, the nearest first: if two have the same key, the nearer one gets it."""

declare(PLACES)
