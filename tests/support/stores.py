"""Types of the store fixtures."""

from __future__ import annotations

from collections.abc import Callable

from layerstore import LayerStore

OpenStore = Callable[..., LayerStore]
"""Opens the test's store, each time as another process would."""
