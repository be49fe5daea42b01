"""Fixtures and hooks of all tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.users import User, build_images, ordinary_user


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tests and the programs that they start away from the settings and the session of the user."""
    home = tmp_path_factory.mktemp("home")
    for name in ("config", "state"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
    return home


@pytest.fixture(scope="module")
def the_user() -> Iterator[User]:
    """Yield an ordinary user whose Podman has the images `base` and `top`, once per test module."""
    with ordinary_user() as user:
        build_images(user)
        yield user


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt modules and tests from garbage collection, which took a fifth of the time of a run.

    Objects that tests create are still collected, but less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
