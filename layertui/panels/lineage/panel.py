"""The Lineage panel."""

from __future__ import annotations

from textual.app import ComposeResult

from layertui.jobs.runner import Job
from layertui.model.query import Listing
from layertui.model.view import StoreView
from layertui.panels.base import Browser, Panel
from layertui.panels.lineage.jobs import lineage_job
from layertui.panels.lineage.tree import LineageTree


class LineagePanel(Panel):
    """Shows the ancestors and descendants of the layer under the cursor."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._browser: Browser | None = None
        self._shown: tuple[str, StoreView] | None = None
        self._wanted: tuple[str, StoreView] | None = None
        self._asked: tuple[str, StoreView] | None = None
        self._job: Job[Listing] | None = None

    def compose(self) -> ComposeResult:
        """Yield the graph."""
        yield LineageTree()

    def show(self, browser: Browser) -> None:
        """Find the lineage of the layer under the cursor."""
        self._browser = browser
        tree, row = self.query_one(LineageTree), browser.row
        tree.now = browser.now
        if row is None:
            return
        wanted = self._wanted = (row.id, browser.view)
        running = self._job is not None and not self._job.state.ended
        if self._shown == wanted or (running and self._asked == wanted):
            return
        self._asked = wanted

        def found(listing: Listing) -> None:
            if self._wanted == wanted:
                self._shown = wanted
                tree.show_lineage(listing, wanted[0])

        self._job = browser.jobs.submit(lineage_job(browser.view, row.id), self, found)

    def hide(self) -> None:
        """Stop looking for the lineage."""
        if self._browser is not None:
            self._browser.cancel(self._job)

    def forget(self) -> None:
        """Find the lineage again."""
        self._shown = None

    def on_virtual_tree_chosen(self, event: LineageTree.Chosen) -> None:
        """Go to the layer in the list."""
        event.stop()
        row = self.query_one(LineageTree).row_at(event.node)
        if row is not None and self._browser is not None:
            self._browser.go_to_layer(row.id)
