"""The command line: the parser, and the dispatch to one module per command."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from layerstore import LayerStoreError
from layertui.text.safe import safe

DESCRIPTION = (
    "Browse the layers of a container store, such as those of Podman, Buildah, CRI-O and Skopeo. "
    "Without a command, the browser opens."
)

_COMMANDS_WITH_SCREEN = ("browse", "demo")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its status.

    `arguments` defaults to those of the process. The module of the command is imported only when it runs, because
    importing Textual takes longer than listing a store.
    """
    options = _parser().parse_args(arguments)
    if options.command not in _COMMANDS_WITH_SCREEN:  # the app enables the collector itself, after its first frame
        gc.enable()
    try:
        run: Callable[[argparse.Namespace], int] = import_module(f"layertui.cli.{options.command}").run
        sys.exit(run(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would fail again
        sys.exit(1)
    except (LayerStoreError, OSError) as error:
        sys.exit(f"layertui: {safe(str(error))}")


class _Parser(argparse.ArgumentParser):
    """A parser that escapes control characters in its error messages, which quote the arguments."""

    def error(self, message: str) -> NoReturn:
        super().error(safe(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="layertui", description=DESCRIPTION)
    parser.set_defaults(command="browse")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add_store_options(parser)
    parser.add_argument("--config", metavar="FILE", help="read the settings from FILE instead of the default location")
    parser.add_argument("--read-only", action="store_true", help="open the store read-only")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    layers = _add_command(commands, "layers", "list the layers")
    layers.add_argument("--json", action="store_true", help="print the records as a JSON array")
    _add_store_options(layers, after_command=True)
    check = _add_command(commands, "check", "check the store for damage without changing it")
    check.epilog = "Exit status: 0 if nothing is found, 1 if there are findings, 2 if something could not be checked."
    check.add_argument("--deep", action="store_true", help="also compare the files of each layer with its original tar")
    check.add_argument("--json", action="store_true", help="print the findings as a JSON array")
    check.add_argument("layers", nargs="*", metavar="LAYER", help="check only these layers (default: all)")
    _add_store_options(check, after_command=True)
    _add_command(commands, "keys", "print the key bindings as a table for config.toml")
    demo = _add_command(commands, "demo", "create a demo store in the cache directory and browse it; needs no root")
    demo.add_argument("--reset", action="store_true", help="recreate the demo store; changes are lost")
    demo.add_argument("--no-open", action="store_true", help="only create the demo store and print its location")
    return parser


def _add_command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    summary: str,
) -> _Parser:
    """Add a command, which the module of the same name in this package runs."""
    parser = commands.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
    parser.set_defaults(command=name)
    return parser


def _add_store_options(parser: argparse.ArgumentParser, *, after_command: bool = False) -> None:
    """Add the options that select the store.

    The parser of a command gets them too, with `after_command`, so that they can be given before or after the command.
    There they have no default, because it would replace a value given before the command.
    """
    default = argparse.SUPPRESS if after_command else None
    parser.add_argument("--root", metavar="DIR", default=default, help="the graph root, as in `podman --root`")
    parser.add_argument("--runroot", metavar="DIR", default=default, help="the run root, as in `podman --runroot`")
    text = "the storage driver (default: the driver that the store uses)"
    parser.add_argument("--driver", metavar="NAME", default=default, help=text)
    text = "a driver option, as in `podman --storage-opt`; overrides the options in storage.conf; may be repeated"
    parser.add_argument("--storage-opt", metavar="NAME=VALUE", action="append", default=default, help=text)


class _Version(argparse.Action):
    """Prints the version, which takes longer to look up than a small store takes to list."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"layertui {version('layertui')}\n")
