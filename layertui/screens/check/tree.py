"""The tree of the findings of a check, grouped by severity, with marks for those to repair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message

from layerstore import Finding, Severity
from layertui.keys.actions import bindings
from layertui.screens.check.actions import FINDINGS_ACTIONS
from layertui.screens.check.model import TITLES, FindingList, brief, build_findings
from layertui.text.format import plural
from layertui.widgets.cells import Line
from layertui.widgets.tree.tree import VirtualTree

_STYLES = {
    Severity.DAMAGE: "findings--damage",
    Severity.LEFTOVER: "findings--leftover",
    Severity.NOTE: "findings--note",
}
_REPAIR = "repairable"
_EDGE = 1  # blank cells beside the scroll bar


class FindingsTree(VirtualTree):
    """Shows findings, and lets the user mark those that can be repaired."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(FINDINGS_ACTIONS)
    COMPONENT_CLASSES: ClassVar[set[str]] = {"findings--mark", *_STYLES.values()}
    DEFAULT_CSS = """
    FindingsTree {
        & .findings--mark { color: $accent; text-style: bold; }
        & .findings--damage { color: $text-error; text-style: bold; }
        & .findings--leftover { color: $text-warning; text-style: bold; }
        & .findings--note { color: $text-primary; text-style: bold; }
    }
    """

    class MarksChanged(Message):
        """The set of marked findings changed."""

        def __init__(self, tree: FindingsTree) -> None:
            self.tree = tree
            super().__init__()

        @property
        def control(self) -> FindingsTree:
            """The tree."""
            return self.tree

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.found: FindingList = build_findings(())
        self.marks: frozenset[str] = frozenset()
        self._placed: str | None = None

    def show(self, findings: Iterable[Finding]) -> None:
        """Replace the findings, keeping the marks where possible, and the cursor if the user moved it.

        Otherwise the cursor stays on the first finding: the worst findings are on top, and may be found last.
        """
        untouched = not self.found.nodes or self.cursor_key == self._placed
        self.found = build_findings(findings)
        self.show_nodes(self.found.shape, self.found.keys)
        self._set_marks(self.marks & set(self.found.keys))
        if untouched and self.found.nodes:
            self.cursor_line = 1
            self._placed = self.cursor_key

    @property
    def cursor_finding(self) -> Finding | None:
        """The finding under the cursor."""
        return self.found.finding(self.cursor_node)

    @property
    def chosen(self) -> list[Finding]:
        """The findings to repair: the marked ones, or else the one or the group under the cursor."""
        nodes = [node for node, key in enumerate(self.found.keys) if key in self.marks]
        return self._repairable(nodes or self.found.below(self.cursor_node))

    @property
    def markable(self) -> bool:
        """Whether the finding or group under the cursor can be marked."""
        return bool(self._repairable(self.found.below(self.cursor_node)))

    def _repairable(self, nodes: Iterable[int]) -> list[Finding]:
        found = [self.found.finding(node) for node in nodes]
        return [finding for finding in found if finding is not None and finding.repair is not None]

    def _set_marks(self, marks: frozenset[str]) -> None:
        if marks != self.marks:
            self.marks = marks
            self.forget_lines()
            self.post_message(self.MarksChanged(self))

    def action_mark(self) -> None:
        """Mark or unmark the finding, or all repairable findings of a group, and move the cursor one line down."""
        nodes = self.found.below(self.cursor_node)
        keys = {self.found.keys[node] for node in nodes if self._repairable([node])}
        self._set_marks(self.marks - keys if keys <= self.marks else self.marks | keys)
        self.cursor_line += 1

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a group or a finding."""
        line = Line(width)
        finding = self.found.finding(node)
        if finding is None:
            self._draw_group(line, node, base)
            return line.segments
        marked = self.found.keys[node] in self.marks
        line.put(" ● " if marked else "   ", base + self.style_of("findings--mark"))
        line.put(self.guides(node, 4), base + self.quiet_style_of("tree--guides", node))
        can = _REPAIR if finding.repair is not None else ""
        line.width = max(width - len(can) - _EDGE - 2, line.used) if can else max(width - _EDGE, line.used)
        line.put_foreign(brief(finding), base, base + self.style_of("tree--escape"))
        line.width = width - _EDGE
        line.put_right(can, line.room, base + self.quiet_style_of("tree--dim", node))
        return line.segments

    def _draw_group(self, line: Line, node: int, base: Style) -> None:
        severity = self.found.nodes[node]
        assert isinstance(severity, Severity)
        title, _, meaning = TITLES[severity]
        count = self.found.shape.ends[node] - node - 1
        line.put(" ▸ " if node in self.folding.folded else " ▾ ", base + self.quiet_style_of("tree--dim", node))
        line.put(title, base + self.style_of(_STYLES[severity]))
        line.put(f"  {plural(count, 'finding')}: {meaning}", base + self.quiet_style_of("tree--dim", node))
