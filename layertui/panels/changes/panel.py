"""The Changes panel: what is compared, how much changed, and the tree of it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from layerstore.model import ChangeKind
from layertui.keys.keynames import with_keys
from layertui.panels.changes.model import ChangeFilter, ChangeTree, build_change_tree
from layertui.panels.changes.tree import ChangesTree
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, cut_name, layered

_NO_MATCH = "Nothing matches the filter.\n\n{filter.clear} clears it."
_NO_KIND = (
    "Nothing of the kinds that are shown.\n\n{changes.added}, {changes.modified} and {changes.deleted} show the others."
)


class Compared(NamedTuple):
    """What is compared: a layer, the one that it is compared with, and why that one; as they are on disk."""

    title: str = ""
    base: str = ""
    why: str = ""

    def text(self, width: int) -> str:
        """Return it as a sentence; where it has no room, both names give way."""
        if not self.base:
            return f"{safe(cut_name(self.title, width - len(self.why) - 1))} {self.why}".strip()
        room = width - len(self.why) - len(" against , ")
        first = max(room // 2, room - cell_len(safe(self.base)))
        title = safe(cut_name(self.title, first))
        return f"{title} against {safe(cut_name(self.base, room - cell_len(title)))}, {self.why}"


class ChangesSummary(Widget):
    """Counts of each kind and what is compared, on two lines; a kind that is hidden is struck out."""

    DEFAULT_CSS = """
    ChangesSummary {
        height: 2;
        & .sum--dim { color: $foreground 60%; }
        & .sum--added { color: $text-success; text-style: bold; }
        & .sum--modified { color: $text-warning; text-style: bold; }
        & .sum--deleted { color: $text-error; text-style: bold; }
        & .sum--off { color: $foreground 45%; text-style: strike; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sum--dim", "sum--added", "sum--modified", "sum--deleted", "sum--off"}

    shown: reactive[ChangeTree | None] = reactive(None)
    against: reactive[Compared] = reactive(Compared())

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        base = base_style(self)
        dim = base + layered(self, "sum--dim")
        line = Line(self.size.width - 1)
        line.put(" ", base)
        if y or self.shown is None:
            line.put(self.against.text(line.room), dim)
        else:
            self._put_counts(line, self.shown)
        line.width += 1
        line.fill_to(line.width, base)
        return Strip(line.segments, line.used)

    def _put_counts(self, line: Line, tree: ChangeTree) -> None:
        base = base_style(self)
        for kind, letter, name in (
            (ChangeKind.ADD, "A", "added"),
            (ChangeKind.MODIFY, "M", "modified"),
            (ChangeKind.DELETE, "D", "deleted"),
        ):
            style = f"sum--{name}" if kind in tree.filter.kinds else "sum--off"
            line.put(letter, base + layered(self, style))
            line.put(f" {tree.counts[kind]:,}   ", base)
        dim = base + layered(self, "sum--dim")
        line.put(size_text(tree.size), base)
        line.put("  by size" if tree.filter.by_size else "", dim)
        if tree.filter.text:
            line.put(f"  /{safe(tree.filter.text)}", base + layered(self, "sum--modified"))


class ChangesPanel(Vertical):
    """Shows changes that somebody else computes: it says what it needs, and is given it."""

    DEFAULT_CSS = """
    ChangesPanel {
        height: 1fr;
        & #changes-note { display: none; }
        &.-note { & #changes-note { display: block; } & ChangesSummary { height: 1; } & ChangesTree { height: 0; } }
    }
    """

    class FilterWanted(Message):
        """The changes are to be shown with another filter."""

        def __init__(self, panel: ChangesPanel, wanted: ChangeFilter) -> None:
            self.panel = panel
            self.wanted = wanted
            super().__init__()

        @property
        def control(self) -> ChangesPanel:
            """The panel."""
            return self.panel

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.wanted = ChangeFilter()

    def compose(self) -> ComposeResult:
        """Yield the counts and the tree."""
        yield ChangesSummary()
        yield Static("", id="changes-note", classes="note", markup=False)
        yield ChangesTree(id="changes-tree")

    @property
    def tree_widget(self) -> ChangesTree:
        """The tree."""
        return self.query_one(ChangesTree)

    def show_note(self, against: Compared, note: str) -> None:
        """Say why there is nothing to see, or that work is under way."""
        summary = self.query_one(ChangesSummary)
        summary.against, summary.shown = against, None
        self._put_note(note)
        self.tree_widget.show(_NOTHING, start=True)

    def show_tree(self, tree: ChangeTree, against: Compared, *, start: bool) -> None:
        """Show changes."""
        summary = self.query_one(ChangesSummary)
        summary.against, summary.shown = against, tree
        nothing = (_NO_MATCH if tree.filter.text else _NO_KIND) if tree.whole.count else "Nothing changed."
        self._put_note("" if len(tree) else with_keys(nothing))
        self.tree_widget.show(tree, start=start)

    def _put_note(self, note: str) -> None:
        if note or self.has_class("-note"):
            self.query_one("#changes-note", Static).update(Content(note))
            self.set_class(bool(note), "-note")

    def set_filter(self, wanted: ChangeFilter) -> None:
        """Ask for another filter."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.post_message(self.FilterWanted(self, wanted))

    def on_changes_tree_kind_toggled(self, event: ChangesTree.KindToggled) -> None:
        """Show or hide a kind; hiding the last one shows all again."""
        event.stop()
        kinds = self.wanted.kinds ^ {event.kind}
        self.set_filter(replace(self.wanted, kinds=kinds or frozenset(ChangeKind)))

    def toggle_order(self) -> None:
        """Sort by size, or by name again."""
        self.set_filter(replace(self.wanted, by_size=not self.wanted.by_size))


_NOTHING = build_change_tree(())
