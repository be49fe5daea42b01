"""Turns parsed options into a place, an open store and the settings. Imports Textual only to read settings."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore import drivers_in, find_store, known_drivers_in

if TYPE_CHECKING:
    from layerstore import LayerStore, StorePlace
    from layertui.settings import Settings


def find_place(options: argparse.Namespace) -> StorePlace:
    """Return the store that the options and storage.conf select. It need not exist."""
    return find_store(options.root, options.runroot, options.driver, options=options.storage_opt)


def with_existing_driver(place: StorePlace, asked: str | None) -> StorePlace:
    """Return the place without the driver from storage.conf if only other drivers have a store there.

    A driver that the user `asked` for is kept.
    """
    if asked is not None or place.driver is None or place.driver in drivers_in(place.graph_root):
        return place
    return replace(place, driver=None) if known_drivers_in(place.graph_root) else place


def open_store(place: StorePlace, *, read_only: bool) -> LayerStore:
    """Open an existing store."""
    from layerstore import LayerStore  # noqa: PLC0415 - after the first frame where there is a screen

    return LayerStore.open(
        place.graph_root,
        place.run_root,
        driver=place.driver,
        options=place.all_options,
        read_only=read_only,
        create=False,
    )


def read_settings(options: argparse.Namespace) -> Settings:
    """Return the settings, or print what is wrong with them and exit with status 2."""
    import layertui.screens.actions  # noqa: F401, PLC0415 - declares the actions, whose IDs the settings name
    from layertui.settings import SettingsError, load_settings  # noqa: PLC0415 - imports Textual

    try:
        return load_settings(Path(options.config) if options.config is not None else None)
    except SettingsError as error:
        print("\n".join(f"layertui: {line}" for line in str(error).splitlines()), file=sys.stderr)  # noqa: T201
        sys.exit(2)
