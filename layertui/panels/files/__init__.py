"""The Files panel: the layer's whole file system, as its container would see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import TREE_ACTIONS
from layertui.panels.base import PanelInfo, Sign
from layertui.panels.files.actions import FILES_ACTIONS, PREVIEW_ACTIONS

if TYPE_CHECKING:
    from layertui.panels.base import Panel


def _load() -> type[Panel]:
    from layertui.panels.files.panel import FilesPanel  # noqa: PLC0415 - see `PanelInfo`

    return FilesPanel


FILES = PanelInfo(
    "files",
    "Files",
    "3",
    "Show the files of the layer, as its container would see them",
    _load,
    {"Files": (FILES_ACTIONS, TREE_ACTIONS), "preview": (PREVIEW_ACTIONS,)},
    (Sign("~", "bold $text-warning", "a folder in which the layer changed something"),),
)
