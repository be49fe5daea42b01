"""The Changes panel: the compared layers, the number of changes, and the tree of changes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from layerstore import ChangeKind
from layertui.jobs.runner import Job, to_come
from layertui.keys.sentences import key_of, with_keys
from layertui.model.rows import LayerRow
from layertui.model.view import StoreView
from layertui.panels.base import Browser, Panel
from layertui.panels.changes.jobs import changes_job, filter_changes_job
from layertui.panels.changes.model import ChangeFilter, ChangeTree, build_change_tree
from layertui.panels.changes.tree import ChangesTree
from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, cut_name, layered
from layertui.widgets.filter_bar import FilterBar

_NO_MATCH = "Nothing matches the filter.\n\n{filter.clear} clears it."
_NO_KIND = (
    "No changes of the kinds that are shown.\n\n"
    "{changes.added}, {changes.modified} and {changes.deleted} show the others."
)


class Compared(NamedTuple):
    """A comparison: a layer, the one it is compared with, and why it is that one. The names are not escaped."""

    title: str = ""
    base: str = ""
    why: str = ""

    def text(self, width: int) -> str:
        """Return the comparison as a sentence. If it does not fit, both names are cut."""
        if not self.base:
            return f"{safe(cut_name(self.title, width - len(self.why) - 1))} {self.why}".strip()
        room = width - len(self.why) - len(" against , ")
        first = max(room // 2, room - cell_len(safe(self.base)))
        title = safe(cut_name(self.title, first))
        return f"{title} against {safe(cut_name(self.base, room - cell_len(title)))}, {self.why}"


class ChangesSummary(Widget):
    """Shows the number of changes of each kind, and the compared layers. Hidden kinds are struck out."""

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


_Key = tuple[str, str, str]
"""The IDs of a layer and of the one that it is compared with ("" for the parent), and the layer's digest."""

_CACHED = 16
_MOST_CHANGES = 1_000_000  # in all cached trees


