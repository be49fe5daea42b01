"""The command line. Textual is imported only when a screen is wanted: the other commands start in a fraction."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from layerstore import LayerStore, LayerStoreError, StorePlace, find_store

DESCRIPTION = "Browse the layers of a container store: Podman's, Buildah's, CRI-O's, Skopeo's, or one of its own."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (by default the process's own) ask for, and exit."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        sys.exit(command(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (LayerStoreError, OSError) as error:
        sys.exit(f"layertui: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="layertui", description=DESCRIPTION)
    parser.set_defaults(command=_browse)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("--root", metavar="DIR", help="the graph root, as of `podman --root`")
    parser.add_argument("--runroot", metavar="DIR", help="the run root, as of `podman --runroot`")
    parser.add_argument(
        "--driver", metavar="NAME", help="the storage driver; by default the one that has a store there"
    )
    parser.add_argument("--read-only", action="store_true", help="refuse every change")
    commands = parser.add_subparsers(title="commands", metavar="")
    layers = commands.add_parser("layers", help="list the layers and exit")
    layers.add_argument("--json", action="store_true", help="as one JSON array of records")
    layers.set_defaults(command=_list)
    demo = commands.add_parser("demo", help="make a demo store in the cache folder, without root, and open it")
    demo.add_argument("--reset", action="store_true", help="make it anew, losing what was done to it")
    demo.add_argument("--no-open", action="store_true", help="make it, say where, and exit")
    demo.set_defaults(command=_demo)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes longer than listing a small store."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"layertui {version('layertui')}\n")


def _browse(options: argparse.Namespace) -> int:
    from layertui.app import LayertuiApp

    place = find_store(options.root, options.runroot, options.driver)
    LayertuiApp(lambda: _open(place, read_only=options.read_only)).run()
    return 0


def _list(options: argparse.Namespace) -> int:
    from layertui import listing

    place = find_store(options.root, options.runroot, options.driver)
    store = _open(place, read_only=True)
    write = listing.write_json if options.json else listing.write_text
    write(store.layers(), sys.stdout.buffer)
    return 0


def _demo(options: argparse.Namespace) -> int:
    from layertui import demo

    place = demo.prepare(reset=options.reset)
    if options.no_open:
        print(f"--root {place.graph_root} --runroot {place.run_root}")  # noqa: T201 - this is what was asked for
        return 0
    from layertui.app import LayertuiApp

    LayertuiApp(lambda: _open(place, read_only=options.read_only)).run()
    return 0


def _open(place: StorePlace, *, read_only: bool) -> LayerStore:
    return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, read_only=read_only, create=False)
