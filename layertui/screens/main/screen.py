"""The browser: the list of layers, the panels of the layer under the cursor, and what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.command import Provider
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Static

from layerstore.store import LayerStore
from layertui.jobs import messages, read
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState
from layertui.jobs.strip import JobsStrip
from layertui.keys.actions import LAYERS_BINDINGS
from layertui.keys.keymap import Keymap, first_key
from layertui.keys.keynames import with_keys
from layertui.keys.typed_ahead import TypedScreen
from layertui.model.query import Listing
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.changes.panel import ChangesPanel
from layertui.panels.changes.tree import ChangesTree
from layertui.panels.details.panel import FieldList
from layertui.panels.files.actions import FileActions
from layertui.panels.files.panel import FilesPanel
from layertui.panels.json.panel import JsonPanel
from layertui.panels.layers.tree import LayerTree, LayerTreeHeader
from layertui.panels.lineage.panel import LineagePanel
from layertui.panels.waste.panel import WastePanel
from layertui.screens.main.feed import CHANGES, FILES, JSON, LINEAGE, SUMMARY, WASTE, PanelFeed
from layertui.screens.main.header import Following, HeaderBar
from layertui.screens.main.palette import LayerCommands
from layertui.session import StoreState
from layertui.settings import Settings
from layertui.text.safe import safe
from layertui.widgets.filter_bar import FilterBar, FilterInput
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.pane import Pane
from layertui.widgets.panel_tabs import PanelTab, PanelTabs

PANELS = (
    PanelTab(SUMMARY, "1", "Summary"),
    PanelTab(CHANGES, "2", "Changes"),
    PanelTab(FILES, "3", "Files"),
    PanelTab(LINEAGE, "4", "Lineage"),
    PanelTab(WASTE, "5", "Waste"),
    PanelTab(JSON, "6", "JSON"),
)
"""The panels, with their keys."""

_SETTLE = 0.06  # seconds that the cursor must rest before the panels follow: longer than the beat of a held key
_AGES = 60.0
_PATIENCE = 1.0  # seconds that keys wait for a dialog

_EMPTY = (
    "This store has no layers yet.\n\n"
    "Pull or build an image into it (podman pull, buildah from):\nit appears here on its own."
)
_NO_MATCH = "Nothing matches the filter.\n\n{layers.back} clears it."


class LayersScreen(FileActions, TypedScreen):
    """Shows a store and follows it. Handlers below take what the threads found; what keys do is in the bases."""

    BINDINGS: ClassVar[list[BindingType]] = [*LAYERS_BINDINGS]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - Textual types it so
    AUTO_FOCUS = "#layers"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {LayerCommands}

    def __init__(
        self,
        store: LayerStore,
        listing: Listing,
        jobs: JobRunner,
        clock: Callable[[], datetime],
        *,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        past: StoreState = StoreState(),  # noqa: B008 - the same
    ) -> None:
        super().__init__()
        self._settings = settings
        self._past: StoreState | None = past
        self.store = store
        self.jobs = jobs
        self._clock = clock
        self._first = listing
        self.view: StoreView = listing.view
        self.text = ""
        self.order = past.order or settings.view.sort
        self.feed = PanelFeed(self, store, jobs)
        self._follow_job: Job | None = None
        self._settle: Timer | None = None
        self._focus_comes = False
        self._left_filter = 0.0

    def compose(self) -> ComposeResult:
        """Yield the header, the two panes, the jobs and the keys."""
        yield HeaderBar()
        with Horizontal(id="body"):
            with Vertical(id="list", classes="pane"):
                yield FilterBar("name, ID, image, is:unused, size:>100MB", id="layers-filter")
                yield LayerTreeHeader()
                yield LayerTree(id="layers")
                yield Static("", id="empty", markup=False)
            with Pane(id="panels", classes="pane"):
                yield PanelTabs([replace(tab, number=self._key_of(f"panel.{tab.id}")) for tab in PANELS])
                with ContentSwitcher(initial=SUMMARY):
                    yield FieldList(id=SUMMARY)
                    with Vertical(id=CHANGES):
                        yield FilterBar("part of a path", id="changes-filter")
                        yield ChangesPanel(id="changes-panel")
                    with Vertical(id=FILES):
                        yield FilterBar("part of a name, or of a path with a /", id="files-filter")
                        yield FilesPanel(id="files-panel")
                    yield LineagePanel(id=LINEAGE)
                    yield WastePanel(id=WASTE)
                    yield JsonPanel(id=JSON)
        yield JobsStrip()
        yield KeyBar(self.refusal, self.offered)

    def on_mount(self) -> None:
        """Show what was read while the store was opened, and follow it from now on."""
        self.query_one("#list").border_title = "Layers"
        self.query_one(PanelTabs).active = SUMMARY
        self._tick()
        self.show_view(self._first)
        del self._first  # its view may be large, and another one comes
        self.set_interval(self._settings.view.follow, self._follow)
        self.set_interval(_AGES, self._tick)

    def _key_of(self, binding_id: str) -> str:
        return self.app.get_key_display(first_key(binding_id, self.keymap))

    @property
    def keymap(self) -> Keymap:
        """The keys that people chose."""
        return self._settings.keymap

    # What is remembered of a store

    @property
    def state(self) -> StoreState:
        """How the store is being looked at now; before anything is shown, how it was left."""
        if self._past is not None:
            return self._past
        tree = self.tree_widget
        zoomed = self.query(".pane.-zoom")
        zoom = str(zoomed.first().id) if zoomed else ""
        return StoreState(self.feed.panel, self.order.value, tree.cursor_key or "", tree.folded_keys, zoom)

    def _restore(self, past: StoreState) -> None:
        """Look at the store as it was left; what is not there any more is passed over."""
        self.tree_widget.restore(past.folded, past.cursor)
        if past.panel != self.feed.panel and past.panel in self.panel_ids:
            self.action_panel(past.panel)
        if past.zoom in ("list", "panels"):
            self.zoom(past.zoom)
        if past.zoom == "panels":
            self._focus_comes = True
            self.call_after_refresh(self._focus_restored)

    def _focus_restored(self) -> None:
        self.focus_panel()
        self._focus_comes = False

    def holds(self, key: str, *, behind: bool) -> bool:
        """Let keys wait until the layers are there, and until a list or a panel shows what was typed into its filter.

        They wait a moment for a dialog, too, for which somebody looks something up. Where a search takes long, the keys
        that end it overtake the others.
        """
        if self._past is not None or self._focus_comes or not self.query("#layers"):
            return True
        job = self.asking
        if job is not None and job.state not in (JobState.FAILED, JobState.CANCELLED) and job.seconds() < _PATIENCE:
            return True
        listing = self.tree_widget.listing
        if isinstance(self.focused, FilterInput):
            return False
        if listing is not None and listing.text != self.query_one("#layers-filter", FilterBar).text:
            return True
        bar = self._filter_bar()
        if bar.id == "layers-filter" or not self.feed.filtering(bar.text):
            return False
        return not self._leaves(key) or (behind and monotonic() - self._left_filter < _PATIENCE)

    def _leaves(self, key: str) -> bool:
        """Tell whether a key, and no letter of a text to come, ends what may take long."""
        active = self.active_bindings.get(key) if len(key) > 1 else None
        return active is not None and active.binding.action.rpartition(".")[2] in ("back", "cancel_job", "quit")

    # The layers

    @property
    def tree_widget(self) -> LayerTree:
        """The list of layers."""
        return self.query_one("#layers", LayerTree)

    @property
    def row(self) -> LayerRow | None:
        """The layer under the cursor."""
        return self.tree_widget.cursor_row

    def show_view(self, listing: Listing) -> None:
        """Show the store as it was read."""
        self.view = listing.view.with_sizes(self.feed.measured)
        header = self.query_one(HeaderBar)
        header.view, header.following = self.view, Following.ON
        self.feed.forget_loose_changes()
        if listing.view is self.view and listing.text == self.text and listing.order is self.order:
            self.show_listing(listing)
        else:
            self.relist()
        if self.tree_widget.base and self.tree_widget.base not in self.view:
            self.set_base("")

    def show_listing(self, listing: Listing) -> None:
        """Show other rows of the same view, or the same rows in another order."""
        self.tree_widget.show(listing)
        past, self._past = self._past, None
        if past is not None:
            self._restore(past)
        header = self.query_one(LayerTreeHeader)
        header.order = listing.order
        self.query_one("#layers-filter", FilterBar).show_result(listing.matches, len(self.view.rows), listing.error)
        empty = "" if listing.rows else with_keys(_NO_MATCH if self.view.rows else _EMPTY)
        pane = self.query_one("#list")
        if bool(empty) or pane.has_class("-empty"):
            self.query_one("#empty", Static).update(empty)
            pane.set_class(bool(empty), "-empty")
        self.reach_new()
        self.show_layer()

    def relist(self) -> None:
        """Filter and sort again."""
        self.jobs.submit(read.list_job(self.view, self.text, self.order), self)

    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel that is seen."""
        self.feed.show(self.view, self.row, self.tree_widget.now)
        self.query_one("#panels", Pane).put_title(safe(self.row.title) if self.row is not None else "")
        self.query_one(KeyBar).refresh()

    def set_base(self, layer_id: str) -> None:
        """Show changes against this layer, or against the parents again."""
        self.tree_widget.base = layer_id
        self.feed.base = layer_id

    # Following

    def _follow(self) -> None:
        if self._follow_job is None or self._follow_job.state.ended:
            job = read.follow_job(self.store, self.view, self.text, self.order, self.feed.measured)
            self._follow_job = self.jobs.submit(job, self)

    def reload(self) -> None:
        """Read everything again, whatever is remembered."""
        self.feed.forget()
        self.query_one(HeaderBar).following = Following.READING
        self.jobs.submit(read.load_job(self.store, self.text, self.order, self.feed.measured), self)

    def _tick(self) -> None:
        now = self._clock()
        self.tree_widget.now = now
        self.query_one(LineagePanel).now = now

    # What the threads found

    def on_view_loaded(self, event: messages.ViewLoaded) -> None:
        """Show the store as it is now."""
        self.show_view(event.listing)

    def on_nothing_changed(self) -> None:
        """The store can be read: what the header said of it may be over."""
        self.query_one(HeaderBar).following = Following.ON

    def on_listing_made(self, event: messages.ListingMade) -> None:
        """Show the rows, unless the store has changed meanwhile."""
        if event.listing.view is self.view:
            self.show_listing(event.listing)
        else:
            self.relist()

    def on_changes_loaded(self, event: messages.ChangesLoaded) -> None:
        """Show what a layer changed."""
        self.feed.take_changes(event)
        self._show_if(event.layer_id)

    def on_layer_measured(self, event: messages.LayerMeasured) -> None:
        """Show how large a layer is."""
        self.feed.take_size(event)
        view = self.view.with_sizes(self.feed.measured)
        if view is not self.view:
            self.view = self.query_one(HeaderBar).view = view
            self.relist()
        self._show_if(event.layer_id)

    def on_paths_found(self, event: messages.PathsFound) -> None:
        """Show where a layer is."""
        self.feed.take_paths(event)
        self._show_if(event.layer_id)

    def on_lineage_found(self, event: messages.LineageFound) -> None:
        """Show the graph."""
        self.feed.take_lineage(event)

    def _show_if(self, layer_id: str) -> None:
        if self.row is not None and self.row.id == layer_id:
            self.feed.show(self.view, self.row, self.tree_widget.now)

    def on_job_changed(self, event: JobChanged) -> None:
        """Draw the job."""
        self.query_one(JobsStrip).update(event.job)
        self.query_one(KeyBar).refresh()

    def on_job_failed(self, event: JobFailed) -> None:
        """Say what went wrong: in the header for what runs on its own, in the panel, or in a dialog."""
        if event.job.key == "follow":
            header = self.query_one(HeaderBar)
            if header.following is not Following.FAILED:
                header.following = Following.FAILED
                self.say(f"The store cannot be followed: {event.error}", "error")
        elif not self.feed.take_failure(event.job, event.error):
            if event.job.key == "load":
                self.query_one(HeaderBar).following = Following.FAILED
            self.show_error(event.error)

    # What people do in the widgets

    def on_virtual_tree_cursor_moved(self, event: LayerTree.CursorMoved) -> None:
        """Let the panels follow once the cursor rests."""
        if event.tree is self.tree_widget:
            if self._settle is not None:
                self._settle.stop()
            self._settle = self.set_timer(_SETTLE, self.show_layer)

    def on_virtual_tree_chosen(self, event: LayerTree.Chosen) -> None:
        """Go to the layer that was chosen in a lineage; from the list, go to the panel."""
        if isinstance(event.tree, LineagePanel):
            row = event.tree.row_at(event.node)
            if row is not None:
                self.go_to_layer(row.id)
        elif event.tree is self.tree_widget:
            self.focus_panel()

    def on_virtual_tree_width_changed(self, event: LayerTree.WidthChanged) -> None:
        """Keep the names of the columns above the columns."""
        if event.tree is self.tree_widget:
            self.query_one(LayerTreeHeader).columns_width = event.tree.scrollable_content_region.width

    def on_layer_tree_marks_changed(self, event: LayerTree.MarksChanged) -> None:
        """Count the marks."""
        self.query_one(HeaderBar).marked = len(event.tree.marks)
        self.query_one(KeyBar).refresh()

    def on_filter_bar_typed(self, event: FilterBar.Typed) -> None:
        """Filter the list, the changes or the files."""
        if event.bar.id == "changes-filter":
            panel = self.query_one(ChangesPanel)
            panel.set_filter(replace(panel.wanted, text=event.text))
        elif event.bar.id == "files-filter":
            self.feed.files.search(event.text)
        elif event.text != self.text:
            self.text = event.text
            self.relist()

    def leave_filter(self, bar: FilterBar) -> None:
        """Go to what the bar filters."""
        self._left_filter = monotonic()
        if bar.id == "changes-filter":
            self.query_one(ChangesTree).focus()
        elif bar.id == "files-filter":
            self.files_panel.focus_target.focus()
        else:
            self.tree_widget.focus()

    def on_changes_panel_filter_wanted(self) -> None:
        """Show the changes with another filter; drawing more than those would only delay the answer."""
        self.feed.show(self.view, self.row, self.tree_widget.now)

    def on_panel_tabs_wanted(self, event: PanelTabs.Wanted) -> None:
        """Show a panel."""
        self.action_panel(event.panel_id)

    def on_field_list_copy_wanted(self, event: FieldList.CopyWanted) -> None:
        """Copy a field."""
        self.copy(event.field.copied, event.field.label or "value")

    def on_jobs_strip_cancel_wanted(self, event: JobsStrip.CancelWanted) -> None:
        """Cancel the job."""
        self.jobs.cancel(event.job)
