"""Measures the layers on which the cursor has rested."""

from __future__ import annotations

from textual.screen import Screen

from layerstore.store import LayerStore
from layertui.jobs import read
from layertui.jobs.runner import Job, JobRunner


class MeasureFeed:
    """Measures one layer at a time, the one that was asked for last before the others.

    What is under way for another layer makes way, and is begun again later: how soon the cursor goes on does not decide
    what is measured.
    """

    def __init__(self, screen: Screen[None], store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._store = store
        self._jobs = jobs
        self._wanted: list[str] = []
        """The layers that are not measured yet; the last one is under way."""
        self._job: Job | None = None

    def ask(self, layer_id: str) -> None:
        """Measure a layer next; nothing happens if it is under way."""
        if layer_id in self._wanted[-1:]:
            return
        if layer_id in self._wanted:
            self._wanted.remove(layer_id)
        self._wanted.append(layer_id)
        self._start()

    def _start(self) -> None:
        # its key stops the job before, whose layer stays among the wanted ones
        self._job = self._jobs.submit(read.measure_job(self._store, self._wanted[-1]), self._screen)

    def take(self, layer_id: str) -> None:
        """Go on with the next: this layer is measured, or cannot be."""
        under_way = layer_id in self._wanted[-1:]
        if layer_id in self._wanted:
            self._wanted.remove(layer_id)
        if under_way and self._wanted:
            self._start()

    def take_failure(self, job: Job) -> str:
        """Go on with the next; returns which layer cannot be measured, "" if it is not known any more."""
        if job is not self._job or not self._wanted:
            return ""
        failed = self._wanted[-1]
        self.take(failed)
        return failed

    def forget(self) -> None:
        """Measure nothing more."""
        self._wanted.clear()
        if self._job is not None:
            self._jobs.cancel(self._job)
