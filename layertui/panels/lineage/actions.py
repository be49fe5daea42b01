"""The actions of the Lineage panel."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions

LINEAGE_ACTIONS: Actions = (
    Action("lineage.choose", "enter", "Go to", "Go to this layer in the list", "choose", shown=True),
    Action("lineage.toggle", "space", "Fold", "Fold or unfold", "toggle_fold"),
)
