"""Editing the record of a layer: names, flags and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser

if TYPE_CHECKING:
    from layertui.dialogs.flags import FlagChanges


def edit_names(browser: Browser) -> None:
    """Edit the names of the layer under the cursor."""
    from layertui.dialogs.names import NamesDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import names_job  # noqa: PLC0415

    row = browser.layer

    def go(names: tuple[str, ...]) -> None:
        browser.submit(names_job(browser.store, row, names), lambda _: browser.reload())

    browser.ask(NamesDialog(row.layer, browser.view.names), go)


def edit_flags(browser: Browser) -> None:
    """Edit the flags of the layer under the cursor."""
    from layertui.dialogs.flags import FlagsDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import flags_job  # noqa: PLC0415

    row = browser.layer

    def go(changes: FlagChanges) -> None:
        browser.submit(flags_job(browser.store, row, changes.set, changes.clear), lambda _: browser.reload())

    browser.ask(FlagsDialog(row.layer), go)


def edit_metadata(browser: Browser) -> None:
    """Edit the metadata of the layer under the cursor."""
    from layertui.dialogs.metadata import MetadataDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import metadata_job  # noqa: PLC0415

    row = browser.layer

    def go(text: str) -> None:
        browser.submit(metadata_job(browser.store, row, text), lambda _: browser.reload())

    browser.ask(MetadataDialog(row.layer), go)


_COMMON: dict[str, Any] = {"needs": Need.LAYER | Need.WRITABLE, "shown": True}

NAMES = Action("layer.names", "r", "Names", "Edit the layer's names", edit_names, verb="change its names", **_COMMON)
FLAGS = Action("layer.flags", "f", "Flags", "Edit the layer's flags", edit_flags, verb="change its flags", **_COMMON)
METADATA = Action(
    "layer.metadata", "t", "Metadata", "Edit the layer's metadata", edit_metadata, verb="change its metadata", **_COMMON
)
