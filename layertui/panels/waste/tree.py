"""The totals of the Waste panel, and its table by path or by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.strip import Strip
from textual.widget import Widget

from layerstore import ChangeKind, Copy, LayerWaste, WasteEntry, WasteReport
from layertui.keys.actions import bindings
from layertui.panels.changes.model import LETTERS
from layertui.panels.waste.actions import WASTE_ACTIONS
from layertui.panels.waste.model import WasteTable
from layertui.text.format import size_text
from layertui.widgets.cells import Line, base_style, cut_name, cut_path, layered
from layertui.widgets.tree.tree import VirtualTree

_BAR = 20
_SIZE = 10
_COPIES = 8
_EDGE = 1  # blank cells beside the scroll bar
_KINDS = {ChangeKind.ADD: "added", ChangeKind.MODIFY: "replaced", ChangeKind.DELETE: "deleted"}

MEANING = "Bytes of files that a later layer replaces or deletes: stored, but never visible."


def efficiency_text(report: WasteReport) -> str:
    """Return the efficiency in percent, never rounded up to 100% if bytes are wasted."""
    share = report.efficiency * 100
    return f"{min(share, 99.9) if report.wasted else share:.1f}%"


class WasteSummary(Widget):
    """Shows the efficiency as a bar, the wasted and total bytes, and what they mean."""

    DEFAULT_CSS = """
    WasteSummary {
        height: 4;
        &.-low { height: 1; }
        & .waste--good { color: $text-success; }
        & .waste--fair { color: $text-warning; }
        & .waste--poor { color: $text-error; }
        & .waste--rest { color: $foreground 25%; }
        & .waste--strong { text-style: bold; }
        & .waste--dim { color: $foreground 60%; }
        & .waste--head { color: $foreground 60%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "waste--good",
        "waste--fair",
        "waste--poor",
        "waste--rest",
        "waste--strong",
        "waste--dim",
        "waste--head",
    }

    table: WasteTable | None = None

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        base = base_style(self)
        line = Line(self.size.width)
        if self.table is not None and y == 0:
            self._put_numbers(line, self.table.report, base)
        elif self.table is not None and y == self.size.height - 1:
            self._put_head(line, self.table, base + layered(self, "waste--head"))
        elif y in (1, 2):
            words = _wrapped(MEANING, max(line.width - 2, 10))
            line.put(f" {words[y - 1]}" if y <= len(words) else "", base + layered(self, "waste--dim"))
        line.fill_to(line.width, base)
        return Strip(line.segments, line.used)

    def _put_numbers(self, line: Line, report: WasteReport, base: Style) -> None:
        tone = "good" if report.efficiency >= 0.95 else "fair" if report.efficiency >= 0.8 else "poor"
        colour = base + layered(self, f"waste--{tone}")
        strong = layered(self, "waste--strong")
        dim = base + layered(self, "waste--dim")
        line.put(f" {efficiency_text(report)} ", colour + strong)
        if line.width >= 60:
            bar = min(_BAR, line.width - 40)
            full = min(round(bar * report.efficiency), bar - 1 if report.wasted else bar)
            line.put("━" * full, colour)
            line.put("━" * (bar - full), base + layered(self, "waste--rest"))
            line.put(" ", base)
        line.put("efficient  ", dim)
        line.put(size_text(report.wasted), base + strong)
        line.put(" wasted of ", dim)
        line.put(size_text(report.total), base)

    @staticmethod
    def _put_head(line: Line, table: WasteTable, style: Style) -> None:
        if line.room and table.by_layer:
            line.put(f"{'WASTED':>{_SIZE}}{'CARRIES':>{_SIZE}}{'CAUSES':>{_SIZE}}  LAYER, from the top", style)
        else:
            line.put(f"{'WASTED':>{_SIZE}}{'COPIES':>{_COPIES}}  PATH", style)


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap plain text."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


class WasteTree(VirtualTree):
    """Shows paths with the layers that have them, or layers."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(WASTE_ACTIONS)
    DEFAULT_CSS = """
    WasteTree {
        & .waste--added { color: $text-success; }
        & .waste--modified { color: $text-warning; }
        & .waste--deleted { color: $text-error; }
        & .waste--wasted { color: $text-warning; }
        & .waste--column { color: $foreground 70%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "waste--added",
        "waste--modified",
        "waste--deleted",
        "waste--wasted",
        "waste--column",
    }

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.table: WasteTable | None = None
        self.title: Callable[[str], str] = str

    def show(self, table: WasteTable, title: Callable[[str], str], *, start: bool) -> None:
        """Show a table, from the top with `start`."""
        self.table, self.title = table, title
        if start:
            self.start_nodes(table.shape, table.keys, table.folded())
        else:
            self.show_nodes(table.shape, table.keys)

    @property
    def layer_id(self) -> str | None:
        """The layer of the line under the cursor, for a path the lowest layer that has it."""
        node = self.cursor_node
        if self.table is None or node < 0:
            return None
        row = self.table.rows[node]
        return row.copies[0].layer if isinstance(row, WasteEntry) else row.layer

    @property
    def path(self) -> str | None:
        """The path under the cursor."""
        node = self.cursor_node
        if self.table is None or node < 0:
            return None
        row = self.table.rows[node]
        if isinstance(row, Copy):
            row = self.table.rows[self.shape.parents[node]]
        return row.path if isinstance(row, WasteEntry) else None

    def render_node(self, node: int, width: int, *, base: Style) -> list[Segment]:
        """Draw a line of the table."""
        assert self.table is not None
        row = self.table.rows[node]
        line = Line(width)
        column = base + self.quiet_style_of("waste--column", node)
        escape = base + self.style_of("tree--escape")
        if isinstance(row, WasteEntry):
            line.put_right(size_text(row.wasted), _SIZE, base + self.style_of("waste--wasted"))
            copies = sum(copy.kind is not ChangeKind.DELETE for copy in row.copies)
            line.put_right(f"{copies}", _COPIES, column)
            line.put(f" {self.guides(node, 8)}", base + self.quiet_style_of("tree--guides", node))
            room = line.room - _EDGE
            line.put_foreign(cut_path(row.path, room), base, escape, room)
        elif isinstance(row, Copy):
            self._put_copy(line, node, row, base)
        else:
            self._put_layer(line, row, base, column)
        line.fill_to(width, base)
        return line.segments

    def _put_copy(self, line: Line, node: int, row: Copy, base: Style) -> None:
        style = base + self.style_of(("waste--modified", "waste--added", "waste--deleted")[row.kind])
        size = size_text(row.size) if row.kind is not ChangeKind.DELETE else ""
        line.put_right(size, _SIZE, base + self.quiet_style_of("waste--column", node))
        line.put(" " * _COPIES, base)
        line.put(f" {self.guides(node, 8)}", base + self.quiet_style_of("tree--guides", node))
        line.put(f"{LETTERS[row.kind]} {_KINDS[row.kind]:<9}", style)
        self._put_name(line, row.layer, base)

    def _put_layer(self, line: Line, row: LayerWaste, base: Style, column: Style) -> None:
        line.put_right(size_text(row.wasted), _SIZE, base + self.style_of("waste--wasted") if row.wasted else column)
        line.put_right(size_text(row.total), _SIZE, column)
        line.put_right(size_text(row.caused), _SIZE, column)
        line.put("  ", base)
        self._put_name(line, row.layer, base)

    def _put_name(self, line: Line, layer_id: str, base: Style) -> None:
        room = line.room - _EDGE
        line.put_foreign(cut_name(self.title(layer_id), room), base, base + self.style_of("tree--escape"), room)
