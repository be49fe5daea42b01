"""The actions of the JSON panel."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions

JSON_ACTIONS: Actions = (
    Action("json.fold", "enter", "Fold", "Fold or unfold the object or list", "toggle_fold", shown=True, written="⏎"),
    Action("json.toggle", "space", "Fold", "Fold or unfold the object or list", "toggle_fold"),
    Action(
        "json.copy",
        "y",
        "Copy value",
        "Copy the value under the cursor; on the first line, the whole record",
        "copy_value",
        shown=True,
    ),
)
