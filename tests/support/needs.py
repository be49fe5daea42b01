"""Skips for what a machine lacks. With LAYERTUI_REQUIRE_ALL=1, they fail the test instead."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("LAYERTUI_REQUIRE_ALL") == "1"


def skip(reason: str) -> NoReturn:
    """Skip the test, or fail it if LAYERTUI_REQUIRE_ALL is set."""
    if REQUIRE_ALL:
        pytest.fail(f"LAYERTUI_REQUIRE_ALL is set, but: {reason}")
    pytest.skip(reason)


def need_root() -> None:
    """Skip the test unless root runs it."""
    if os.geteuid() != 0:
        skip("needs root")


def need_program(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name)
    if path is None:
        skip(f"needs the program {name}")
    return path
