"""`layertui` without a command: the browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from layertui.cli.options import find_place, open_store, read_settings, with_existing_driver
from layertui.limits import driver_of, enter_namespace
from layertui.text.safe import safe

if TYPE_CHECKING:
    from layerstore import LayerStore, StorePlace
    from layertui.jobs.opening import DriverChoice
    from layertui.limits import Limits
    from layertui.settings import Settings


def run(options: argparse.Namespace) -> int:
    """Browse the store that the options select and return the exit status."""
    settings = read_settings(options)
    place = find_place(options)
    limits = enter_namespace(place)  # before the app is imported: a process with threads cannot enter a namespace

    from layertui.jobs.opening import DriverChoice  # noqa: PLC0415 - see above

    def open_place(place: StorePlace) -> LayerStore:
        store = open_store(place, read_only=options.read_only or bool(limits.read_only_reason(driver_of(place))))
        limits.opened(store)
        return store

    def open_driver(driver: str) -> LayerStore:
        return open_place(replace(place, driver=driver))

    choice = DriverChoice(place.graph_root, open_driver, named=place.driver, ask=options.driver is None)
    first = with_existing_driver(place, options.driver)
    return run_app(lambda: open_place(first), settings, choice=choice, limits=limits)


def run_app(
    open_first: Callable[[], LayerStore],
    settings: Settings,
    *,
    choice: DriverChoice | None = None,
    limits: Limits | None = None,
) -> int:
    """Run the app, save its session and return the exit status."""
    from layertui.app import LayertuiApp  # noqa: PLC0415 - see `run`
    from layertui.log import start_log  # noqa: PLC0415 - the same
    from layertui.session import Session  # noqa: PLC0415 - the same

    start_log()
    session = Session() if settings.remember else None
    app = LayertuiApp(open_first, choice=choice, settings=settings, session=session, limits=limits)
    app.run()
    for problem in limits.leave() if limits is not None else ():
        _warn(problem)
    if session is not None:
        try:
            session.save()
        except OSError as error:
            _warn(f"cannot save the session: {error}")
    return app.return_code or 0


def _warn(text: str) -> None:
    print(f"layertui: {safe(text)}", file=sys.stderr)  # noqa: T201 - the screen is gone
