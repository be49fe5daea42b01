"""The Files panel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import count
from typing import Any

from textual.app import ComposeResult
from textual.timer import Timer
from textual.widget import Widget

from layerstore import FileEntry
from layertui.jobs.runner import Job, JobState, to_come
from layertui.keys.sentences import key_of
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.base import Browser, Panel
from layertui.panels.files import jobs
from layertui.panels.files.model import FileTree, Folder, Found, build_file_tree, outer_folders
from layertui.panels.files.preview import PreviewView
from layertui.panels.files.preview_model import Start, is_binary
from layertui.panels.files.syntax import Tones, language_of
from layertui.panels.files.tree import FilesTree, Origins
from layertui.panels.files.view import FilesView
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.filter_bar import FilterBar

_CACHED = 8  # layers
_MOST_FILES = 500_000  # in all cached folders
_SMALL = 4_000  # files of a tree that is built on the event loop, in a few milliseconds
_PAUSE = 0.12  # seconds without a key before a layer is searched
_POLL = 0.1  # seconds between two updates of the progress of a search


class FilesPanel(Panel):
    """Shows the files of the layer under the cursor: folders as they are opened, a search, and previews.

    Folders stay open when the cursor moves to another layer, so the user can follow a path through layers.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._browser: Browser | None = None
        self._row: LayerRow | None = None
        self._known: OrderedDict[str, dict[str, Folder]] = OrderedDict()
        self._stale: set[str] = set()
        """Layers whose folders must be read again. The old ones are shown until then."""
        self._numbers = count(1)
        self._loads: list[Job[jobs.Folders]] = []
        self._search: Job[Found] | None = None
        self._timer: Timer | None = None
        self._text = ""
        self._pause: Timer | None = None
        self._answered = ""
        """The text whose search result is shown."""
        self._browsed: frozenset[str] | None = None
        """The folders that were open before the search, None without a search."""
        self._reopen: tuple[frozenset[str], str] | None = None
        """The folders to open after a search, and the path for the cursor."""
        self._reread = ""
        """The file whose preview is read again and keeps its scroll position."""

        self.layer_id = ""
        """The layer whose files are shown."""

    def compose(self) -> ComposeResult:
        """Yield the filter and the files."""
        yield FilterBar("part of a name, or of a path with a /", id="files-filter")
        yield FilesView(id="files-panel")

    @property
    def view(self) -> FilesView:
        """The tree and the preview."""
        return self.query_one(FilesView)

    @property
    def entry(self) -> FileEntry | None:
        """The file under the cursor."""
        return self.view.entry

    @property
    def filter_bar(self) -> FilterBar:
        """The bar that searches for names."""
        return self.query_one(FilterBar)

    @property
    def focus_target(self) -> Widget:
        """The tree, or the preview where it hides the tree."""
        return self.view.focus_target

    @property
    def browser(self) -> Browser:
        """The browser that shows this panel."""
        assert self._browser is not None
        return self._browser

    @property
    def running(self) -> Job[Any] | None:
        """The search, while it runs."""
        return self._search if self._search is not None and not self._search.state.ended else None

    def awaits_filter(self, text: str) -> bool:
        """Return whether the result of this search is not shown yet."""
        if text.strip() != self._text:
            return True
        unanswered = bool(self._text) and self._answered != self._text
        return unanswered and (self._pause is not None or to_come(self._search))

    def forget(self) -> None:
        """Read everything that is shown again."""
        self._drop(self._known)

    def forget_changed(self, view: StoreView) -> None:
        """Read layers without a digest again."""
        self._drop([known for known in self._known if known not in view or not view[known].layer.diff_digest])

    def _drop(self, layers: Iterable[str]) -> None:
        for layer_id in list(layers):
            if layer_id == self.layer_id:
                self._stale.add(layer_id)
            else:
                del self._known[layer_id]

    def back(self) -> bool:
        """Go back from the preview to the tree, or close it."""
        view = self.view
        if not view.previewing or not view.has_focus_within:
            return False
        if view.preview.has_focus and not view.has_class("-replace"):
            view.tree_widget.focus()
        else:
            view.close_preview()
        return True

    def toggle_order(self) -> bool:
        """Sort by size, or by name again."""
        self.view.by_size = not self.view.by_size
        if self.layer_id and self._browsed is None:
            self._draw()
        self.browser.say("Files by size" if self.view.by_size else "Files by name")
        return True

    # Showing

    def show(self, browser: Browser) -> None:
        """Show the layer under the cursor."""
        self._browser = browser
        row = self._row = browser.row
        if row is None:
            self.layer_id = ""
            self.view.show_note("No layer")
        elif row.id != self.layer_id:
            self._change_layer(row)
        elif row.id in self._stale:
            self._read_again(row)

    def _read_again(self, row: LayerRow) -> None:
        self._stale.discard(row.id)
        wanted = {"/", *(self.view.tree_widget.opened if self._browsed is None else self._browsed)}
        known = self._known.get(row.id, {})
        self._known[row.id] = {path: folder for path, folder in known.items() if path in wanted}
        self._load(row.id, list(wanted))
        self._find_again()
        if self.view.previewing and self.view.preview_path:
            self._reread = self.view.preview_path
            self._preview(self._reread)

    def _change_layer(self, row: LayerRow) -> None:
        tree = self.view.tree_widget
        self._stop()
        self.layer_id = row.id

        self.view.show_note("Reading…")
        known = self._known.setdefault(row.id, {})
        self._known.move_to_end(row.id)
        self._trim()
        opened = tree.opened if self._browsed is None else self._browsed
        missing = [path for path in ("/", *opened) if path not in known]
        if "/" in missing or row.id in self._stale:
            self._stale.discard(row.id)
            self._load(row.id, missing)
        elif self._text:
            self._find()
        else:
            self._draw()
            self._load(row.id, missing)

    def _stop(self) -> None:
        """Cancel all running jobs, because another layer is wanted."""
        for job in (*self._loads, self._search):
            self.browser.cancel(job)

    # Folders

    def _load(self, layer_id: str, paths: list[str]) -> None:
        if not paths:
            return

        def found(folders: jobs.Folders) -> None:
            self._take_folders(layer_id, folders)

        def failed(error: Exception) -> None:
            self._known.pop(layer_id, None)
            if layer_id == self.layer_id:
                self._known[layer_id] = {}
                self.view.show_note(f"Cannot show the files: {safe(str(error))}")

        job = jobs.folders_job(self.browser.store, layer_id, paths, number=next(self._numbers))
        self._loads = [load for load in self._loads if not load.state.ended]
        self._loads.append(self.browser.jobs.submit(job, self, found, failed))

    def _take_folders(self, layer_id: str, folders: jobs.Folders) -> None:
        known = self._known.get(layer_id)
        if known is None:
            return
        known.update(folders)
        if layer_id != self.layer_id:
            return
        if self._text and "/" in folders and self.view.has_class("-note"):
            self._find()
        elif self._browsed is None:
            self._draw()

    def _draw(self) -> None:
        layer_id = self.layer_id
        known = self._known[layer_id]
        root = known.get("/")
        if root is None or isinstance(root, str):
            self.view.show_note(safe(root or "Reading…"))
            return
        if sum(len(folder) for folder in known.values()) <= _SMALL:
            self._show(build_file_tree(known, by_size=self.view.by_size))
            return

        def built(tree: FileTree) -> None:
            if layer_id == self.layer_id and self._browsed is None:
                self._show(tree)

        self.browser.jobs.submit(jobs.build_job(dict(known), by_size=self.view.by_size), self, built)

    def _show(self, tree: FileTree) -> None:
        reopen, self._reopen = self._reopen, None
        if reopen is None:
            self.view.show_tree(tree, self._origins(), self.browser.now)
        else:
            self.view.start_tree(tree, self._origins(), self.browser.now, reopen[0])
            if reopen[1]:
                self.reveal(reopen[1])

    def _origins(self) -> Origins:
        return Origins(self.layer_id, bool(self._row is not None and self._row.parent), self.browser.title_of)

    def _trim(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > _CACHED
            or sum(len(folder) for known in self._known.values() for folder in known.values()) > _MOST_FILES
        ):
            self._known.popitem(last=False)

    def reveal(self, path: str) -> None:
        """Move the cursor to a path in the tree of all files, reading the folders above it."""
        self.view.tree_widget.want(path)
        known = self._known.get(self.layer_id, {})
        missing = [folder for folder in outer_folders(path) if folder not in known]
        if missing:
            self._load(self.layer_id, missing)
        else:
            self._draw()

    def on_files_tree_folder_wanted(self, event: FilesTree.FolderWanted) -> None:
        """Read folders that were opened."""
        event.stop()
        self._load(self.layer_id, list(event.paths))

    def on_files_view_folder_chosen(self, event: FilesView.FolderChosen) -> None:
        """Go from the search to a folder in the tree of all files."""
        event.stop()
        self.filter_bar.close()
        self.search("")
        self.reveal(event.path)

    # Searching

    def on_filter_bar_typed(self, event: FilterBar.Typed) -> None:
        """Search for what was typed."""
        event.stop()
        self.search(event.text)

    def search(self, text: str) -> None:
        """Show only files whose names contain a text, or all of them again without one."""
        if text.strip() == self._text:
            return
        self._text = text.strip()
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        if self._text:
            self._pause = self.set_timer(_PAUSE, self._find_again)
        else:
            self._end_search()

    def _find_again(self) -> None:
        self._pause = None
        if self._text:
            self._find()

    def _find(self) -> None:
        layer_id, text = self.layer_id, self._text
        if not layer_id:
            return
        if self._browsed is None:
            self._browsed = self.view.tree_widget.opened
        self._answered = ""

        def found(result: Found) -> None:
            if layer_id == self.layer_id and text == self._text:
                self._show_found(result)

        def failed(error: Exception) -> None:
            if job is self._search:
                self.view.show_search(f"Cannot search: {safe(str(error))}")

        job = jobs.find_job(self.browser.store, layer_id, text)
        self._search = self.browser.jobs.submit(job, self, found, failed)
        if self._timer is None:
            self._timer = self.set_interval(_POLL, self._show_progress)

    def _show_progress(self) -> None:
        job = self._search
        if job is not None and not job.state.ended:
            self.view.show_search(f"Searching: {job.done:,} files so far; {key_of('layers.back')} stops it")
            return
        if job is not None and job.state is JobState.CANCELLED:
            self.view.show_search("The search was stopped")
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _end_search(self) -> None:
        entry = self.view.tree_widget.entry
        self.browser.cancel(self._search)
        self.view.show_search("")
        opened, self._browsed = self._browsed, None
        if opened is not None and self.layer_id in self._known:
            self._reopen = (opened, entry.path if entry is not None else "")
            self._draw()

    def _show_found(self, found: Found) -> None:
        self._answered = self._text
        self.view.start_tree(found.tree, self._origins(), self.browser.now, None)
        self.view.show_search("" if found.matches else f"None of {plural(found.looked, 'file')} matches")
        more = "" if found.complete else "+"
        error = f"{plural(found.unreadable, 'folder')} cannot be read" if found.unreadable else ""
        self.filter_bar.show_result(found.matches, found.looked, error and f"{found.matches:,}{more}, {error}")

    # Previews

    def on_files_view_preview_wanted(self, event: FilesView.PreviewWanted) -> None:
        """Preview a file."""
        event.stop()
        self._preview(event.path)

    def _preview(self, path: str) -> None:
        layer_id = self.layer_id

        def found(start: Start) -> None:
            if layer_id == self.layer_id:
                again, self._reread = self._reread == path, ""
                self.view.show_preview(path, start, again=again)
                self._colour(path, start)

        self.browser.jobs.submit(jobs.preview_job(self.browser.store, layer_id, path), self, found, self._unreadable)

    def _colour(self, path: str, start: Start) -> None:
        layer_id, piece = self.layer_id, start.piece
        language = language_of(start.file.path, piece)
        if not language or is_binary(piece):
            return

        def found(tones: Tones) -> None:
            if layer_id == self.layer_id and path == self.view.preview_path:
                self.view.preview.colour(tones)

        def failed(error: Exception) -> None:
            del error  # the text stays without colours

        self.browser.jobs.submit(jobs.tones_job(language, piece), self, found, failed)

    def on_preview_view_more_wanted(self, event: PreviewView.MoreWanted) -> None:
        """Read the next piece of the file."""
        event.stop()
        layer_id, path, offset = self.layer_id, self.view.preview_path, event.offset

        def found(read: tuple[bytes, int]) -> None:
            if layer_id == self.layer_id and path == self.view.preview_path:
                self.view.preview.add(offset, *read)

        job = jobs.more_job(self.browser.store, layer_id, path, offset)
        self.browser.jobs.submit(job, self, found, self._unreadable)

    def _unreadable(self, error: Exception) -> None:
        self.view.show_problem(f"Cannot read the file: {error}")
