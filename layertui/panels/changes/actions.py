"""The actions of the Changes panel."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions

CHANGES_ACTIONS: Actions = (
    Action("changes.toggle", "space", "Fold", "Fold or unfold", "toggle_fold"),
    Action("changes.added", "A", "Added", "Show or hide added files", "toggle_kind('ADD')", shown=True),
    Action("changes.modified", "M", "Modified", "Show or hide modified files", "toggle_kind('MODIFY')", shown=True),
    Action("changes.deleted", "D", "Deleted", "Show or hide deleted files", "toggle_kind('DELETE')", shown=True),
)
