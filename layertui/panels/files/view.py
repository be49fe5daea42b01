"""The tree of files, the facts about the file under the cursor, and its preview."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from layerstore import FileEntry, FileKind
from layertui.panels.files.model import FileTree, mode_text, owner_text
from layertui.panels.files.preview import PreviewHead, PreviewView, title_of
from layertui.panels.files.preview_model import Start
from layertui.panels.files.tree import FilesTree, Origins, modified, size_column
from layertui.text.format import age_text
from layertui.widgets.cells import Line, base_style, cut_path, layered
from layertui.widgets.tree.tree import VirtualTree

_BESIDE = 130  # the least width of a panel with the preview beside the tree
_BELOW = 20  # the least height of a panel with the preview below the tree
_LOW = 9  # the greatest height without a separate line for the path of the file
_ORIGIN = len("from ") + 12  # least width of the origin: a short ID
_FOLLOW = 0.12  # seconds that the cursor must rest before the preview follows


class FileFacts(Widget):
    """The path of the file under the cursor and its facts, including those that the tree has no room for."""

    DEFAULT_CSS = """
    FileFacts {
        height: 2;
        &.-low { height: 1; }
        & .facts--path { color: $accent; }
        & .facts--dim { color: $foreground 60%; }
        & .facts--note { color: $text-warning; }
        & .facts--escape { color: $warning; text-style: reverse dim; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"facts--path", "facts--dim", "facts--note", "facts--escape"}

    entry: FileEntry | None = None
    origins = Origins()
    now: datetime | None = None
    search = ""

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        base = base_style(self)
        line = Line(self.size.width - 1)
        line.put(" ", base)
        if y == 0 and self.size.height > 1 and self.entry is not None:
            escape = base + layered(self, "facts--escape")
            line.put_foreign(cut_path(self.entry.path, line.room), base + layered(self, "facts--path"), escape)
        elif y == self.size.height - 1:
            self._put_facts(line, base)
        line.width += 1
        line.fill_to(line.width, base)
        return Strip(line.segments, line.used)

    def _put_facts(self, line: Line, base: Style) -> None:
        dim = base + layered(self, "facts--dim")
        if self.search:
            line.put(self.search, base + layered(self, "facts--note"))
        elif self.entry is not None and self.now is not None:
            entry, origin = self.entry, self.origins.text(self.entry)
            links = f"×{entry.links} names" if entry.links > 1 and entry.kind is FileKind.FILE else ""
            facts = [
                (mode_text(entry), base),
                (owner_text(entry), base),
                (size_column(entry), base),
                (age_text(modified(entry), self.now), dim),
                (links, dim),
            ]
            put_before(line, [fact for fact in facts if fact[0]], (f"from {origin}" if origin else "", dim))


def put_before(line: Line, facts: list[tuple[str, Style]], last: tuple[str, Style]) -> None:
    """Draw facts, then `last`. To make room for `last`, shrink the gaps, then drop facts from the end."""
    need = min(cell_len(last[0]), _ORIGIN)
    gap = "  "
    while facts and need and sum(cell_len(text) + len(gap) for text, _ in facts) + need > line.room:
        if len(gap) > 1:
            gap = " "
        else:
            facts.pop()
    for number, (text, style) in enumerate([*facts, last]):
        line.put(f"{gap if number and text else ''}{text}", style)


class FilesView(Vertical):
    """Shows files and a preview. It reads nothing itself, and posts what it needs."""

    DEFAULT_CSS = """
    FilesView {
        height: 1fr;
        & #files-note { display: none; }
        &.-note { & #files-note { display: block; } & #files-body { height: 0; } }
        & #files-body { height: 1fr; layout: vertical; }
        & #files-left { height: 1fr; width: 1fr; }
        & #files-preview { display: none; height: 1fr; width: 1fr; }
        &.-preview #files-preview { display: block; }
        &.-replace.-preview #files-left { display: none; }
        &.-below.-preview #files-preview { height: 1.2fr; }
        &.-beside #files-body { layout: horizontal; }
        &.-beside.-preview #files-preview { margin-left: 1; }
    }
    """

    class PreviewWanted(Message):
        """The beginning of a file is needed for the preview."""

        def __init__(self, view: FilesView, path: str) -> None:
            self.view = view
            self.path = path
            super().__init__()

        @property
        def control(self) -> FilesView:
            """The view."""
            return self.view

    class FolderChosen(Message):
        """The user chose a folder among the matches of a search, to open it in the tree of all files."""

        def __init__(self, view: FilesView, path: str) -> None:
            self.view = view
            self.path = path
            super().__init__()

        @property
        def control(self) -> FilesView:
            """The view."""
            return self.view

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.by_size = False
        self._path = ""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Yield the facts, the tree and the preview."""
        yield Static("", id="files-note", classes="note", markup=False)
        with Vertical(id="files-body"):
            with Vertical(id="files-left"):
                yield FileFacts()
                yield FilesTree(id="files-tree")
            with Vertical(id="files-preview"):
                yield PreviewHead()
                yield PreviewView(id="preview")

    @property
    def tree_widget(self) -> FilesTree:
        """The tree."""
        return self.query_one(FilesTree)

    @property
    def preview(self) -> PreviewView:
        """The preview of a file."""
        return self.query_one(PreviewView)

    @property
    def focus_target(self) -> Widget:
        """The widget that takes the keys: the preview where it hides the tree."""
        return self.preview if self.has_class("-preview") and self.has_class("-replace") else self.tree_widget

    # The tree

    def show_note(self, note: str) -> None:
        """Show a note instead of the files."""
        self._put_note(note)

    def _put_note(self, note: str) -> None:
        if note or self.has_class("-note"):
            self.query_one("#files-note", Static).update(Content(note))
            self.set_class(bool(note), "-note")

    def show_tree(self, tree: FileTree, origins: Origins, now: datetime) -> None:
        """Show files, keeping the cursor and the folds."""
        other = origins.layer_id != self.tree_widget.origins.layer_id
        self._put_note("")
        self.tree_widget.show(tree, origins, now)
        self._show_facts()
        if other and self.previewing:
            self._preview_again()

    def start_tree(self, tree: FileTree, origins: Origins, now: datetime, opened: frozenset[str] | None) -> None:
        """Show the matches of a search, or all files again with the folders `opened` unfolded."""
        self._put_note("")
        self.tree_widget.start(tree, origins, now, opened)
        self._show_facts()

    def show_search(self, text: str) -> None:
        """Show the state of the search instead of the facts about a file, "" for the facts."""
        facts = self.query_one(FileFacts)
        if facts.search != text:
            facts.search = text
            facts.refresh()

    def _show_facts(self) -> None:
        tree, facts = self.tree_widget, self.query_one(FileFacts)
        facts.entry, facts.origins, facts.now = tree.entry, tree.origins, tree.now
        facts.refresh()

    def on_virtual_tree_cursor_moved(self, event: VirtualTree.CursorMoved) -> None:
        """Show the facts about the file, and update an open preview."""
        if event.tree is not self.tree_widget:
            return
        self._show_facts()
        if self._timer is not None:
            self._timer.stop()
        if self.has_class("-preview") and not self.has_class("-replace"):
            self._timer = self.set_timer(_FOLLOW, self._follow)

    def on_virtual_tree_chosen(self, event: VirtualTree.Chosen) -> None:
        """Preview a file, or go to a folder that a search found."""
        entry = self.tree_widget.entry
        if event.tree is not self.tree_widget or entry is None:
            return
        event.stop()
        if entry.kind is FileKind.FOLDER:
            if self.tree_widget.tree_shown.matched:
                self.post_message(self.FolderChosen(self, entry.path))
            return
        self.open_preview()

    # The preview

    @property
    def preview_path(self) -> str:
        """The path of the previewed file, "" without a preview."""
        return self._path

    @property
    def entry(self) -> FileEntry | None:
        """The file under the cursor of the tree."""
        return self.tree_widget.entry

    def _preview_again(self) -> None:
        """Preview the same path in another layer, or close the preview if that layer does not have it."""
        entry = self.tree_widget.entry
        if entry is None or entry.path != self._path:
            self._path = ""
            if self.preview.has_focus:
                self.tree_widget.focus()
            self.remove_class("-preview")
        else:
            self._follow(again=True)

    @property
    def previewing(self) -> bool:
        """Whether the preview is open."""
        return self.has_class("-preview")

    def open_preview(self) -> None:
        """Preview the file under the cursor."""
        self.add_class("-preview")
        self.preview.focus()
        self._follow(again=True)

    def close_preview(self) -> None:
        """Close the preview."""
        self._path = ""
        self.remove_class("-preview")
        self.tree_widget.focus()

    def _follow(self, *, again: bool = False) -> None:
        entry = self.tree_widget.entry
        if entry is None or not self.previewing or entry.kind is FileKind.FOLDER:
            return
        if again or entry.path != self._path:
            self._path = entry.path
            self.query_one(PreviewHead).show(entry.path, "")
            self.post_message(self.PreviewWanted(self, entry.path))

    def show_preview(self, path: str, start: Start, *, again: bool = False) -> None:
        """Show a file, unless another one is wanted by now. With `again`, keep the scroll position."""
        if path == self._path:
            self.preview.show(start, again=again)
            self.query_one(PreviewHead).show(title_of(start), self.preview.status)

    def show_problem(self, text: str) -> None:
        """Show why there is no preview."""
        self.preview.clear(text)

    def on_preview_view_changed(self, event: PreviewView.Changed) -> None:
        """Show how much of the file was read."""
        event.stop()
        head = self.query_one(PreviewHead)
        head.show(head.path, self.preview.status)

    def on_resize(self) -> None:
        """Move the preview to where there is room for it."""
        size = self.size
        place = "-beside" if size.width >= _BESIDE else "-below" if size.height >= _BELOW else "-replace"
        for name in ("-beside", "-below", "-replace"):
            self.set_class(name == place, name)
        self.query_one(FileFacts).set_class(size.height < _LOW, "-low")
        if place == "-replace" and self.previewing and self.tree_widget.has_focus:
            self.preview.focus()
