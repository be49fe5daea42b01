"""The tree of a layer's files, read folder by folder, with the origin, size, mode, owner and age of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message

from layerstore import FileEntry, FileKind
from layertui.keys.actions import bindings
from layertui.panels.files.actions import FILES_ACTIONS
from layertui.panels.files.model import NO_FILES, FileTree, mode_text, owner_text
from layertui.text.format import age_text, size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, cut, cut_name, cut_path
from layertui.widgets.tree.tree import VirtualTree

_LINK_SIGN = {FileKind.FOLDER: "/", FileKind.FIFO: "|", FileKind.SOCKET: "="}
_EDGE = 1  # blank cells beside the scroll bar
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The width of each column in cells, 0 for a column that is not shown."""

    size: int = 0
    mode: int = 0
    age: int = 0
    owner: int = 0
    origin: int = 0


def file_columns(width: int) -> FileColumns:
    """Return the columns that fit a width, with room left for names."""
    return FileColumns(
        size=9 if width >= 30 else 0,
        mode=11 if width >= 58 else 0,
        age=5 if width >= 52 else 0,
        owner=12 if width >= 72 else 0,
        origin=18 if width >= 94 else 0,
    )


def modified(entry: FileEntry) -> datetime | None:
    """Return when a file was modified, None if the time is outside the calendar."""
    try:
        return datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Origins:
    """The facts that determine which layer a file comes from.

    Attributes:
        layer_id: The layer that is shown.
        based: Whether it has a parent.
        title: Returns what to call a layer, by its ID.
    """

    layer_id: str = ""
    based: bool = False
    title: Callable[[str], str] = str

    def mark(self, entry: FileEntry) -> str:
        """Return "A" for a file that the layer added, "M" for one it modified, "~" for a folder with changes in it."""
        if not self.based or entry.layer != self.layer_id or entry.below is None:
            return " "
        if not entry.below:
            return "A"
        return "~" if entry.kind is FileKind.FOLDER else "M"

    def text(self, entry: FileEntry) -> str:
        """Return the title of the layer that a file comes from, "" if it is unknown."""
        return safe(self.title(entry.layer)) if entry.layer is not None else ""


