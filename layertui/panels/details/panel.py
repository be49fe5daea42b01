"""The Summary panel."""

from __future__ import annotations

from textual.app import ComposeResult

from layertui.jobs.runner import Job
from layertui.model.summary import Details, summarize
from layertui.panels.base import Browser, Panel
from layertui.panels.details.fields import FieldList
from layertui.panels.details.jobs import Places, places_job


class DetailsPanel(Panel):
    """Shows the fields of the layer under the cursor."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._browser: Browser | None = None
        self._places: dict[str, Places] = {}
        self._failed: set[str] = set()
        self._shown = ""
        self._stale = ""
        """The layer that is being looked up again. Its old values are shown until then."""
        self._job: Job[Places] | None = None

    def compose(self) -> ComposeResult:
        """Yield the fields."""
        yield FieldList()

    def show(self, browser: Browser) -> None:
        """Show the layer under the cursor, and look up where it is."""
        self._browser = browser
        fields, row = self.query_one(FieldList), browser.row
        if row is None:
            fields.show_groups((), empty="No layer")
            self._shown = ""
            return
        start, self._shown = self._shown != row.id, row.id
        fields.show_groups(summarize(browser.view, row, self._details(browser, row.id), browser.now), start=start)
        stale, self._stale = self._stale == row.id, ""
        if (row.id not in self._places or stale) and row.id not in self._failed:
            self._look_up(browser, row.id)

    def _details(self, browser: Browser, layer_id: str) -> Details:
        places, usage = self._places.get(layer_id), browser.sizes.of(layer_id)
        return Details(
            paths=places.paths if places is not None else None,
            blobs=places.blobs if places is not None else None,
            size=usage.size if usage is not None else None,
            inodes=usage.inodes if usage is not None else None,
        )

    def _look_up(self, browser: Browser, layer_id: str) -> None:
        def found(places: Places) -> None:
            self._places[layer_id] = places
            if self.display and self._shown == layer_id:
                self.show(browser)

        def failed(error: Exception) -> None:
            del error  # the layer has no folders; the check of the store reports why
            self._failed.add(layer_id)

        self._job = browser.jobs.submit(places_job(browser.store, layer_id), self, found, failed)

    def hide(self) -> None:
        """Stop looking up where the layer is."""
        if self._browser is not None:
            self._browser.cancel(self._job)

    def forget(self) -> None:
        """Look everything up again."""
        self._stale = self._shown
        self._places = {layer_id: places for layer_id, places in self._places.items() if layer_id == self._stale}
        self._failed.clear()

    def on_field_list_copy_wanted(self, event: FieldList.CopyWanted) -> None:
        """Copy a field."""
        if self._browser is not None:
            self._browser.copy(event.field.copied, event.field.label or "value")
