"""Stores for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore import LayerStore

OpenStore = Callable[..., LayerStore]


@pytest.fixture(params=["vfs"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Return a function that opens the test's store, again and again, as other processes would."""

    def open_it(**options: object) -> LayerStore:
        options.setdefault("driver", request.param)
        options.setdefault("lock_timeout", 2.0)
        return LayerStore.open(tmp_path / "graph", tmp_path / "run", **options)  # type: ignore[arg-type]

    return open_it


@pytest.fixture
def store(open_store: OpenStore) -> LayerStore:
    """Return a new, empty store."""
    return open_store()
