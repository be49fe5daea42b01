"""The main screen: the list of layers, the panels of the layer under the cursor, and the jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Static

from layerstore import LayerStore
from layertui.jobs.read import follow_job, list_job, load_job
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState
from layertui.jobs.strip import JobsStrip
from layertui.keys.actions import bindings
from layertui.keys.keymap import Keymap, all_actions, first_key
from layertui.keys.sentences import with_keys
from layertui.keys.typed_ahead import TypedScreen
from layertui.model.order import Order
from layertui.model.query import Listing
from layertui.model.view import StoreView
from layertui.panels import PANELS
from layertui.panels.base import Browser, Panel
from layertui.panels.layers.sizes import Sizes
from layertui.panels.layers.tree import LayerTree, LayerTreeHeader
from layertui.screens.main.actions import MAIN_ACTIONS
from layertui.screens.main.header import Following, HeaderBar
from layertui.session import StoreState
from layertui.settings import Settings
from layertui.text.safe import safe
from layertui.widgets.filter_bar import FilterBar, FilterInput
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.pane import Pane
from layertui.widgets.panel_tabs import PanelTab, PanelTabs

_SETTLE = 0.06  # seconds that the cursor must rest before the panel follows: longer than the interval of a held key
_AGES = 60.0
_PATIENCE = 1.0  # seconds that keys wait for a dialog

_EMPTY = (
    "This store has no layers yet.\n\n"
    "Pull or build an image into it (podman pull, buildah from):\nit appears here by itself."
)
_NO_MATCH = "Nothing matches the filter.\n\n{layers.back} clears it."


class LayersScreen(TypedScreen):
    """Shows a store and follows it: composes the screen, and keeps the focus and the selection.

    The actions define what keys do, and the panels what is shown of a layer. Both use a `Browser`.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(MAIN_ACTIONS)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - typed so by Textual
    AUTO_FOCUS = "#layers"

    def __init__(
        self,
        store: LayerStore,
        listing: Listing,
        jobs: JobRunner,
        clock: Callable[[], datetime],
        *,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        past: StoreState = StoreState(),  # noqa: B008 - frozen
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
        self.browser = Browser(self, self, store, jobs)
        self.sizes = self.browser.sizes = Sizes(self.browser, self._size_measured)
        self._follow_job: Job[Any] | None = None
        self._settle: Timer | None = None
        self._focus_comes = False
        self._left_filter = 0.0
        self._awaited = ""
        """The layer that the cursor goes to as soon as it is listed."""

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
                yield PanelTabs([PanelTab(info.id, self._key_of(f"panel.{info.id}"), info.title) for info in PANELS])
                with ContentSwitcher(initial=PANELS[0].id):
                    for info in PANELS:
                        yield info.load()(id=info.id)
        yield JobsStrip()
        yield KeyBar(self.refusal, self.offered)

    def on_mount(self) -> None:
        """Show what was read while the store was opened, and follow the store from now on."""
        self.query_one("#list").border_title = "Layers"
        self.query_one(PanelTabs).active = PANELS[0].id
        self._tick()
        self.show_view(self._first)
        del self._first  # free its view, which may be large and will be replaced
        self.set_interval(self._settings.view.follow, self._follow)
        self.set_interval(_AGES, self._tick)

    def _key_of(self, action_id: str) -> str:
        return self.app.get_key_display(first_key(action_id, self.keymap))

    @property
    def keymap(self) -> Keymap:
        """The keys that the user remapped."""
        return self._settings.keymap

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Literal["information", "warning", "error"] = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a message, which on a low screen replaces older ones that only inform."""
        if self.has_class("-low"):
            for older in self.query("Toast.-information"):
                older.display = False
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    # The state that is saved for each store

    @property
    def state(self) -> StoreState:
        """The state of the view, to be restored next time, or the previous state until the list is shown."""
        if self._past is not None:
            return self._past
        tree = self.layer_tree
        zoomed = self.query(".pane.-zoom")
        zoom = str(zoomed.first().id) if zoomed else ""
        return StoreState(str(self.panel.id), self.order.value, tree.cursor_key or "", tree.folded_keys, zoom)

    def _restore(self, past: StoreState) -> None:
        """Restore the state of the view. Layers that no longer exist are skipped."""
        self.layer_tree.restore(past.folded, past.cursor)
        if past.panel != self.panel.id and past.panel in self.panel_ids:
            self.show_panel(past.panel)
        if past.zoom in ("list", "panels"):
            self.zoom(past.zoom)
        if past.zoom == "panels":
            self._focus_comes = True
            self.call_after_refresh(self._focus_restored)

    def _focus_restored(self) -> None:
        self.focus_panel()
        self._focus_comes = False

    # Actions

    def refusal(self, action_id: str) -> str:
        """Return why an action is not possible now, "" if it is."""
        action = all_actions().get(action_id)
        return self.browser.refusal(action) if action is not None else ""

    def offered(self, action_id: str) -> str:
        """Return the label of an action that the key bar shows only while the list is empty, "" for all others."""
        listing = self.layer_tree.listing
        if listing is None or listing.rows:
            return ""
        if action_id == "layers.back" and self.view and self.layer_tree.has_focus and not self.query("#body.-zoomed"):
            return "Clear filter"
        return "Reload" if action_id == "store.reload" else ""

    def action_perform(self, action_id: str) -> None:
        """Run an action of the registry, or say why it is refused."""
        self.browser.perform(all_actions()[action_id])

    # Keys that wait

    def holds(self, key: str, *, behind: bool) -> bool:
        """Delay keys until the layers are there, and until a list or a panel shows the result of its filter.

        They also wait a moment for a dialog that a look-up may open. Keys that end a long search overtake the others.
        """
        if self._past is not None or self._focus_comes or not self.query("#layers"):
            return True
        job = self.browser.asking
        if job is not None and job.state not in (JobState.FAILED, JobState.CANCELLED) and job.seconds() < _PATIENCE:
            return True
        listing = self.layer_tree.listing
        if self.filter_has_focus:
            return False
        if listing is not None and listing.text != self.list_filter.text:
            return True
        panel, bar = self.panel, self._filter_bar()
        if bar is not panel.filter_bar or not panel.awaits_filter(bar.text):
            return False
        return not self._leaves(key) or (behind and monotonic() - self._left_filter < _PATIENCE)

    def _leaves(self, key: str) -> bool:
        """Return whether a key ends something that may take long, and is not a character being typed."""
        active = self.active_bindings.get(key) if len(key) > 1 else None
        return active is not None and active.binding.id in _LEAVE

    # The layers

    @property
    def layer_tree(self) -> LayerTree:
        """The list of layers."""
        return self.query_one("#layers", LayerTree)

    @property
    def list_filter(self) -> FilterBar:
        """The filter of the list."""
        return self.query_one("#layers-filter", FilterBar)

    def show_view(self, listing: Listing) -> None:
        """Show the store as it was read."""
        self.view = listing.view.with_sizes(self.sizes.measured)
        header = self.query_one(HeaderBar)
        header.view, header.following = self.view, Following.ON
        for panel in self._panels():
            panel.forget_changed(self.view)
        if listing.view is self.view and listing.text == self.text and listing.order is self.order:
            self.show_listing(listing)
        else:
            self.relist()
        if self.layer_tree.base and self.layer_tree.base not in self.view:
            self.layer_tree.base = ""

    def show_listing(self, listing: Listing) -> None:
        """Replace the rows with others of the same view, or with the same ones in another order."""
        self.layer_tree.show(listing)
        past, self._past = self._past, None
        if past is not None:
            self._restore(past)
        self.query_one(LayerTreeHeader).order = listing.order
        self.list_filter.show_result(listing.matches, len(self.view.rows), listing.error)
        empty = "" if listing.rows else with_keys(_NO_MATCH if self.view.rows else _EMPTY)
        pane = self.query_one("#list")
        if bool(empty) or pane.has_class("-empty"):
            self.query_one("#empty", Static).update(empty)
            pane.set_class(bool(empty), "-empty")
        if self._awaited in self.view:
            layer_id, self._awaited = self._awaited, ""
            self.go_to_layer(layer_id)
        self.show_layer()

    def relist(self) -> None:
        """Filter and sort again."""

        def listed(listing: Listing) -> None:
            if listing.view is self.view:
                self.show_listing(listing)
            else:  # the store changed in the meantime
                self.relist()

        self.jobs.submit(list_job(self.view, self.text, self.order), self, listed)

    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel."""
        row = self.layer_tree.cursor_row
        if row is not None:
            self.sizes.want(row)
        self.panel.show(self.browser)
        self.query_one("#panels", Pane).put_title(safe(row.title) if row is not None else "")
        self.query_one(KeyBar).refresh()

    def go_to_layer(self, layer_id: str, *, when_listed: bool = False) -> None:
        """Move the cursor to a layer, clearing a filter that hides it."""
        if when_listed and layer_id not in self.view:
            self._awaited = layer_id
            return
        tree = self.layer_tree
        if not tree.go_to_key(layer_id) and layer_id in self.view:
            self.list_filter.close()
            self.text, self.order = "", Order.TREE
            tree.want(layer_id)
            self.relist()
        if self.query("#panels.-zoom"):
            self.zoom("")
        tree.focus()

    def _size_measured(self, layer_id: str) -> None:
        view = self.view.with_sizes(self.sizes.measured)
        if view is not self.view:
            self.view = self.query_one(HeaderBar).view = view
            self.relist()
        row = self.layer_tree.cursor_row
        if row is not None and row.id == layer_id:
            self.panel.show(self.browser)

    # Following the store

    def _follow(self) -> None:
        if self._follow_job is not None and not self._follow_job.state.ended:
            return

        def followed(listing: Listing | None) -> None:
            if listing is not None:
                self.show_view(listing)
            else:
                self.query_one(HeaderBar).following = Following.ON

        def failed(error: Exception) -> None:
            header = self.query_one(HeaderBar)
            if header.following is not Following.FAILED:
                header.following = Following.FAILED
                self.browser.say(f"Cannot follow the store: {error}", "error")

        job = follow_job(self.store, self.view, self.text, self.order, self.sizes.measured)
        self._follow_job = self.jobs.submit(job, self, followed, failed)

    def reload(self) -> None:
        """Read the store again, and drop everything that was cached."""
        self.sizes.forget()
        for panel in self._panels():
            panel.forget()
        header = self.query_one(HeaderBar)
        header.following = Following.READING

        def failed(error: Exception) -> None:
            header.following = Following.FAILED
            self.browser.show_error(error)

        job = load_job(self.store, self.text, self.order, self.sizes.measured)
        self.jobs.submit(job, self, self.show_view, failed)

    def action_reload(self) -> None:
        """Read the store again."""
        self.reload()

    def _tick(self) -> None:
        self.layer_tree.now = self._clock()

    # Jobs

    @property
    def running(self) -> list[Job[Any]]:
        """The jobs that the user sees and may cancel, the newest last."""
        in_panels = [panel.running for panel in self._panels()]
        return self.query_one(JobsStrip).running or [job for job in in_panels if job is not None]

    def on_job_changed(self, event: JobChanged) -> None:
        """Draw the job."""
        self.query_one(JobsStrip).update(event.job)
        self.query_one(KeyBar).refresh()

    def on_job_failed(self, event: JobFailed) -> None:
        """Show the error of a job that nothing else handles."""
        self.browser.show_error(event.error)

    def on_jobs_strip_cancel_wanted(self, event: JobsStrip.CancelWanted) -> None:
        """Cancel the job."""
        self.jobs.cancel(event.job)

    # The list

    def on_virtual_tree_cursor_moved(self, event: LayerTree.CursorMoved) -> None:
        """Update the panel once the cursor rests."""
        if event.tree is self.layer_tree:
            if self._settle is not None:
                self._settle.stop()
            self._settle = self.set_timer(_SETTLE, self.show_layer)

    def on_virtual_tree_chosen(self, event: LayerTree.Chosen) -> None:
        """Enter the panel from the list."""
        if event.tree is self.layer_tree:
            self.focus_panel()

    def on_virtual_tree_width_changed(self, event: LayerTree.WidthChanged) -> None:
        """Keep the titles of the columns above the columns."""
        if event.tree is self.layer_tree:
            self.query_one(LayerTreeHeader).columns_width = event.tree.scrollable_content_region.width

    def on_layer_tree_marks_changed(self, event: LayerTree.MarksChanged) -> None:
        """Show the number of marks."""
        self.query_one(HeaderBar).marked = len(event.tree.marks)
        self.query_one(KeyBar).refresh()

    def on_layer_tree_header_order_wanted(self, event: LayerTreeHeader.OrderWanted) -> None:
        """Sort by the column that was clicked."""
        self.order = event.order
        self.relist()

    def action_order(self) -> None:
        """Sort in the next order: the panel in focus, or the list."""
        if not self.panel.has_focus_within or not self.panel.toggle_order():
            self.order = self.order.next
            self.relist()

    # Filters

    @property
    def filter_has_focus(self) -> bool:
        """Whether keys go to a filter."""
        return isinstance(self.focused, FilterInput)

    def _filter_bar(self) -> FilterBar:
        """Return the filter of the panel in focus, or of the list."""
        bar = self.panel.filter_bar if self.panel.has_focus_within else None
        return bar or self.list_filter

    def action_filter(self) -> None:
        """Open the filter of the panel in focus, or of the list."""
        self._filter_bar().open()

    def action_leave_filter(self) -> None:
        """Go from the filter in focus to what it filters."""
        self._leave_filter(self._filter_bar())

    def _leave_filter(self, bar: FilterBar) -> None:
        self._left_filter = monotonic()
        if bar is self.panel.filter_bar:
            self.panel.focus_target.focus()
        else:
            self.layer_tree.focus()

    def on_filter_bar_typed(self, event: FilterBar.Typed) -> None:
        """Filter the list."""
        if event.text != self.text:
            self.text = event.text
            self.relist()

    def action_back(self) -> None:
        """Undo the first of: a step in the panel, the filter in focus, the zoom, the filter, the marks, ended jobs."""
        bar = self._filter_bar()
        tree = self.layer_tree
        if not bar.has_focus_within and self.panel.back():
            return
        if bar.has_class("-open") and (bar.has_focus_within or bar is not self.list_filter):
            bar.close()
            self._leave_filter(bar)
        elif self.query("#body.-zoomed"):
            self.action_zoom()
        elif not tree.has_focus:
            tree.focus()
        elif self.list_filter.has_class("-open"):
            self.list_filter.close()
        elif tree.marks:
            tree.set_marks(())
        else:
            self.query_one(JobsStrip).clear_ended()

    # Panels

    def _panels(self) -> list[Panel]:
        return [child for child in self.query_one(ContentSwitcher).children if isinstance(child, Panel)]

    @property
    def panel_ids(self) -> list[str]:
        """The IDs of the panels, in their order."""
        return [str(panel.id) for panel in self._panels()]

    @property
    def panel(self) -> Panel:
        """The panel that is shown."""
        switcher = self.query_one(ContentSwitcher)
        return switcher.query_one(f"#{switcher.current}", Panel)

    def show_panel(self, panel_id: str) -> None:
        """Show a panel, or enter it if it is shown already."""
        switcher = self.query_one(ContentSwitcher)
        if switcher.current == panel_id:
            self.focus_panel()
            return
        inside = switcher.has_focus_within
        self.panel.hide()
        switcher.current = panel_id
        self.query_one(PanelTabs).active = panel_id
        if inside or self.query("#list.-zoom"):
            self.focus_panel()
        self.show_layer()

    def action_panel(self, panel_id: str) -> None:
        """Show a panel, or enter it if it is shown already."""
        self.show_panel(panel_id)

    def action_next_panel(self, step: int) -> None:
        """Show the next panel, or the previous one."""
        names = self.panel_ids
        self.show_panel(names[(names.index(str(self.panel.id)) + step) % len(names)])

    def on_panel_tabs_wanted(self, event: PanelTabs.Wanted) -> None:
        """Show the panel whose tab was clicked."""
        self.show_panel(event.panel_id)

    def focus_panel(self) -> None:
        """Enter the panel that is shown, zooming it if the list is zoomed."""
        if self.query("#list.-zoom"):
            self.zoom("panels")
        self.panel.focus_target.focus()

    def action_zoom(self) -> None:
        """Give the pane in focus the whole screen, or give it back."""
        if self.query("#body.-zoomed"):
            self.zoom("")
        else:
            self.zoom("panels" if self.query_one("#panels").has_focus_within else "list")

    def zoom(self, pane_id: str) -> None:
        """Give a pane the whole screen, or no pane for ""."""
        body = self.query_one("#body")
        body.set_class(bool(pane_id), "-zoomed")
        for pane in body.query(".pane"):
            pane.set_class(pane.id == pane_id, "-zoom")


_LEAVE = ("layers.back", "filter.clear", "preview.back", "jobs.cancel", "app.quit", "app.quit-too")
