"""Keeps the panels supplied: asks for what the layer under the cursor needs, once, and remembers it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime

from textual.screen import Screen

from layerstore.store import LayerStore
from layertui.jobs import read
from layertui.jobs.messages import ChangesLoaded, LayerMeasured, LineageFound, PathsFound
from layertui.jobs.runner import Job, JobRunner
from layertui.keys.keynames import key_of
from layertui.model.rows import LayerRow
from layertui.model.summary import Details, summarize
from layertui.model.view import StoreView
from layertui.panels.changes.model import ChangeTree
from layertui.panels.changes.panel import ChangesPanel, Compared
from layertui.panels.details.measuring import MeasureFeed
from layertui.panels.details.panel import FieldList
from layertui.panels.files.feed import FilesFeed, to_come
from layertui.panels.lineage.panel import LineagePanel
from layertui.panels.waste.feed import JsonFeed, WasteFeed
from layertui.text.safe import safe

SUMMARY, CHANGES, FILES, LINEAGE, WASTE, JSON = "summary", "changes", "files", "lineage", "waste", "json"

_REMEMBERED = 16
_MOST_CHANGES = 1_000_000  # in all the trees that are remembered


class PanelFeed:
    """Shows a layer in the panel that is seen, and nothing in those that are not.

    What the threads found arrives through the `take_` methods; what is no longer wanted by then is remembered and not
    shown. A layer whose record has no size is measured whichever panel is seen.
    """

    def __init__(self, screen: Screen[None], store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._store = store
        self._jobs = jobs
        self._details: dict[str, Details] = {}
        self._trees: OrderedDict[tuple[str, str, str], ChangeTree] = OrderedDict()
        self._shown: dict[str, tuple[object, ...]] = {}
        self._failed: dict[str, set[str]] = {}
        self._stale = ""
        """The layer whose details are to be looked up again, and are shown as they were until that is done."""
        self._asked: dict[str, tuple[tuple[object, ...], Job]] = {}
        self._stale_sizes: set[str] = set()
        """The layers whose sizes are to be measured again when they are looked at, and stand until then."""
        self._measuring = MeasureFeed(screen, store, jobs)
        self.files = FilesFeed(screen, store, jobs)
        self.waste = WasteFeed(screen, store, jobs)
        self.json = JsonFeed(screen, store, jobs)
        self.view: StoreView | None = None
        self.row: LayerRow | None = None
        self.base = ""
        self.panel = SUMMARY

    @property
    def measured(self) -> dict[str, int]:
        """Sizes that no record had and that were added up."""
        return {layer_id: found.size for layer_id, found in self._details.items() if found.size is not None}

    @property
    def running(self) -> list[Job]:
        """The jobs that are shown in a panel and take long enough to be cancelled."""
        return [job for job in (self.files.running, self.waste.running) if job is not None]

    def filtering(self, text: str) -> bool:
        """Tell whether what the panel's filter asks for is still to be shown."""
        if self.panel == FILES:
            return self.files.filtering(text)
        if self.panel != CHANGES or self.row is None:
            return False
        wanted = self._screen.query_one(ChangesPanel).wanted
        _, tree = self._shown.get(CHANGES, ((), None))
        if wanted.text == text and isinstance(tree, ChangeTree) and tree.filter == wanted:
            return False
        wish, job = self._asked.get("changes", ((), None))
        asked = wanted.text == text and wish[:1] == (self.row.id,) and wish[-1] == wanted
        return to_come(job) if asked else True

    def forget(self) -> None:
        """Look everything up again; what is to be seen stays until there is something newer."""
        self.files.forget()
        self.waste.forget()
        self.json.forget()
        self._measuring.forget()
        self._stale = self.row.id if self.row is not None else ""
        self._stale_sizes = {*self.measured}
        self._details = {
            known: details if known == self._stale else Details(size=details.size, inodes=details.inodes)
            for known, details in self._details.items()
        }
        self._trees.clear()
        self._shown = {panel: shown for panel, shown in self._shown.items() if panel in (SUMMARY, CHANGES)}
        self._failed.clear()

    def show(self, view: StoreView, row: LayerRow | None, now: datetime) -> None:
        """Show a layer in the panel that is seen; None where there is none."""
        self.view, self.row = view, row
        self._stop_others(row.id if row is not None else None)
        if row is not None:
            self._measure(row)
        if self.panel == SUMMARY:
            self._show_summary(now)
        elif self.panel == CHANGES:
            self._show_changes()
        elif self.panel == FILES:
            self.files.show(view, row, now)
        elif self.panel == LINEAGE:
            self._show_lineage()
        elif self.panel == WASTE:
            self.waste.show(view, row)
        elif self.panel == JSON:
            self.json.show(view, row)

    # Summary

    def _show_summary(self, now: datetime) -> None:
        fields = self._screen.query_one(FieldList)
        row, view = self.row, self.view
        if row is None or view is None:
            fields.show((), empty="No layer")
            self._shown.pop(SUMMARY, None)
            return
        details = self._details.get(row.id, Details())
        start = self._shown.get(SUMMARY) != (row.id,)
        self._shown[SUMMARY] = (row.id,)
        fields.show(summarize(view, row, details, now), start=start)
        failed = self._failed.setdefault(row.id, set())
        stale = self._stale == row.id
        self._stale = ""
        if (details.paths is None or stale) and "paths" not in failed:
            self._submit(read.paths_job(self._store, row.id))

    def _measure(self, row: LayerRow) -> None:
        """Measure a layer on which the cursor rests, unless its size is known or cannot be."""
        known = self._details.get(row.id, Details()).size is not None
        unknown = row.id in self._stale_sizes if known else row.size is None
        self._stale_sizes.discard(row.id)
        if unknown and "measure" not in self._failed.get(row.id, ()):
            self._measuring.ask(row.id)

    def take_paths(self, found: PathsFound) -> None:
        """Remember where a layer is."""
        old = self._details.get(found.layer_id, Details())
        self._details[found.layer_id] = replace(old, paths=found.paths, blobs=found.blobs)

    def take_size(self, found: LayerMeasured) -> None:
        """Remember how large a layer is."""
        old = self._details.get(found.layer_id, Details())
        self._details[found.layer_id] = replace(old, size=found.size, inodes=found.inodes)
        self._measuring.take(found.layer_id)

    # Changes

    def _show_changes(self) -> None:
        panel = self._screen.query_one(ChangesPanel)
        row = self.row
        if row is None:
            panel.show_note(Compared(), "No layer")
            self._shown.pop(CHANGES, None)
            return
        key = self._changes_key(row)
        tree = self._trees.get(key)
        if tree is None:
            if self._shown.get(CHANGES, ((),))[0] != key:
                self._shown[CHANGES] = (key, None)
                panel.show_note(self._against(row), "Comparing…")
            self._submit(read.changes_job(self._store, row.id, self._base_for(row), panel.wanted), key, panel.wanted)
        elif tree.filter != panel.wanted:
            self._submit(read.filter_changes_job(tree, row.id, self._base_for(row), panel.wanted), key, panel.wanted)
        elif self._shown.get(CHANGES) != (key, tree):
            before = self._shown.get(CHANGES)
            self._shown[CHANGES] = (key, tree)
            again = before is not None and before[0] == key and before[1] is not None
            panel.show_tree(tree, self._against(row), start=not again)

    def take_changes(self, found: ChangesLoaded) -> None:
        """Remember what a layer changed."""
        row = self.view.get(found.layer_id) if self.view is not None else None
        if row is None:
            return
        key = (found.layer_id, found.base, row.layer.diff_digest)
        self._trees[key] = found.tree
        self._trees.move_to_end(key)
        while len(self._trees) > 1 and (
            len(self._trees) > _REMEMBERED or sum(tree.whole.count for tree in self._trees.values()) > _MOST_CHANGES
        ):
            self._trees.popitem(last=False)

    def forget_loose_changes(self) -> None:
        """Forget the changes of layers without a digest: their files may have changed with the store."""
        for key in [key for key in self._trees if not key[2]]:
            del self._trees[key]
        self.waste.forget_loose()
        if self.view is not None:
            self.files.forget_loose(self.view)

    def _changes_key(self, row: LayerRow) -> tuple[str, str, str]:
        return (row.id, self._base_for(row), row.layer.diff_digest)

    def _base_for(self, row: LayerRow) -> str:
        return "" if self.base in (row.id, row.parent) else self.base

    def _against(self, row: LayerRow) -> Compared:
        base_id = self._base_for(row) or row.parent
        if not base_id:
            return Compared(row.title, why="is a base layer: against nothing")
        base = self.view.get(base_id) if self.view is not None else None
        name = base.title if base is not None else base_id[:12]
        why = f"marked with {key_of('layer.compare-from')}" if self._base_for(row) else "its parent"
        return Compared(row.title, name, why)

    # Lineage

    def _show_lineage(self) -> None:
        if self.row is None or self.view is None or self._shown.get(LINEAGE) == (self.row.id, self.view):
            return
        self._submit(read.lineage_job(self.view, self.row.id), self.view)

    def take_lineage(self, found: LineageFound) -> None:
        """Show a lineage, if it is still the one that is wanted."""
        if self.row is None or found.layer_id != self.row.id or found.listing.view is not self.view:
            return
        self._shown[LINEAGE] = (found.layer_id, self.view)
        self._screen.query_one(LineagePanel).show_lineage(found.listing, found.layer_id)

    # Failures

    def take_failure(self, job: Job, error: Exception) -> bool:
        """Show in its panel that a look-up failed; False when the job is none of these."""
        if job.key == "changes":
            panel = self._screen.query_one(ChangesPanel)
            if self.row is not None:
                panel.show_note(self._against(self.row), f"Cannot compare: {safe(str(error))}")
                self._shown[CHANGES] = (self._changes_key(self.row), None)
            return True
        if job.key == "measure":
            layer_id = self._measuring.take_failure(job)
            if layer_id:
                self._failed.setdefault(layer_id, set()).add(job.key)
            return True
        if job.key in ("paths", "lineage"):
            if self.row is not None:
                self._failed.setdefault(self.row.id, set()).add(job.key)
            return True
        return any(feed.take_failure(job, error) for feed in (self.files, self.waste, self.json))

    def _submit(self, job: Job, *wish: object) -> None:
        """Start a look-up for the layer that is shown, unless the very same one is under way."""
        assert self.row is not None
        wish = (self.row.id, *wish)
        before = self._asked.get(job.key)
        if before is None or before[0] != wish or before[1].state.ended:
            self._asked[job.key] = (wish, self._jobs.submit(job, self._screen))

    def _stop_others(self, layer_id: str | None) -> None:
        """Stop look-ups for other layers: the cursor has moved on."""
        for wish, job in self._asked.values():
            if wish[0] != layer_id and not job.state.ended:
                self._jobs.cancel(job)
        if self.panel != WASTE:
            self.waste.stop()
        else:
            self.waste.stop_other(layer_id)
