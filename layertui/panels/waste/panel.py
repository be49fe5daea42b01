"""The Waste panel."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from layerstore import WasteReport
from layertui.jobs.runner import Job, JobState
from layertui.keys.sentences import with_keys
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.base import Browser, Panel
from layertui.panels.waste.jobs import waste_job
from layertui.panels.waste.model import WasteTable, by_layer, by_path
from layertui.panels.waste.tree import WasteSummary, WasteTree
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.tree.tree import VirtualTree

_CACHED = 16
_MOST_ROWS = 500_000
_POLL = 0.1  # seconds between two updates of the progress
_LOW = 9  # the greatest height of a panel without the explanation

NOTHING = (
    "Nothing is wasted: every byte of this layer and its ancestors is visible in the final image.\n\n"
    "Waste comes from files that a later layer replaces or deletes: the old bytes stay in the earlier layer."
)

Chain = tuple[str, ...]


def chain_of(view: StoreView, row: LayerRow) -> Chain:
    """Return what a report depends on: the IDs and digests of a layer and its ancestors."""
    return tuple(f"{layer.id} {layer.layer.diff_digest}" for layer in (row, *view.ancestors(row.id)))


class WastePanel(Panel):
    """Shows the waste of the layer under the cursor and its ancestors.

    A report is cached for as long as all layers of the chain keep their digests.
    """

    DEFAULT_CSS = """
    WastePanel {
        & #waste-note { display: none; }
        &.-note { & #waste-note { display: block; } & WasteSummary { display: none; } & WasteTree { height: 0; } }
        &.-clean { & WasteSummary { height: 1; } }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.by_layer = False
        self._browser: Browser | None = None
        self._reports: OrderedDict[Chain, WasteTable] = OrderedDict()
        self._wanted: Chain = ()
        self._shown: WasteTable | None = None
        self._report: WasteReport | None = None
        """The report that is visible, new or old."""
        self._visible = ""
        """The layer whose report is visible, "" while there is a note."""
        self._job: Job[WasteTable] | None = None
        self._job_for = ""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Yield the numbers and the table."""
        yield WasteSummary()
        yield Static("", id="waste-note", classes="note", markup=False)
        yield WasteTree(id="waste-tree")

    @property
    def running(self) -> Job[Any] | None:
        """The job, while it runs."""
        return self._job if self._job is not None and not self._job.state.ended else None

    @property
    def layer_id(self) -> str | None:
        """The layer of the line under the cursor, None while there is a note."""
        return None if self.has_class("-note") else self.query_one(WasteTree).layer_id

    @property
    def path(self) -> str | None:
        """The path under the cursor, None on the line of a layer and while there is a note."""
        return None if self.has_class("-note") else self.query_one(WasteTree).path

    # Computing

    def show(self, browser: Browser) -> None:
        """Show the report about the layer under the cursor, or compute it."""
        self._browser = browser
        row = browser.row
        if row is None:
            self._wanted, self._shown = (), None
            self._note("No layer")
            return
        if self._job_for != row.id:
            self.hide()
        chain = chain_of(browser.view, row)
        table = self._reports.get(chain)
        if table is not None:
            self._wanted = chain
            if self._shown is not table:
                again, self._visible = self._visible == row.id, row.id
                self._shown = table
                self.show_report(table, start=not again)
        elif chain != self._wanted:
            self._wanted, self._shown = chain, None
            self._compute(browser, row.id, chain)

    def _compute(self, browser: Browser, layer_id: str, chain: Chain) -> None:
        def found(table: WasteTable) -> None:
            self._keep(chain, table)
            if self.display:
                self.show(browser)

        def failed(error: Exception) -> None:
            if job is self._job:
                self._note(f"The waste cannot be computed: {safe(str(error))}")

        job = waste_job(browser.store, layer_id)
        self._job, self._job_for = browser.jobs.submit(job, self, found, failed), layer_id
        if self._visible != layer_id:
            self._note(_progress_note(0))
        if self._timer is None:
            self._timer = self.set_interval(_POLL, self._show_progress)

    def _show_progress(self) -> None:
        job = self._job
        if job is not None and not job.state.ended:
            if job.done and not self._visible:
                self._note(_progress_note(job.done))
            return
        if job is not None and job.state is JobState.CANCELLED and self._shown is None and self._wanted:
            self._note(with_keys("Stopped. {store.reload} computes it again."))
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _keep(self, chain: Chain, table: WasteTable) -> None:
        self._reports[chain] = table
        while len(self._reports) > 1 and (
            len(self._reports) > _CACHED or sum(len(table.rows) for table in self._reports.values()) > _MOST_ROWS
        ):
            self._reports.popitem(last=False)

    def hide(self) -> None:
        """Stop computing."""
        if self.running is not None and self._browser is not None:
            self._browser.jobs.cancel(self.running)
            self._wanted = ()

    def forget(self) -> None:
        """Compute everything again."""
        self._reports.clear()
        self._wanted, self._shown = (), None

    def forget_changed(self, view: StoreView) -> None:  # noqa: ARG002 - the digests are part of the keys
        """Compute chains again that have a layer without a digest."""
        for chain in [chain for chain in self._reports if _is_loose(chain)]:
            del self._reports[chain]
        if _is_loose(self._wanted):
            self._wanted, self._shown = (), None

    # Showing

    def _note(self, note: str) -> None:
        self._visible, self._report = "", None
        self._put_note(note)

    def _put_note(self, note: str) -> None:
        self.query_one("#waste-note", Static).update(Content(note))
        self.set_class(bool(note), "-note")
        self.refresh_bindings()

    def show_report(self, table: WasteTable, *, start: bool) -> None:
        """Show a report in the chosen order, starting at the top with `start`."""
        if self.by_layer:
            table = by_layer(table.report)
        self._report = table.report
        self._put_note("" if table.report.wasted else _clean(table.report))
        summary = self.query_one(WasteSummary)
        summary.table = table
        summary.refresh()
        title = self._browser.title_of if self._browser is not None else str
        self.query_one(WasteTree).show(table, title, start=start)

    def toggle_order(self) -> bool:
        """Show layers, or paths again."""
        self.by_layer = not self.by_layer
        if self._report is not None:
            self.show_report(by_path(self._report), start=True)
        return True

    def on_virtual_tree_chosen(self, event: VirtualTree.Chosen) -> None:
        """Go to the layer of a line."""
        event.stop()
        if self.layer_id is not None and self._browser is not None:
            self._browser.go_to_layer(self.layer_id)

    def on_resize(self) -> None:
        """Hide the explanation in a low panel."""
        self.query_one(WasteSummary).set_class(self.size.height < _LOW, "-low")


def _is_loose(chain: Chain) -> bool:
    return any(part.endswith(" ") for part in chain)


def _clean(report: WasteReport) -> str:
    carried = f"{size_text(report.total)} in {plural(len(report.layers), 'layer')}, 100% efficient.\n\n"
    return carried + NOTHING


def _progress_note(done: int) -> str:
    so_far = f": {size_text(done)} so far" if done else ""
    return with_keys(f"Looking for waste in all layers of the chain{so_far}…\n\n{{jobs.cancel}} stops it.")
