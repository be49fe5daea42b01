"""The command line. Textual is imported only when a screen is wanted: the other commands start in a fraction."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from layerstore.config.detect import drivers_in, known_drivers_in
from layerstore.errors import LayerStoreError
from layertui.text.safe import safe

if TYPE_CHECKING:
    from layerstore import LayerStore, StorePlace
    from layertui.jobs.opening import DriverChoice
    from layertui.limits import Footing
    from layertui.settings import Settings

DESCRIPTION = "Browse the layers of a container store: Podman's, Buildah's, CRI-O's, Skopeo's, or one of its own."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (by default the process's own) ask for, and exit."""
    options = _parser().parse_args(arguments)
    if options.command not in (_browse, _demo):  # the app sees to it itself
        gc.enable()
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        sys.exit(command(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (LayerStoreError, OSError) as error:
        sys.exit(f"layertui: {safe(str(error))}")


class _Parser(argparse.ArgumentParser):
    """Shows arguments that are wrong, such as file names out of a `*`, as they may be shown."""

    def error(self, message: str) -> NoReturn:
        super().error(safe(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="layertui", description=DESCRIPTION)
    parser.set_defaults(command=_browse)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add_place(parser)
    parser.add_argument("--config", metavar="FILE", help="the file of settings, in place of the usual one")
    parser.add_argument("--read-only", action="store_true", help="refuse every change")
    commands = parser.add_subparsers(title="commands", metavar="")
    layers = commands.add_parser("layers", help="list the layers and exit")
    layers.add_argument("--json", action="store_true", help="as one JSON array of records")
    _add_place(layers, again=True)
    layers.set_defaults(command=_list)
    check = commands.add_parser("check", help="check the store, changing nothing; exit status 1 if anything is found")
    check.add_argument("--deep", action="store_true", help="read every layer, and compare it with the tar that came in")
    check.add_argument("--json", action="store_true", help="as one JSON array of findings")
    check.add_argument("layers", nargs="*", metavar="LAYER", help="check these layers only")
    _add_place(check, again=True)
    check.set_defaults(command=_check)
    keys = commands.add_parser(
        "keys", help="list the keys of the browser, as a table for the file of settings, and exit"
    )
    keys.set_defaults(command=_keys)
    demo = commands.add_parser("demo", help="make a demo store in the cache folder, without root, and open it")
    demo.add_argument("--reset", action="store_true", help="make it anew, losing what was done to it")
    demo.add_argument("--no-open", action="store_true", help="make it, say where, and exit")
    demo.set_defaults(command=_demo)
    return parser


def _add_place(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the options that say which store is meant; `again`, behind a command, they may be given as well."""
    default = argparse.SUPPRESS if again else None
    parser.add_argument("--root", metavar="DIR", default=default, help="the graph root, as of `podman --root`")
    parser.add_argument("--runroot", metavar="DIR", default=default, help="the run root, as of `podman --runroot`")
    what = "the storage driver; by default the one that has a store there"
    parser.add_argument("--driver", metavar="NAME", default=default, help=what)
    what = "an option of the driver, as of `podman --storage-opt`, in place of those of storage.conf"
    parser.add_argument("--storage-opt", metavar="NAME=VALUE", action="append", default=default, help=what)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes longer than listing a small store."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"layertui {version('layertui')}\n")


def _browse(options: argparse.Namespace) -> int:
    from layerstore.config.find import find_store
    from layertui.limits import driver_of, take_footing

    settings = _settings(options)
    place = find_store(options.root, options.runroot, options.driver, options=options.storage_opt)
    footing = take_footing(place)  # before Textual is imported, and before there is any thread

    from layertui.jobs.opening import DriverChoice

    def open_place(place: StorePlace) -> LayerStore:
        store = _open(place, read_only=options.read_only or bool(footing.why_read_only(driver_of(place))))
        footing.opened(store)
        return store

    def open_driver(driver: str) -> LayerStore:
        return open_place(replace(place, driver=driver))

    choice = DriverChoice(place.graph_root, open_driver, named=place.driver, ask=options.driver is None)
    return _run(lambda: open_place(_with_driver(place, options.driver)), settings, choice=choice, footing=footing)


def _settings(options: argparse.Namespace) -> Settings:
    """Read the settings; what is wrong with them is said before there is a screen, with exit status 2."""
    from pathlib import Path

    from layertui.settings import SettingsError, load_settings

    try:
        return load_settings(Path(options.config) if options.config is not None else None)
    except SettingsError as error:
        print("\n".join(f"layertui: {line}" for line in str(error).splitlines()), file=sys.stderr)  # noqa: T201
        sys.exit(2)


def _run(
    open_store: Callable[[], LayerStore],
    settings: Settings,
    *,
    choice: DriverChoice | None = None,
    footing: Footing | None = None,
) -> int:
    """Run the browser, between the reading and the writing of what it remembers."""
    from layertui.app import LayertuiApp
    from layertui.session import Session

    session = Session() if settings.remember else None
    LayertuiApp(open_store, choice=choice, settings=settings, session=session, footing=footing).run()
    for problem in footing.leave() if footing is not None else ():
        print(f"layertui: {safe(problem)}", file=sys.stderr)  # noqa: T201 - the screen is gone
    if session is not None:
        try:
            session.save()
        except OSError as error:
            told = safe(f"layertui: the session is not remembered: {error}")
            print(told, file=sys.stderr)  # noqa: T201 - the screen is gone
    return 0


def _keys(options: argparse.Namespace) -> int:
    from layertui.keys.keymap import all_bindings, key_table, remapped
    from layertui.settings import config_path

    keymap = _settings(options).keymap
    where = options.config if options.config is not None else config_path()
    print(f"# The keys of layertui. Copy what you change to {safe(str(where))}")  # noqa: T201 - this is what was asked for
    print("[keys]")  # noqa: T201
    print(key_table(remapped(binding, keymap) for binding in all_bindings().values()), end="")  # noqa: T201
    return 0


def _list(options: argparse.Namespace) -> int:
    from layerstore.config.find import find_store
    from layertui.cli import layers as listing

    place = find_store(options.root, options.runroot, options.driver, options=options.storage_opt)
    store = _open(_with_driver(place, options.driver), read_only=True)
    others = [name for name in drivers_in(place.graph_root) if name != store.driver_name]
    if others and options.driver is None:
        told = f"layertui: these are the layers of {store.driver_name}; {safe(place.graph_root)} has others of"
        print(f"{told} {safe(', '.join(others))}: see --driver", file=sys.stderr)  # noqa: T201 - beside the list
    for problem in store.problems() if store.image_stores else ():
        if not problem.layer:
            print(f"layertui: {safe(problem.text)}", file=sys.stderr)  # noqa: T201 - the same
    write = listing.write_json if options.json else listing.write_text
    write(store.table(), sys.stdout.buffer)
    return 0


def _check(options: argparse.Namespace) -> int:
    from layerstore.config.find import find_store
    from layertui.cli import check as check_report

    def open_store() -> LayerStore:
        place = find_store(options.root, options.runroot, options.driver, options=options.storage_opt)
        return _open(_with_driver(place, options.driver), read_only=options.read_only)

    return check_report.run(open_store, deep=options.deep, as_json=options.json, layers=options.layers, out=sys.stdout)


def _demo(options: argparse.Namespace) -> int:
    from layertui.cli import demo

    settings = None if options.no_open else _settings(options)
    place = demo.prepare(reset=options.reset)
    if settings is None:
        print(f"--root {place.graph_root} --runroot {place.run_root}")  # noqa: T201 - this is what was asked for
        return 0
    return _run(lambda: _open(place, read_only=options.read_only), settings)


def _with_driver(place: StorePlace, asked: str | None) -> StorePlace:
    """Leave aside a driver that the configuration names and that has no store there, if another one has."""
    if asked is not None or place.driver is None or place.driver in drivers_in(place.graph_root):
        return place
    return replace(place, driver=None) if known_drivers_in(place.graph_root) else place


def _open(place: StorePlace, *, read_only: bool) -> LayerStore:
    from layerstore.store import LayerStore

    return LayerStore.open(
        place.graph_root,
        place.run_root,
        driver=place.driver,
        options=place.all_options,
        read_only=read_only,
        create=False,
    )
