"""`layertui keys`: the key bindings as a table for config.toml."""

from __future__ import annotations

import argparse
import sys

from layertui.cli.options import read_settings
from layertui.keys.keymap import all_bindings, key_table, remapped
from layertui.settings import config_path
from layertui.text.safe import safe


def run(options: argparse.Namespace) -> int:
    """Print every binding with its current keys and return the exit status."""
    keymap = read_settings(options).keymap
    path = options.config if options.config is not None else config_path()
    table = key_table(remapped(binding, keymap) for binding in all_bindings().values())
    sys.stdout.write(
        f"# Key bindings of layertui. Copy the lines you want to change to {safe(str(path))}\n[keys]\n{table}"
    )
    return 0
