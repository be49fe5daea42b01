"""Measures the layers on which the cursor rests and whose records give no size."""

from __future__ import annotations

from collections.abc import Callable

from layerstore import DiskUsage
from layertui.jobs.runner import Job
from layertui.model.rows import LayerRow
from layertui.panels.base import Browser
from layertui.panels.layers.jobs import measure_job


class Sizes:
    """Measures one layer at a time, the most recently wanted first, and caches what it finds.

    A newly wanted layer interrupts the measurement of another one, which starts again later. So every wanted layer is
    measured in the end, however fast the cursor moves. `changed` is called with the ID of each layer that was measured.
    """

    def __init__(self, browser: Browser, changed: Callable[[str], object]) -> None:
        self._browser = browser
        self._changed = changed
        self._found: dict[str, DiskUsage] = {}
        self._stale: set[str] = set()
        """Layers to measure again when the cursor rests on them. Their sizes stay until then."""
        self._failed: set[str] = set()
        self._wanted: list[str] = []
        """Layers that are not measured yet. The last one is being measured."""
        self._job: Job[DiskUsage] | None = None

    @property
    def measured(self) -> dict[str, int]:
        """The sizes that were measured, by layer ID."""
        return {layer_id: usage.size for layer_id, usage in self._found.items()}

    def of(self, layer_id: str) -> DiskUsage | None:
        """Return the measured size of a layer."""
        return self._found.get(layer_id)

    def want(self, row: LayerRow) -> None:
        """Measure a layer, unless its size is known or cannot be measured."""
        unknown = row.id in self._stale if row.id in self._found else row.size is None
        self._stale.discard(row.id)
        if not unknown or row.id in self._failed or row.id in self._wanted[-1:]:
            return
        if row.id in self._wanted:
            self._wanted.remove(row.id)
        self._wanted.append(row.id)
        self._measure()

    def _measure(self) -> None:
        layer_id = self._wanted[-1]

        def found(usage: DiskUsage) -> None:
            self._found[layer_id] = usage
            self._go_on(layer_id)
            self._changed(layer_id)

        def failed(error: Exception) -> None:
            del error  # a size that cannot be measured stays unknown
            self._failed.add(layer_id)
            self._go_on(layer_id)

        # the job's key cancels the previous job, whose layer is still wanted
        self._job = self._browser.submit(measure_job(self._browser.store, layer_id), found, failed)

    def _go_on(self, layer_id: str) -> None:
        """Measure the next layer if this one was being measured."""
        was_last = layer_id in self._wanted[-1:]
        if layer_id in self._wanted:
            self._wanted.remove(layer_id)
        if was_last and self._wanted:
            self._measure()

    def forget(self) -> None:
        """Measure every layer again when the cursor rests on it."""
        self._wanted.clear()
        self._failed.clear()
        self._stale = {*self._found}
        if self._job is not None:
            self._browser.jobs.cancel(self._job)
