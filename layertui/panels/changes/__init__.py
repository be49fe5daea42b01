"""The Changes panel: what a layer changed against its parent, or against any other layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import TREE_ACTIONS
from layertui.panels.base import PanelInfo, Sign
from layertui.panels.changes.actions import CHANGES_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.changes.panel import ChangesPanel  # noqa: PLC0415 - see `PanelInfo`

    return ChangesPanel


CHANGES = PanelInfo(
    "changes",
    "Changes",
    "2",
    "Show what the layer added, modified and deleted",
    _load,
    {"Changes": (CHANGES_ACTIONS, TREE_ACTIONS)},
    (
        Sign("A", "bold $text-success", "added"),
        Sign("M", "bold $text-warning", "modified"),
        Sign("D", "bold $text-error", "deleted"),
    ),
)
