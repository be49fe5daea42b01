"""The Summary panel: all fields of a layer, each of which can be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.panels.base import PanelInfo
from layertui.panels.details.actions import FIELDS_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.details.panel import DetailsPanel  # noqa: PLC0415 - see `PanelInfo`

    return DetailsPanel


DETAILS = PanelInfo("summary", "Summary", "1", "Show all fields of the layer", _load, {"Summary": (FIELDS_ACTIONS,)})
