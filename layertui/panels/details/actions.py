"""The actions of the Summary panel."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions

FIELDS_ACTIONS: Actions = (
    Action("fields.up", "up,k", "Up", "Go to the previous field", "move(-1)"),
    Action("fields.down", "down,j", "Down", "Go to the next field", "move(1)"),
    Action("fields.page-up", "pageup,ctrl+b", "Page up", "Go ten fields up", "move(-10)"),
    Action("fields.page-down", "pagedown,ctrl+f", "Page down", "Go ten fields down", "move(10)"),
    Action("fields.first", "home,g", "First", "Go to the first field", "edge('first')"),
    Action("fields.last", "end,G", "Last", "Go to the last field", "edge('last')"),
    Action(
        "fields.copy",
        "y,enter",
        "Copy field",
        "Copy the field under the cursor",
        "copy_field",
        shown=True,
        written="y",
    ),
)
