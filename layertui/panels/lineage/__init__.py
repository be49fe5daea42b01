"""The Lineage panel: the parent-child graph around a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import TREE_ACTIONS
from layertui.panels.base import PanelInfo, Sign
from layertui.panels.lineage.actions import LINEAGE_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.lineage.panel import LineagePanel  # noqa: PLC0415 - see `PanelInfo`

    return LineagePanel


LINEAGE = PanelInfo(
    "lineage",
    "Lineage",
    "4",
    "Show the layers below and above",
    _load,
    {"Lineage": (LINEAGE_ACTIONS, TREE_ACTIONS)},
    (Sign("◀", "$text-warning", "the layer whose lineage is shown"),),
)
