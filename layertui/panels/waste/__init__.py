"""The Waste panel: bytes of a layer and its ancestors that no container sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import TREE_ACTIONS
from layertui.panels.base import PanelInfo
from layertui.panels.waste.actions import WASTE_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.waste.panel import WastePanel  # noqa: PLC0415 - see `PanelInfo`

    return WastePanel


WASTE = PanelInfo(
    "waste",
    "Waste",
    "5",
    "Show bytes that later layers replace or delete",
    _load,
    {"Waste": (WASTE_ACTIONS, TREE_ACTIONS)},
)
