"""What the fixtures of stores give to tests."""

from __future__ import annotations

from collections.abc import Callable

from layerstore import LayerStore

OpenStore = Callable[..., LayerStore]
"""Open the test's store once more, as another process would."""
