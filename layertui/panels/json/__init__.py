"""The JSON panel: the layer's record as it is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import TREE_ACTIONS
from layertui.panels.base import PanelInfo
from layertui.panels.json.actions import JSON_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.json.panel import JsonPanel  # noqa: PLC0415 - see `PanelInfo`

    return JsonPanel


JSON = PanelInfo(
    "json",
    "JSON",
    "6",
    "Show the record as it is on disk",
    _load,
    {"JSON": (JSON_ACTIONS, TREE_ACTIONS)},
)
