"""What the keys of the browser do: ask in a dialog where it must, and submit one job."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Literal

from textual.screen import Screen
from textual.widgets import ContentSwitcher

from layerstore.store import LayerStore
from layertui import messages, operations
from layertui.format import plural, size_text
from layertui.jobs import JobRunner
from layertui.layerlist import Order
from layertui.model import LayerRow, StoreView
from layertui.plans import build_delete_plan
from layertui.safe import copyable, safe
from layertui.screens.copy_menu import CopyMenu
from layertui.screens.delete import DeleteDialog, DeleteRequest
from layertui.screens.error import ErrorDialog
from layertui.screens.export import ExportDialog, ExportRequest
from layertui.screens.feed import CHANGES, PanelFeed
from layertui.screens.flags import FlagChanges, FlagsDialog
from layertui.screens.names import NamesDialog
from layertui.widgets.changes_panel import ChangesPanel
from layertui.widgets.filter_bar import FilterBar, FilterInput
from layertui.widgets.jobs_strip import JobsStrip
from layertui.widgets.layer_tree import LayerTree
from layertui.widgets.panel_tabs import PanelTabs

_WRITES = {
    "mount": "mount",
    "delete": "delete",
    "names": "change names",
    "flags": "change flags",
    "unmount": "unmount",
    "unmount_marked": "unmount",
}


class LayerActions(Screen[None]):
    """The actions of `LayersScreen`, which has the data."""

    store: LayerStore
    jobs: JobRunner
    feed: PanelFeed
    view: StoreView
    text: str
    order: Order

    @property
    @abstractmethod
    def tree_widget(self) -> LayerTree:
        """The list of layers."""

    @property
    @abstractmethod
    def row(self) -> LayerRow | None:
        """The layer under the cursor."""

    @abstractmethod
    def relist(self) -> None:
        """Filter and sort again."""

    @abstractmethod
    def reload(self) -> None:
        """Read everything again."""

    @abstractmethod
    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel that is seen."""

    @abstractmethod
    def set_base(self, layer_id: str) -> None:
        """Show changes against this layer."""

    # Words

    def say(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Show a short message; may hold names from disk."""
        self.notify(safe(text), severity=severity, markup=False)

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong."""
        self.app.push_screen(ErrorDialog(error))

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard of the terminal."""
        self.app.copy_to_clipboard(copyable(text))
        shown = text if len(text) <= 60 else text[:59] + "…"
        self.say(f"Copied {what}: {shown}")

    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now, "" when it does. Keys of refused actions are not in the key bar."""
        name = action.partition("(")[0]
        row = self.row
        if name == "unmount_marked" and not self._marked_mounted():
            return (
                "None of the marked layers is mounted" if self.tree_widget.marks else "No layer is marked: space marks"
            )
        if name == "filter" and isinstance(self.focused, FilterInput):
            return "You are typing into it"
        if name == "cancel_job":
            return "" if self.query_one(JobsStrip).running else "Nothing runs"
        if name in (*_WRITES, "export", "copy", "compare_from") and row is None:
            return "There is no layer here"
        if name in _WRITES and self.store.read_only:
            return f"The store is open for reading only: cannot {_WRITES[name]}"
        if name == "unmount" and row is not None and not row.mount_count:
            return "The layer is not mounted"
        return ""

    def _chosen(self, action: str) -> LayerRow | None:
        """Return the layer under the cursor, or say why the action cannot be."""
        refusal = self.refusal(action)
        if refusal:
            self.say(refusal, "warning")
            return None
        return self.row

    # Mounting

    def action_mount(self) -> None:
        """Mount the layer."""
        row = self._chosen("mount")
        if row is not None:
            self.jobs.submit(operations.mount_job(self.store, row), self)

    def action_unmount(self) -> None:
        """Unmount the layer once."""
        row = self._chosen("unmount")
        if row is not None:
            self.jobs.submit(operations.unmount_job(self.store, [row]), self)

    def action_unmount_marked(self) -> None:
        """Unmount all marked layers that are mounted, each once."""
        if self._chosen("unmount_marked") is not None:
            self.jobs.submit(operations.unmount_job(self.store, self._marked_mounted()), self)

    def _marked_mounted(self) -> list[LayerRow]:
        return [row for mark in self.tree_widget.marks if (row := self.view.get(mark)) is not None and row.mount_count]

    def on_mounted(self, event: messages.Mounted) -> None:
        """Show and copy the path."""
        self.app.copy_to_clipboard(copyable(str(event.path)))
        self.notify(safe(str(event.path)), title="Mounted; the path is copied", markup=False)
        self.reload()

    def on_unmounted(self, event: messages.Unmounted) -> None:
        """Say what is mounted still."""
        if event.still:
            self.say(f"{plural(event.still, 'layer')} still mounted: asked for more than once")
        else:
            self.say(f"Unmounted {plural(len(event.layer_ids), 'layer')}")
        self.reload()

    # Export, delete, names, flags

    def action_export(self) -> None:
        """Ask how and where to, and export the layer."""
        row = self._chosen("export")
        if row is None:
            return
        base = self.view.get(self.tree_widget.base)
        near = [base] if base is not None and base.id != row.id else []
        candidates = [*near, *(below for below in self.view.ancestors(row.id) if below not in near)]

        def export(request: ExportRequest | None) -> None:
            if request is not None:
                job = operations.export_job(
                    self.store,
                    row,
                    request.from_id,
                    request.compression,
                    request.path,
                    overwrite=request.overwrite,
                )
                self.jobs.submit(job, self)

        self.app.push_screen(ExportDialog(row.layer, [other.layer for other in candidates], Path.cwd()), export)

    def on_exported(self, event: messages.Exported) -> None:
        """Say where the file is."""
        text = f"{event.path}\n{size_text(event.size)}, {event.digest}"
        self.notify("\n".join(safe(line) for line in text.splitlines()), title="Exported", markup=False, timeout=10)

    def action_delete(self) -> None:
        """Show what goes and what stands in the way, and delete the marked layers, or the one under the cursor."""
        row = self._chosen("delete")
        if row is None:
            return
        marks = self.tree_widget.marks
        plan = build_delete_plan(self.view, [mark for mark in self.view if mark in marks] or [row.id])

        def delete(request: DeleteRequest | None) -> None:
            if request is not None:
                rows = [self.view[layer_id] for layer_id in request.ids if layer_id in self.view]
                self.jobs.submit(operations.delete_job(self.store, rows, force=request.force), self)

        def measure(ids: tuple[str, ...], dialog: DeleteDialog) -> None:
            self.jobs.submit(operations.measure_plan_job(self.store, ids), dialog)

        self.app.push_screen(DeleteDialog(plan, measure), delete)

    def on_deleted(self) -> None:
        """Show the list without them."""
        self.reload()

    def action_names(self) -> None:
        """Edit the names."""
        row = self._chosen("names")
        if row is None:
            return

        def rename(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.jobs.submit(operations.names_job(self.store, row, names), self)

        self.app.push_screen(NamesDialog(row.layer, self.view.names), rename)

    def action_flags(self) -> None:
        """Edit the flags."""
        row = self._chosen("flags")
        if row is None:
            return

        def change(changes: FlagChanges | None) -> None:
            if changes is not None:
                self.jobs.submit(operations.flags_job(self.store, row, changes.set, changes.clear), self)

        self.app.push_screen(FlagsDialog(row.layer), change)

    def on_layer_changed(self) -> None:
        """Show the record as it is now."""
        self.reload()

    def action_copy(self) -> None:
        """Ask what to copy."""
        row = self._chosen("copy")
        if row is None:
            return

        def copy(choice: tuple[str, str] | None) -> None:
            if choice is not None:
                self.copy(choice[1], choice[0])

        self.app.push_screen(CopyMenu(row.layer), copy)

    # The list

    def action_compare_from(self) -> None:
        """Show changes against this layer, or against the parents again."""
        row = self._chosen("compare_from")
        if row is not None:
            self.set_base("" if self.tree_widget.base == row.id else row.id)
            title = f"Changes are shown against {row.title}" if self.tree_widget.base else "Changes against the parent"
            self.say(title)
            self.show_layer()

    def action_filter(self) -> None:
        """Open the filter of the list, or of the changes when they are in focus."""
        self._filter_bar().open()

    def _filter_bar(self) -> FilterBar:
        in_changes = self.query_one(f"#{CHANGES}").has_focus_within
        return self.query_one("#changes-filter" if in_changes else "#layers-filter", FilterBar)

    def action_order(self) -> None:
        """Sort by the next order; the changes, when they are in focus, by size or by name."""
        panel = self.query_one(ChangesPanel)
        if panel.has_focus_within:
            panel.toggle_order()
        else:
            self.order = self.order.next
            self.relist()

    def action_reload(self) -> None:
        """Read the store again."""
        self.reload()

    def action_cancel_job(self) -> None:
        """Cancel the newest job that runs."""
        running = self.query_one(JobsStrip).running
        if running:
            self.jobs.cancel(running[-1])
        else:
            self.say("Nothing runs", "warning")

    def action_back(self) -> None:
        """Take back one thing: the filter in focus, zoom, the panel, the filter, the marks, the results of jobs."""
        bar = self._filter_bar()
        tree = self.tree_widget
        list_bar = self.query_one("#layers-filter", FilterBar)
        if bar.has_class("-open") and (bar.has_focus_within or bar.id == "changes-filter"):
            bar.close()
            self.leave_filter(bar)
        elif self.query("#body.-zoomed"):
            self.action_zoom()
        elif not tree.has_focus:
            tree.focus()
        elif list_bar.has_class("-open"):
            list_bar.close()
        elif tree.marks:
            tree.set_marks(())
        else:
            self.query_one(JobsStrip).clear_ended()

    @abstractmethod
    def leave_filter(self, bar: FilterBar) -> None:
        """Go to what the bar filters."""

    def go_to_layer(self, layer_id: str) -> None:
        """Put the cursor on a layer, without the filter if that hides it."""
        tree = self.tree_widget
        if not tree.go_to_key(layer_id) and layer_id in self.view:
            self.query_one("#layers-filter", FilterBar).close()
            self.text, self.order = "", Order.TREE
            tree.want(layer_id)
            self.relist()
        tree.focus()

    # Panels

    def action_panel(self, name: str) -> None:
        """Show a panel; when it is shown already, go there."""
        switcher = self.query_one(ContentSwitcher)
        if switcher.current == name:
            self.focus_panel()
            return
        inside = switcher.has_focus_within
        switcher.current = name
        self.feed.panel = name
        self.query_one(PanelTabs).active = name
        if inside:
            self.focus_panel()
        self.show_layer()

    def action_next_panel(self, step: int) -> None:
        """Show the next panel, or the previous one."""
        names = [child.id for child in self.query_one(ContentSwitcher).children if child.id is not None]
        self.action_panel(names[(names.index(self.feed.panel) + step) % len(names)])

    def focus_panel(self) -> None:
        """Go to the panel that is shown."""
        shown = self.query_one(f"#{self.feed.panel}")
        for widget in (shown, *shown.query("*")):
            if widget.focusable and not isinstance(widget.parent, FilterBar):
                widget.focus()
                return

    def action_zoom(self) -> None:
        """Give the pane in focus the whole screen, or give it back."""
        body = self.query_one("#body")
        zoomed = not body.has_class("-zoomed")
        body.set_class(zoomed, "-zoomed")
        for pane in body.query(".pane"):
            pane.set_class(zoomed and pane.has_focus_within, "-zoom")
        if zoomed and not body.query(".-zoom"):
            self.query_one("#list").add_class("-zoom")
