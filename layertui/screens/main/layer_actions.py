"""What the keys of the browser do: ask in a dialog where it must, and submit one job."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from textual.widget import Widget
from textual.widgets import ContentSwitcher

from layertui.dialogs.copy_menu import CopyMenu
from layertui.dialogs.delete import DeleteDialog, DeleteRequest
from layertui.dialogs.export import ExportDialog, ExportRequest
from layertui.dialogs.flags import FlagChanges, FlagsDialog
from layertui.dialogs.names import NamesDialog
from layertui.jobs import messages, read
from layertui.jobs.strip import JobsStrip
from layertui.model.deletion import build_delete_plan
from layertui.model.order import Order
from layertui.panels.changes.panel import ChangesPanel
from layertui.panels.layers.tree import LayerTreeHeader
from layertui.screens.main.feed import CHANGES, FILES, PanelFeed
from layertui.screens.main.looking_actions import LookingActions
from layertui.screens.main.mount_actions import BRIEF
from layertui.text.format import size_text
from layertui.text.safe import copyable, safe
from layertui.widgets.filter_bar import FilterBar, FilterInput
from layertui.widgets.panel_tabs import PanelTabs

_WRITES = {
    "mount": "mount",
    "delete": "delete",
    "names": "change names",
    "flags": "change flags",
    "metadata": "change metadata",
    "apply": "apply a tar",
    "shell": "mount it for a shell",
    "unmount": "unmount",
    "unmount_marked": "unmount",
    "unmount_all": "unmount",
}

_LONGEST = 75  # characters of a message about what was copied


class LayerActions(LookingActions):
    """The actions of `LayersScreen`, which has the data."""

    feed: PanelFeed
    text: str
    order: Order

    @abstractmethod
    def relist(self) -> None:
        """Filter and sort again."""

    @abstractmethod
    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel that is seen."""

    @abstractmethod
    def set_base(self, layer_id: str) -> None:
        """Show changes against this layer."""

    # Words

    def copy(self, text: str, what: str, *, lines: bool = False) -> None:
        """Put a text on the clipboard of the terminal; with `lines` it is one of ours whose line ends count."""
        self.app.copy_to_clipboard(text if lines else copyable(text))
        said = f"Copied {what}: {text}"
        most = BRIEF if self.has_class("-low") else _LONGEST
        self.say(said if len(said) <= most else f"{said[: most - 1]}…")

    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now, "" when it does. Keys of refused actions are not in the key bar."""
        name = action.partition("(")[0]
        row = self.row
        if name == "filter" and isinstance(self.focused, FilterInput):
            return "You are typing into it"
        if name == "cancel_job":
            return "" if self.query_one(JobsStrip).running or self.feed.running else "Nothing runs"
        if name in (*_WRITES, "export", "copy", "compare_from") and row is None:
            return "There is no layer here"
        if name == "filter" and not self.view:
            return "There are no layers"
        listing = self.tree_widget.listing
        if name in ("mark", "order") and listing is not None and not listing.rows:
            return "The list is empty"
        if name in _WRITES and self.store.read_only:
            return f"The store is open for reading only: cannot {_WRITES[name]}. {self.why_read_only}".rstrip(". ")
        if name in _WRITES and row is not None and row.layer.image_store:
            return f"It lies in the image store {row.layer.image_store}: cannot {_WRITES[name]}"
        return self.mount_refusal(name) or self.making_refusal(name) or self.looking_refusal(name)

    def offered(self, name: str) -> str:
        """Return what to call a key, by its ID, that is shown only while the list is empty; "" for all others."""
        listing = self.tree_widget.listing
        if listing is None or listing.rows:
            return ""
        if name == "layers.back" and self.view and self.tree_widget.has_focus and not self.query("#body.-zoomed"):
            return "Clear filter"
        return "Reload" if name == "store.reload" else ""

    # Export, delete, names, flags

    def action_export(self) -> None:
        """Ask how and where to, and export the layer."""
        row = self.chosen("export")
        if row is None:
            return
        base = self.view.get(self.tree_widget.base)
        near = [base] if base is not None and base.id != row.id else []
        candidates = [*near, *(below for below in self.view.ancestors(row.id) if below not in near)]

        def export(request: ExportRequest | None) -> None:
            if request is not None:
                job = read.export_job(
                    self.store,
                    row,
                    request.from_id,
                    request.compression,
                    request.path,
                    overwrite=request.overwrite,
                )
                self.jobs.submit(job, self)

        images = {other.id: image for other in (row, *candidates) for image in (*other.tops, *other.images)[:1]}
        self.app.push_screen(ExportDialog(row.layer, [other.layer for other in candidates], Path.cwd(), images), export)

    def on_exported(self, event: messages.Exported) -> None:
        """Say where the file is."""
        text = f"{event.path}\n{size_text(event.size)}, {event.digest}"
        if not event.verified:
            text += "\nNot verified: there is no digest of what came in."
        self.notify("\n".join(safe(line) for line in text.splitlines()), title="Exported", markup=False, timeout=10)

    def action_delete(self) -> None:
        """Show what goes and what stands in the way, and delete the marked layers, or the one under the cursor."""
        row = self.chosen("delete")
        if row is None:
            return
        marks = self.tree_widget.marks
        plan = build_delete_plan(self.view, [mark for mark in self.view if mark in marks] or [row.id])

        def delete(request: DeleteRequest | None) -> None:
            if request is not None:
                rows = [self.view[layer_id] for layer_id in request.ids if layer_id in self.view]
                self.jobs.submit(read.delete_job(self.store, rows, force=request.force), self)

        def measure(ids: tuple[str, ...], dialog: DeleteDialog) -> None:
            self.jobs.submit(read.inhabitants_job(self.store, ids), dialog)
            self.jobs.submit(read.measure_plan_job(self.store, ids), dialog)

        self.app.push_screen(DeleteDialog(plan, measure), delete)

    def on_deleted(self) -> None:
        """Show the list without them."""
        self.reload()

    def action_names(self) -> None:
        """Edit the names."""
        row = self.chosen("names")
        if row is None:
            return

        def rename(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.jobs.submit(read.names_job(self.store, row, names), self)

        self.app.push_screen(NamesDialog(row.layer, self.view.names), rename)

    def action_flags(self) -> None:
        """Edit the flags."""
        row = self.chosen("flags")
        if row is None:
            return

        def change(changes: FlagChanges | None) -> None:
            if changes is not None:
                self.jobs.submit(read.flags_job(self.store, row, changes.set, changes.clear), self)

        self.app.push_screen(FlagsDialog(row.layer), change)

    def on_layer_changed(self) -> None:
        """Show the record as it is now."""
        self.reload()

    def action_copy(self) -> None:
        """Ask what to copy."""
        row = self.chosen("copy")
        if row is None:
            return

        def copy(choice: tuple[str, str] | None) -> None:
            if choice is not None:
                self.copy(choice[1], choice[0])

        self.app.push_screen(CopyMenu(row.layer), copy)

    # The list

    def action_filter(self) -> None:
        """Open the filter of the list, or of the changes or the files when they are in focus."""
        self._filter_bar().open()

    def action_leave_filter(self) -> None:
        """Go from the filter in focus to what it filters."""
        self.leave_filter(self._filter_bar())

    def _filter_bar(self) -> FilterBar:
        inside = [name for name in (CHANGES, FILES) if self.query_one(f"#{name}").has_focus_within]
        return self.query_one(f"#{inside[0]}-filter" if inside else "#layers-filter", FilterBar)

    def action_order(self) -> None:
        """Sort by the next order; what is in a panel in focus by size or by name, waste by path or by layer."""
        panel = self.query_one(ChangesPanel)
        if panel.has_focus_within:
            panel.toggle_order()
        elif not self.toggle_order():
            self.order = self.order.next
            self.relist()

    def on_layer_tree_header_order_wanted(self, event: LayerTreeHeader.OrderWanted) -> None:
        """Sort by the column that was clicked on."""
        self.order = event.order
        self.relist()

    def action_reload(self) -> None:
        """Read the store again."""
        self.reload()

    def action_cancel_job(self) -> None:
        """Cancel the newest job that runs."""
        running = self.query_one(JobsStrip).running or self.feed.running
        if running:
            self.jobs.cancel(running[-1])
        else:
            self.say("Nothing runs", "warning")

    def action_back(self) -> None:
        """Take back one thing: the filter in focus, zoom, the panel, the filter, the marks, the results of jobs."""
        bar = self._filter_bar()
        tree = self.tree_widget
        list_bar = self.query_one("#layers-filter", FilterBar)
        if not bar.has_focus_within and self.panel_back():
            return
        if bar.has_class("-open") and (bar.has_focus_within or bar.id != "layers-filter"):
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

    def toggle_order(self) -> bool:
        """Change the order in the panel in focus; False when it has none."""
        return False

    def panel_back(self) -> bool:
        """Take back one thing in the panel in focus; False when there is nothing."""
        return False

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
        if self.query("#panels.-zoom"):
            self.zoom("")
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
        if inside or self.query("#list.-zoom"):
            self.focus_panel()
        self.show_layer()

    @property
    def panel_ids(self) -> list[str]:
        """The panels that there are."""
        return [child.id for child in self.query_one(ContentSwitcher).children if child.id is not None]

    def action_next_panel(self, step: int) -> None:
        """Show the next panel, or the previous one."""
        names = self.panel_ids
        self.action_panel(names[(names.index(self.feed.panel) + step) % len(names)])

    def focus_panel(self) -> None:
        """Go to the panel that is shown; where the list has the whole screen, the panel gets it."""
        if self.query("#list.-zoom"):
            self.zoom("panels")
        self.panel_widget.focus()

    @property
    def panel_widget(self) -> Widget:
        """What takes the keys in the panel that is shown."""
        shown = self.query_one(f"#{self.feed.panel}")
        inside = [
            widget for widget in shown.query("*") if widget.focusable and not isinstance(widget.parent, FilterBar)
        ]
        return shown if shown.focusable or not inside else inside[0]

    def action_zoom(self) -> None:
        """Give the pane in focus the whole screen, or give it back."""
        body = self.query_one("#body")
        if body.has_class("-zoomed"):
            self.zoom("")
        else:
            self.zoom("panels" if self.query_one("#panels").has_focus_within else "list")

    def zoom(self, pane_id: str) -> None:
        """Give a pane the whole screen, or none with ""."""
        body = self.query_one("#body")
        body.set_class(bool(pane_id), "-zoomed")
        for pane in body.query(".pane"):
            pane.set_class(pane.id == pane_id, "-zoom")
