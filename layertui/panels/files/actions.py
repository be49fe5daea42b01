"""What the keys of the Files, Waste and JSON panels do, and where what the threads found for them goes."""

from __future__ import annotations

import os
from pathlib import Path

from textual.widget import Widget

from layerstore.content.files import FileEntry
from layertui.jobs import messages
from layertui.panels.files import jobs
from layertui.panels.files.panel import FilesPanel
from layertui.panels.files.preview import PreviewView
from layertui.panels.files.tree import FilesTree
from layertui.panels.json.panel import JsonTree
from layertui.panels.waste.panel import WastePanel, WasteTree
from layertui.screens.main.feed import FILES, WASTE
from layertui.screens.main.layer_actions import LayerActions
from layertui.text.format import plural, size_text
from layertui.text.safe import safe
from layertui.widgets.filter_bar import FilterBar


class FileActions(LayerActions):
    """The actions of `LayersScreen` about the content of layers."""

    @property
    def files_panel(self) -> FilesPanel:
        """The Files panel."""
        return self.query_one(FilesPanel)

    @property
    def panel_widget(self) -> Widget:
        """What takes the keys in the panel that is shown."""
        return self.files_panel.focus_target if self.feed.panel == FILES else super().panel_widget

    def panel_back(self) -> bool:
        """Go back from the preview to the tree, or close it."""
        panel = self.files_panel
        if not panel.previewing or not panel.has_focus_within:
            return False
        if panel.view.has_focus and not panel.has_class("-replace"):
            panel.tree_widget.focus()
        else:
            panel.close_preview()
        return True

    def toggle_order(self) -> bool:
        """Change the order of the files or of the waste when they are in focus."""
        if self.query_one(WastePanel).has_focus_within:
            self.query_one(WastePanel).toggle_order()
        elif self.files_panel.has_focus_within:
            self.files_panel.by_size = not self.files_panel.by_size
            self.feed.files.redraw()
            self.say("Files by size" if self.files_panel.by_size else "Files by name")
        else:
            return super().toggle_order()
        return True

    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now, those of the Waste panel too."""
        waste = isinstance(self.focused, WasteTree) and action in ("toggle_fold", "screen.copy_waste")
        if waste and self.query_one(WastePanel).layer_id is None:
            return "There are no lines here"
        return super().refusal(action)

    # Files

    def on_files_tree_folder_wanted(self, event: FilesTree.FolderWanted) -> None:
        """Read folders."""
        self.feed.files.want_folders(event.paths)

    def on_folders_listed(self, event: messages.FoldersListed) -> None:
        """Show what is in folders."""
        self.feed.files.take_folders(event)

    def on_file_tree_built(self, event: messages.FileTreeBuilt) -> None:
        """Show a large tree."""
        self.feed.files.take_tree(event)

    def on_files_found(self, event: messages.FilesFound) -> None:
        """Show what was found."""
        self.feed.files.take_found(event)

    def on_files_panel_folder_chosen(self, event: FilesPanel.FolderChosen) -> None:
        """Leave the search for a folder in the tree of all files."""
        self.query_one("#files-filter", FilterBar).close()
        self.feed.files.search("")
        self.feed.files.reveal(event.path)

    def on_files_panel_preview_wanted(self, event: FilesPanel.PreviewWanted) -> None:
        """Look into a file."""
        self.feed.files.preview(event.path)

    def on_preview_started(self, event: messages.PreviewStarted) -> None:
        """Show a file."""
        self.feed.files.take_preview(event)

    def on_preview_toned(self, event: messages.PreviewToned) -> None:
        """Colour it."""
        self.feed.files.take_tones(event)

    def on_preview_view_more_wanted(self, event: PreviewView.MoreWanted) -> None:
        """Read on."""
        self.feed.files.more(event.offset)

    def on_preview_read(self, event: messages.PreviewRead) -> None:
        """Show the next piece."""
        self.feed.files.take_more(event)

    def action_file(self, what: str) -> None:
        """Do something with the file under the cursor: extract it, find its layers, or copy its path."""
        entry = self.files_panel.entry
        if entry is None or not self.feed.files.layer_id:
            self.say("There is no file here", "warning")
        elif what == "copy":
            self.copy(entry.path, "path")
        elif what == "where":
            job = jobs.occurrences_job(self.store, self.feed.files.layer_id, entry.path)
            self.jobs.submit(job, self)
        else:
            self._extract(entry)

    def on_occurrences_found(self, event: messages.OccurrencesFound) -> None:
        """Show the layers that have a path."""
        from layertui.dialogs.occurrences import OccurrencesDialog  # noqa: PLC0415 - few need it

        def go(layer_id: str | None) -> None:
            if layer_id is not None:
                self.go_to_layer(layer_id)

        layers = {layer_id: row.layer for layer_id in self._chain(event.layer_id) if (row := self.view.get(layer_id))}
        self.app.push_screen(OccurrencesDialog(event.path, event.occurrences, layers), go)

    def _chain(self, layer_id: str) -> list[str]:
        if layer_id not in self.view:
            return []
        return [layer_id, *(row.id for row in self.view.ancestors(layer_id))]

    def _extract(self, entry: FileEntry) -> None:
        from layertui.dialogs.extract import ExtractDialog, ExtractRequest  # noqa: PLC0415 - few need it

        layer_id = self.feed.files.layer_id
        title = row.title if (row := self.view.get(layer_id)) is not None else layer_id[:12]

        def extract(request: ExtractRequest | None) -> None:
            if request is not None:
                job = jobs.extract_job(
                    self.store,
                    layer_id,
                    entry.path,
                    request.path,
                    as_tar=request.as_tar,
                    overwrite=request.overwrite,
                    owners=request.owners,
                )
                self.jobs.submit(job, self)

        dialog = ExtractDialog(entry, title, Path.cwd(), is_root=os.geteuid() == 0)
        self.app.push_screen(dialog, extract)

    def on_files_extracted(self, event: messages.FilesExtracted) -> None:
        """Say where the files are, and what was left out."""
        done = event.done
        numbers = f"{plural(done.files, 'file')}, {plural(done.folders, 'folder')}, {size_text(done.size)}"
        if not done.skipped:
            self._say_extracted(done.target, numbers)
            return
        from layertui.dialogs.extract import SkippedDialog  # noqa: PLC0415 - few need it

        self.app.push_screen(SkippedDialog(done, numbers))

    def on_tar_extracted(self, event: messages.TarExtracted) -> None:
        """Say where the tar is."""
        self._say_extracted(str(event.target), size_text(event.size))

    def _say_extracted(self, target: str, numbers: str) -> None:
        self.notify(f"{safe(target)}\n{numbers}", title="Extracted", markup=False, timeout=10)

    # Waste and JSON

    def on_waste_found(self, event: messages.WasteFound) -> None:
        """Show what a chain wastes."""
        self.feed.waste.take(event)
        if self.feed.panel == WASTE:
            self.show_layer()

    def on_waste_panel_layer_chosen(self, event: WastePanel.LayerChosen) -> None:
        """Go to a layer."""
        self.go_to_layer(event.layer_id)

    def action_copy_waste(self) -> None:
        """Copy the path under the cursor; the layer's ID where there is none."""
        panel = self.query_one(WastePanel)
        text = panel.path or panel.layer_id
        if text is not None:
            self.copy(text, "path" if panel.path else "ID")

    def on_record_read(self, event: messages.RecordRead) -> None:
        """Show a record."""
        self.feed.json.take(event)

    def on_json_tree_copy_wanted(self, event: JsonTree.CopyWanted) -> None:
        """Copy a value."""
        self.copy(event.text, event.what, lines=event.lines)
