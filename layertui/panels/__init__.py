"""The panels beside the list of layers. To add one, create its folder and add a line here."""

from __future__ import annotations

from layertui.panels.base import PanelInfo
from layertui.panels.changes import CHANGES
from layertui.panels.details import DETAILS
from layertui.panels.files import FILES
from layertui.panels.json import JSON
from layertui.panels.lineage import LINEAGE
from layertui.panels.waste import WASTE

PANELS: tuple[PanelInfo, ...] = (
    DETAILS,
    CHANGES,
    FILES,
    LINEAGE,
    WASTE,
    JSON,
)
"""The panels, in the order of their tabs."""
