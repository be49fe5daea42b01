"""What several test files need: tars made in a line, and skips that continuous integration turns into failures."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("LAYERTUI_REQUIRE_ALL") == "1"


def skip(reason: str) -> NoReturn:
    """Skip the test, or fail where nothing may be skipped."""
    if REQUIRE_ALL:
        pytest.fail(f"must run here, but: {reason}")
    pytest.skip(reason)


def need_root() -> None:
    """Skip unless root runs the tests."""
    if os.geteuid() != 0:
        skip("needs root")


def need_program(name: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(name)
    if path is None:
        skip(f"needs the program {name}")
    return path