class ChangesPanel(Panel):
    """Shows what the layer under the cursor changed."""

    DEFAULT_CSS = """
    ChangesPanel {
        & #changes-note { display: none; }
        &.-note { & #changes-note { display: block; } & ChangesSummary { height: 1; } & ChangesTree { height: 0; } }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.wanted = ChangeFilter()
        self._browser: Browser | None = None
        self._trees: OrderedDict[_Key, ChangeTree] = OrderedDict()
        self._shown: tuple[_Key, ChangeTree | None] | None = None
        """What is shown: None for the tree while it is being computed."""
        self._asked: tuple[_Key, ChangeFilter] | None = None
        self._job: Job[ChangeTree] | None = None

    def compose(self) -> ComposeResult:
        """Yield the filter, the counts and the tree."""
        yield FilterBar("part of a path", id="changes-filter")
        yield ChangesSummary()
        yield Static("", id="changes-note", classes="note", markup=False)
        yield ChangesTree(id="changes-tree")

    @property
    def tree_widget(self) -> ChangesTree:
        """The tree."""
        return self.query_one(ChangesTree)

    @property
    def filter_bar(self) -> FilterBar:
        """The bar that filters the paths."""
        return self.query_one(FilterBar)

    @property
    def focus_target(self) -> ChangesTree:
        """The tree."""
        return self.tree_widget

    # Comparing

    def show(self, browser: Browser) -> None:
        """Compare the layer under the cursor."""
        self._browser = browser
        row = browser.row
        if row is None:
            self.show_note(Compared(), "No layer")
            self._shown = None
            return
        key = self._key(browser, row)
        tree = self._trees.get(key)
        if tree is None:
            if self._shown is None or self._shown[0] != key:
                self._shown = (key, None)
                self.show_note(self._against(browser, row), "Comparing…")
            self._submit(browser, key, changes_job(browser.store, row.id, key[1], self.wanted))
        elif tree.filter != self.wanted:
            self._submit(browser, key, filter_changes_job(tree, self.wanted))
        elif self._shown != (key, tree):
            again = self._shown is not None and self._shown[0] == key and self._shown[1] is not None
            self._shown = (key, tree)
            self.show_tree(tree, self._against(browser, row), start=not again)

    def _submit(self, browser: Browser, key: _Key, job: Job[ChangeTree]) -> None:
        """Start a job, unless the same one runs already."""
        asked = (key, self.wanted)
        if self._job is not None and not self._job.state.ended and self._asked == asked:
            return
        self._asked = asked

        def found(tree: ChangeTree) -> None:
            self._keep(key, tree)
            if self.display:
                self.show(browser)

        def failed(error: Exception) -> None:
            row = browser.row
            if row is not None:
                self.show_note(self._against(browser, row), f"Cannot compare: {safe(str(error))}")
                self._shown = (self._key(browser, row), None)

        self._job = browser.jobs.submit(job, self, found, failed)

    def _keep(self, key: _Key, tree: ChangeTree) -> None:
        self._trees[key] = tree
        self._trees.move_to_end(key)
        while len(self._trees) > 1 and (
            len(self._trees) > _CACHED or sum(tree.whole.count for tree in self._trees.values()) > _MOST_CHANGES
        ):
            self._trees.popitem(last=False)

    @staticmethod
    def _key(browser: Browser, row: LayerRow) -> _Key:
        base = "" if browser.base in (row.id, row.parent) else browser.base
        return (row.id, base, row.layer.diff_digest)

    def _against(self, browser: Browser, row: LayerRow) -> Compared:
        chosen = self._key(browser, row)[1]
        base_id = chosen or row.parent
        if not base_id:
            return Compared(row.title, why="is a base layer: against nothing")
        why = f"marked with {key_of('layer.compare-from')}" if chosen else "its parent"
        return Compared(row.title, browser.title_of(base_id), why)

    def hide(self) -> None:
        """Stop comparing."""
        if self._browser is not None:
            self._browser.cancel(self._job)

    def forget(self) -> None:
        """Compare again."""
        self._trees.clear()

    def forget_changed(self, view: StoreView) -> None:  # noqa: ARG002 - the digests are part of the keys
        """Compare layers without a digest again."""
        for key in [key for key in self._trees if not key[2]]:
            del self._trees[key]

    def awaits_filter(self, text: str) -> bool:
        """Return whether the result of this filter is not shown yet."""
        row = self._browser.row if self._browser is not None else None
        if row is None or self._browser is None:
            return False
        tree = self._shown[1] if self._shown is not None else None
        if self.wanted.text == text and tree is not None and tree.filter == self.wanted:
            return False
        asked = self._asked
        if self.wanted.text == text and asked is not None and asked[0][0] == row.id and asked[1] == self.wanted:
            return to_come(self._job)
        return True

    # Showing

    def show_note(self, against: Compared, note: str) -> None:
        """Show a note instead of changes."""
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

    # Filter and order

    def set_filter(self, wanted: ChangeFilter) -> None:
        """Show the changes with another filter or order."""
        if wanted != self.wanted:
            self.wanted = wanted
            if self._browser is not None:
                self.show(self._browser)

    def on_filter_bar_typed(self, event: FilterBar.Typed) -> None:
        """Show the paths that contain what was typed."""
        event.stop()
        self.set_filter(replace(self.wanted, text=event.text))

    def on_changes_tree_kind_toggled(self, event: ChangesTree.KindToggled) -> None:
        """Show or hide a kind, or show all again instead of hiding the last one."""
        event.stop()
        kinds = self.wanted.kinds ^ {event.kind}
        self.set_filter(replace(self.wanted, kinds=kinds or frozenset(ChangeKind)))

    def toggle_order(self) -> bool:
        """Sort by size, or by name again."""
        self.set_filter(replace(self.wanted, by_size=not self.wanted.by_size))
        return True


_NOTHING = build_change_tree(())
