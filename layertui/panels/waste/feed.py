"""Keeps the Waste and the JSON panel supplied."""

from __future__ import annotations

from collections import OrderedDict

from textual.screen import Screen
from textual.timer import Timer

from layerstore.store import LayerStore
from layertui.jobs import messages
from layertui.jobs.runner import Job, JobRunner, JobState
from layertui.keys.keynames import with_keys
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.files import jobs as file_jobs
from layertui.panels.json.panel import JsonPanel
from layertui.panels.waste.model import WasteTable
from layertui.panels.waste.panel import WastePanel, failure_note, progress_note
from layertui.text.safe import safe

_REMEMBERED = 16
_MOST_ROWS = 500_000
_LOOK = 0.1

Chain = tuple[str, ...]


def chain_of(view: StoreView, row: LayerRow) -> Chain:
    """Return what a report depends on: the IDs and digests of a layer and all those below it."""
    return tuple(f"{layer.id} {layer.layer.diff_digest}" for layer in (row, *view.ancestors(row.id)))


class WasteFeed:
    """Computes the waste of the layer that is shown, and remembers it as long as the chain has the same digests."""

    def __init__(self, screen: Screen[None], store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._store = store
        self._jobs = jobs
        self._reports: OrderedDict[Chain, WasteTable] = OrderedDict()
        self._view: StoreView | None = None
        self._row: LayerRow | None = None
        self._wanted: Chain = ()
        self._shown: object = None
        self._seen = ""
        """The layer whose report, new or old, is to be seen."""
        self._job: Job | None = None
        self._timer: Timer | None = None

    @property
    def panel(self) -> WastePanel:
        """The panel."""
        return self._screen.query_one(WastePanel)

    @property
    def running(self) -> Job | None:
        """The job that has not ended."""
        return self._job if self._job is not None and not self._job.state.ended else None

    def forget(self) -> None:
        """Compute everything again."""
        self._reports.clear()
        self._wanted, self._shown = (), None

    def forget_loose(self) -> None:
        """Forget chains with a layer without a digest: its files may have changed with the store."""
        loose = [chain for chain in self._reports if any(part.endswith(" ") for part in chain)]
        for chain in loose:
            del self._reports[chain]
        if any(part.endswith(" ") for part in self._wanted):
            self._wanted, self._shown = (), None

    def show(self, view: StoreView, row: LayerRow | None) -> None:
        """Show a layer; None where there is none."""
        self._view, self._row = view, row
        if row is None:
            self._wanted, self._shown = (), None
            self._note("No layer")
            return
        chain = chain_of(view, row)
        table = self._reports.get(chain)
        if table is not None:
            self._wanted = chain
            if self._shown is not table:
                again, self._seen = self._seen == row.id, row.id
                self._shown = table
                self.panel.show_report(table, self._title, start=not again)
        elif chain != self._wanted:
            self._wanted, self._shown = chain, None
            self._job = self._jobs.submit(file_jobs.waste_job(self._store, row.id, chain), self._screen)
            if self._seen != row.id:
                self._note(progress_note(0))
            if self._timer is None:
                self._timer = self._screen.set_interval(_LOOK, self._look)

    def _look(self) -> None:
        """Say how far the work is."""
        job = self._job
        if job is not None and not job.state.ended:
            if job.done and not self._seen:
                self._note(progress_note(job.done))
            return
        if job is not None and job.state is JobState.CANCELLED and self._shown is None and self._wanted:
            self._note(with_keys("Stopped. {store.reload} computes it again."))
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _note(self, note: str) -> None:
        self._seen = ""
        self.panel.show_note(note)

    def take(self, found: messages.WasteFound) -> None:
        """Remember a report."""
        self._reports[found.chain] = found.table
        while len(self._reports) > 1 and (
            len(self._reports) > _REMEMBERED or sum(len(table.rows) for table in self._reports.values()) > _MOST_ROWS
        ):
            self._reports.popitem(last=False)

    def _title(self, layer_id: str) -> str:
        row = self._view.get(layer_id) if self._view is not None else None
        return row.title if row is not None else layer_id[:12]

    def stop(self) -> None:
        """Stop what runs: something else is wanted."""
        if self.running is not None:
            self._jobs.cancel(self.running)
            self._wanted = ()

    def stop_other(self, layer_id: str | None) -> None:
        """Stop what runs for another layer."""
        if self._row is None or self._row.id != layer_id:
            self.stop()

    def take_failure(self, job: Job, error: Exception) -> bool:
        """Show why it cannot be computed; False when the job is none of these."""
        if job.key != file_jobs.WASTE:
            return False
        if job is self._job:
            self._note(failure_note(error))
        return True


class JsonFeed:
    """Reads the record of the layer that is shown, again whenever the store changed."""

    def __init__(self, screen: Screen[None], store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._store = store
        self._jobs = jobs
        self._wanted: tuple[str, StoreView | None] = ("", None)
        self._shown = ""

    @property
    def panel(self) -> JsonPanel:
        """The panel."""
        return self._screen.query_one(JsonPanel)

    def forget(self) -> None:
        """Read it again."""
        self._wanted = ("", None)

    def show(self, view: StoreView, row: LayerRow | None) -> None:
        """Show a layer; None where there is none."""
        if row is None:
            self._wanted, self._shown = ("", None), ""
            self.panel.show_note("No layer")
        elif self._wanted != (row.id, view):
            self._wanted = (row.id, view)
            self._jobs.submit(file_jobs.record_job(self._store, row.id), self._screen)

    def take(self, read: messages.RecordRead) -> None:
        """Show a record, if it is still the one that is wanted."""
        if read.layer_id == self._wanted[0]:
            self.panel.show_record(read.record, read.blobs, start=read.layer_id != self._shown)
            self._shown = read.layer_id

    def take_failure(self, job: Job, error: Exception) -> bool:
        """Show why it cannot be read; False when the job is none of these."""
        if job.key != file_jobs.RECORD:
            return False
        self._shown = ""
        self.panel.show_note(f"The record cannot be read: {safe(str(error))}")
        return True
