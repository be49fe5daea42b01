"""Keeps the Files panel supplied: folders as they are opened, what is searched for, and a look into files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from time import monotonic

from textual.screen import Screen
from textual.timer import Timer

from layerstore.store import LayerStore
from layertui.jobs import messages
from layertui.jobs.runner import Job, JobRunner, JobState
from layertui.keys.keynames import key_of
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.files import jobs as file_jobs
from layertui.panels.files.model import FileTree, Folder, build_file_tree, outer_folders
from layertui.panels.files.panel import FilesPanel
from layertui.panels.files.preview_model import is_binary
from layertui.panels.files.syntax import language_of
from layertui.panels.files.tree import Origins
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.filter_bar import FilterBar

_REMEMBERED = 8  # layers
_MOST_FILES = 500_000  # in all folders that are remembered
_SMALL = 4_000  # files in all folders of a tree that is built on the event loop, in a few milliseconds
_PAUSE = 0.12  # seconds without a key before a layer is searched
_LOOK = 0.1  # seconds between two looks at how far a search is
_ON_ITS_WAY = 1.0  # seconds after the end of a job in which its message arrives, if it is taken at all


def to_come(job: Job | None) -> bool:
    """Tell whether the message of a job may still arrive."""
    if job is None or job.stop_event.is_set() or job.state in (JobState.FAILED, JobState.CANCELLED):
        return False
    return not job.ended or monotonic() - job.ended < _ON_ITS_WAY


class FilesFeed:
    """Shows the files of a layer; what comes too late is remembered and not shown.

    A layer is shown with the folders open that were open in the one before: so one path can be followed through
    layers.
    """

    def __init__(self, screen: Screen[None], store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._store = store
        self._jobs = jobs
        self._known: OrderedDict[str, dict[str, Folder]] = OrderedDict()
        self._stale: set[str] = set()
        """Layers whose folders are to be read again, and are shown as they were until that is done."""
        self._numbers = count(1)
        self._loads: dict[Job, str] = {}
        self._search: Job | None = None
        self._timer: Timer | None = None
        self._text = ""
        self._pause: Timer | None = None
        self._answered = ""
        """The text whose answer is shown."""
        self._browsed: frozenset[str] | None = None
        """The folders that were open before the search; None while nothing is searched for."""
        self._reopen: tuple[frozenset[str], str] | None = None
        """The folders to open again when the tree is shown after a search, and where the cursor goes."""
        self._reread = ""
        """The file that is looked into and read again: it stays where it was scrolled to."""
        self._now: datetime | None = None
        self._view: StoreView | None = None
        self._row: LayerRow | None = None

        self.layer_id = ""
        """The layer whose files are to be seen."""

    @property
    def panel(self) -> FilesPanel:
        """The panel."""
        return self._screen.query_one(FilesPanel)

    @property
    def running(self) -> Job | None:
        """A search that has not ended."""
        return self._search if self._search is not None and not self._search.state.ended else None

    def filtering(self, text: str) -> bool:
        """Tell whether the answer to a filter is still to come."""
        if text.strip() != self._text:
            return True
        unanswered = bool(self._text) and self._answered != self._text
        return unanswered and (self._pause is not None or to_come(self._search))

    def forget(self) -> None:
        """Read everything again that is to be seen."""
        self._forget(self._known)

    def forget_loose(self, view: StoreView) -> None:
        """Read again what may have changed with the store: layers without a digest."""
        self._forget([known for known in self._known if known not in view or not view[known].layer.diff_digest])

    def _forget(self, layers: Iterable[str]) -> None:
        for layer_id in list(layers):
            if layer_id == self.layer_id:
                self._stale.add(layer_id)
            else:
                del self._known[layer_id]

    # Showing

    def show(self, view: StoreView, row: LayerRow | None, now: datetime) -> None:
        """Show a layer; None where there is none."""
        self._view, self._row, self._now = view, row, now
        if row is None:
            self.layer_id = ""
            self.panel.show_note("No layer")
            return
        if row.id != self.layer_id:
            self._change_layer(row)
        elif row.id in self._stale:
            self._stale.discard(row.id)
            wanted = {"/", *(self.panel.tree_widget.opened if self._browsed is None else self._browsed)}
            known = self._known.get(row.id, {})
            self._known[row.id] = {path: folder for path, folder in known.items() if path in wanted}
            self._load(row.id, list(wanted))
            self._find_again()
            if self.panel.previewing and self.panel.preview_path:
                self._reread = self.panel.preview_path
                self.preview(self._reread)

    def _change_layer(self, row: LayerRow) -> None:
        tree = self.panel.tree_widget
        self.stop()
        self.layer_id = row.id

        self.panel.show_note("Reading…")
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

    def _load(self, layer_id: str, paths: list[str]) -> None:
        if paths:
            job = file_jobs.folders_job(self._store, layer_id, paths, number=next(self._numbers))
            self._loads = {other: path for other, path in self._loads.items() if not other.state.ended}
            self._loads[self._jobs.submit(job, self._screen)] = layer_id

    def want_folders(self, paths: list[str]) -> None:
        """Read folders that were opened."""
        self._load(self.layer_id, paths)

    def take_folders(self, found: messages.FoldersListed) -> None:
        """Remember what is in folders, and show it."""
        known = self._known.get(found.layer_id)
        if known is None:
            return
        known.update(found.folders)
        if found.layer_id != self.layer_id:
            return
        if self._text and "/" in found.folders and self.panel.has_class("-note"):
            self._find()
        elif self._browsed is None:
            self._draw()

    def _draw(self) -> None:
        known = self._known[self.layer_id]
        root = known.get("/")
        if root is None or isinstance(root, str):
            self.panel.show_note(safe(root or "Reading…"))
            return
        if sum(len(folder) for folder in known.values()) > _SMALL:
            job = file_jobs.build_job(self.layer_id, dict(known), by_size=self.panel.by_size)
            self._jobs.submit(job, self._screen)
        else:
            self._show(build_file_tree(known, by_size=self.panel.by_size))

    def take_tree(self, event: messages.FileTreeBuilt) -> None:
        """Show a tree that was too large to be built on the event loop."""
        if event.layer_id == self.layer_id and self._browsed is None:
            self._show(event.tree)

    def _show(self, tree: FileTree) -> None:
        assert self._now is not None
        reopen, self._reopen = self._reopen, None
        if reopen is None:
            self.panel.show_tree(tree, self._origins(), self._now)
        else:
            self.panel.start_tree(tree, self._origins(), self._now, reopen[0])
            if reopen[1]:
                self.reveal(reopen[1])

    def redraw(self) -> None:
        """Show the same in another order."""
        if self.layer_id and self._browsed is None:
            self._draw()

    def _origins(self) -> Origins:
        row, view = self._row, self._view

        def title(layer_id: str) -> str:
            other = view.get(layer_id) if view is not None else None
            return other.title if other is not None else layer_id[:12]

        return Origins(self.layer_id, bool(row is not None and row.parent), title)

    def _trim(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > _REMEMBERED
            or sum(len(folder) for known in self._known.values() for folder in known.values()) > _MOST_FILES
        ):
            self._known.popitem(last=False)

    def reveal(self, path: str) -> None:
        """Put the cursor on a path in the tree of all files, reading the folders on the way."""
        self.panel.tree_widget.want(path)
        known = self._known.get(self.layer_id, {})
        missing = [folder for folder in outer_folders(path) if folder not in known]
        if missing:
            self._load(self.layer_id, missing)
        else:
            self._draw()

    # Searching

    def search(self, text: str) -> None:
        """Show only files whose names hold a text; all of them again without one."""
        if text.strip() == self._text:
            return
        self._text = text.strip()
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        if self._text:
            self._pause = self._screen.set_timer(_PAUSE, self._find_again)
        else:
            self._end_search()

    def _find_again(self) -> None:
        self._pause = None
        if self._text:
            self._find()

    def _find(self) -> None:
        if not self.layer_id:
            return
        if self._browsed is None:
            self._browsed = self.panel.tree_widget.opened
        self._answered = ""
        self._search = self._jobs.submit(file_jobs.find_job(self._store, self.layer_id, self._text), self._screen)
        if self._timer is None:
            self._timer = self._screen.set_interval(_LOOK, self._look)

    def _look(self) -> None:
        """Say how far the search is."""
        job = self._search
        if job is not None and not job.state.ended:
            self.panel.show_search(f"Searching: {job.done:,} files so far; {key_of('layers.back')} stops it")
            return
        if job is not None and job.state is JobState.CANCELLED:
            self.panel.show_search("The search was stopped")
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _end_search(self) -> None:
        entry = self.panel.tree_widget.entry
        if self.running is not None:
            self._jobs.cancel(self.running)
        self.panel.show_search("")
        opened, self._browsed = self._browsed, None
        if opened is not None and self.layer_id in self._known:
            self._reopen = (opened, entry.path if entry is not None else "")
            self._draw()

    def take_found(self, event: messages.FilesFound) -> None:
        """Show what was found, if it is still wanted."""
        if event.layer_id != self.layer_id or event.text != self._text:
            return
        found, self._answered = event.found, event.text
        assert self._now is not None
        self.panel.start_tree(found.tree, self._origins(), self._now, None)
        self.panel.show_search("" if found.matches else f"Nothing of {plural(found.looked, 'file')} matches")
        more = "" if found.complete else "+"
        bar = self._screen.query_one("#files-filter", FilterBar)
        error = f"{plural(found.unreadable, 'folder')} cannot be read" if found.unreadable else ""
        bar.show_result(found.matches, found.looked, error and f"{found.matches:,}{more}, {error}")

    # Previews

    def preview(self, path: str) -> None:
        """Look into a file."""
        self._jobs.submit(file_jobs.preview_job(self._store, self.layer_id, path), self._screen)

    def take_preview(self, event: messages.PreviewStarted) -> None:
        """Show a file."""
        if event.layer_id == self.layer_id:
            again, self._reread = self._reread == event.path, ""
            self.panel.show_preview(event.path, event.start, again=again)
            piece = event.start.piece
            language = language_of(event.start.file.path, piece)
            if language and not is_binary(piece):
                self._jobs.submit(file_jobs.tones_job(self.layer_id, event.path, language, piece), self._screen)

    def take_tones(self, event: messages.PreviewToned) -> None:
        """Colour the file, if it is still looked at."""
        if event.layer_id == self.layer_id and event.path == self.panel.preview_path:
            self.panel.view.colour(event.tones)

    def more(self, offset: int) -> None:
        """Read on."""
        job = file_jobs.more_job(self._store, self.layer_id, self.panel.preview_path, offset)
        self._jobs.submit(job, self._screen)

    def take_more(self, event: messages.PreviewRead) -> None:
        """Show the next piece."""
        if event.layer_id == self.layer_id and event.path == self.panel.preview_path:
            self.panel.view.add(event.offset, event.piece, event.asked)

    # Ends

    def stop(self) -> None:
        """Stop all that runs: another layer is wanted."""
        for job in (*self._loads, self._search):
            if job is not None and not job.state.ended:
                self._jobs.cancel(job)

    def take_failure(self, job: Job, error: Exception) -> bool:
        """Show in the panel what failed; False when the job is none of these."""
        if job.key.startswith(file_jobs.LIST + " "):
            layer_id = self._loads.pop(job, "")
            self._known.pop(layer_id, None)
            if layer_id == self.layer_id:
                self._known[layer_id] = {}
                self.panel.show_note(f"The files cannot be shown: {safe(str(error))}")
            return True
        if job.key == file_jobs.FIND:
            if job is self._search:
                self.panel.show_search(f"Cannot search: {safe(str(error))}")
            return True
        if job.key == file_jobs.TONES:
            return True  # it stays without colours
        if job.key in (file_jobs.PREVIEW, file_jobs.MORE):
            self.panel.show_problem(f"Cannot be read: {error}")
            return True
        return False
