"""Copying an ID, a name, a path or a digest of a layer."""

from __future__ import annotations

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser


def copy(browser: Browser) -> None:
    """Ask what to copy of the layer under the cursor, and copy it."""
    from layertui.dialogs.copy_menu import CopyMenu  # noqa: PLC0415 - late, to keep startup fast

    browser.ask(CopyMenu(browser.layer.layer), lambda choice: browser.copy(choice[1], choice[0]))


COPY = Action(
    "layer.copy", "y", "Copy", "Copy the ID, a name, the mount path or a digest", copy, needs=Need.LAYER, shown=True
)