class FilesTree(VirtualTree):
    """Shows a `FileTree`, and asks for the folders that the user opens."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(FILES_ACTIONS)
    DEFAULT_CSS = """
    FilesTree {
        & .files--added { color: $text-success; }
        & .files--modified { color: $text-warning; }
        & .files--below { color: $foreground 60%; }
        & .files--found { color: $accent; }
        & .files--note { color: $foreground 60%; text-style: italic; }
        & .files--column { color: $foreground 70%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "files--added",
        "files--modified",
        "files--below",
        "files--found",
        "files--note",
        "files--column",
    }

    class FolderWanted(Message):
        """The user opened folders that are not read yet."""

        def __init__(self, tree: FilesTree, paths: list[str]) -> None:
            self.tree = tree
            self.paths = paths
            super().__init__()

        @property
        def control(self) -> FilesTree:
            """The tree."""
            return self.tree

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.tree_shown: FileTree = NO_FILES
        self.origins = Origins()
        self.now = _EPOCH
        self._asked: frozenset[int] = frozenset()

    def show(self, tree: FileTree, origins: Origins, now: datetime) -> None:
        """Show files, and keep cursor, folds and scroll position by path. Unread folders are folded."""
        opened = self._asked_paths()
        self.tree_shown, self.origins, self.now = tree, origins, now
        self.show_nodes(tree.shape, tree.keys, [node for node in tree.unread if tree.keys[node] not in opened])
        self._asked = frozenset(node for node in tree.unread if tree.keys[node] in opened)

    def start(self, tree: FileTree, origins: Origins, now: datetime, opened: frozenset[str] | None = None) -> None:
        """Show a different tree from the top, with only the folders `opened` unfolded, or all of them."""
        self.tree_shown, self.origins, self.now = tree, origins, now
        folded = [
            node
            for node in range(len(tree.keys))
            if opened is not None and tree.keys[node] not in opened and not tree.shape.is_leaf(node)
        ]
        self.start_nodes(tree.shape, tree.keys, folded)
        self._asked = frozenset()
        if 1 in tree.matched:
            self.go_to(tree.matched.index(1))

    @property
    def opened(self) -> frozenset[str]:
        """The paths of the folders that are unfolded."""
        tree, folded = self.tree_shown, self.folding.folded
        return frozenset(
            key for node, key in enumerate(tree.keys) if node not in folded and not tree.shape.is_leaf(node)
        )

    def _asked_paths(self) -> frozenset[str]:
        return frozenset(self.tree_shown.keys[node] for node in self._asked)

    @property
    def entry(self) -> FileEntry | None:
        """The file under the cursor, or the folder that a note is about."""
        node = self.cursor_node
        if node < 0:
            return None
        entry = self.tree_shown.entries[node]
        parent = self.shape.parents[node]
        return self.tree_shown.entries[parent] if entry is None and parent >= 0 else entry

    # Folders

    def _folds_changed(self) -> None:
        super()._folds_changed()
        wanted = self.tree_shown.unread - self.folding.folded - self._asked
        if wanted:
            self._asked |= wanted
            self.post_message(self.FolderWanted(self, [self.tree_shown.keys[node] for node in wanted]))

    def action_unfold_all(self) -> None:
        """Unfold all folders that have been read."""
        self._fold_exactly(self.tree_shown.unread - self._asked)

    # Drawing

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a file, or a note about a folder."""
        line = Line(width)
        entry = self.tree_shown.entries[node]
        guides = base + self.quiet_style_of("tree--guides", node)
        if entry is None:
            line.put("   ", base)
            line.put(self.guides(node, max(4, width // 2)), guides)
            note = base + self.quiet_style_of("files--note", node)
            line.put_foreign(self.tree_shown.notes[node], note, base + self.style_of("tree--escape"))
            line.fill_to(width, base)
            return line.segments
        columns = file_columns(width)
        mark = self.origins.mark(entry)
        style = base + self._style(node, entry, mark)
        line.put(f" {mark} ", style + Style(bold=True))
        line.put(self.guides(node, max(4, width // 2)), guides)
        taken = sum((columns.size, columns.mode, columns.age, columns.owner, columns.origin))
        line.width = max(width - taken - _EDGE - 1, 0)
        self._put_name(line, node, entry, style, base)
        line.fill_to(line.width, base)
        line.width = width
        self._put_columns(line, entry, columns, base + self.quiet_style_of("files--column", node))
        line.fill_to(width, base)
        return line.segments

    def _style(self, node: int, entry: FileEntry, mark: str) -> Style:
        tree = self.tree_shown
        if mark == "A":
            return self.style_of("files--added")
        if mark in "M~":
            return self.style_of("files--modified")
        if tree.matched:
            return self.style_of("files--found") if tree.matched[node] else self.quiet_style_of("files--below", node)
        if self.origins.based and entry.layer != self.origins.layer_id and entry.layer is not None:
            return self.quiet_style_of("files--below", node)
        return Style.null()

    def _put_name(self, line: Line, node: int, entry: FileEntry, style: Style, base: Style) -> None:
        escape = base + self.style_of("tree--escape")
        sign = _LINK_SIGN.get(entry.kind, "")
        bold = Style(bold=True) if self.tree_shown.matched and self.tree_shown.matched[node] else Style.null()
        room = line.room - len(sign)
        line.put_foreign(cut_name(entry.name, room), style + bold, escape, room)
        quiet = base + self.quiet_style_of("tree--dim", node)
        line.put(sign, quiet)
        if entry.target is not None:
            line.put(" → ", quiet)
            line.put_foreign(cut_path(entry.target, line.room), quiet, escape)
        if node in self.folding.folded and node not in self.tree_shown.unread:
            line.put(f" +{sum(1 for _ in self.shape.children(node)):,}", quiet)

    def _put_columns(self, line: Line, entry: FileEntry, columns: FileColumns, style: Style) -> None:
        if columns.origin:
            text = self.origins.text(entry) if self.origins.based else ""
            line.put(" " + cut(text, columns.origin - 1).ljust(columns.origin - 1), style)
        if columns.mode:
            line.put(" " + mode_text(entry), style)
        if columns.owner:
            line.put_right(owner_text(entry), columns.owner, style)
        if columns.size:
            line.put_right(size_column(entry), columns.size, style)
        if columns.age:
            line.put_right(age_text(modified(entry), self.now), columns.age, style)


def size_column(entry: FileEntry) -> str:
    """Return the size of a file or the numbers of a device, "" for everything else."""
    if entry.device is not None:
        return f"{entry.device[0]}, {entry.device[1]}"
    return size_text(entry.size) if entry.kind is FileKind.FILE else ""
