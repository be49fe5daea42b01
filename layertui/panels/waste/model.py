"""The waste in a chain of layers as a table: by path with the layers that have it, or by layer. It imports no UI."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from layerstore import Copy, LayerWaste, WasteEntry, WasteReport
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape, flat_shape

WasteRow = WasteEntry | Copy | LayerWaste


@dataclass(frozen=True, slots=True)
class WasteTable:
    """Rows in preorder: paths with their copies as children, or layers if `by_layer`. `keys` identify the rows."""

    report: WasteReport
    rows: Sequence[WasteRow]
    keys: Sequence[str]
    shape: TreeShape
    by_layer: bool = False

    def folded(self) -> Sequence[int]:
        """Return the rows that start folded: all that have children."""
        return [node for node in range(len(self.rows)) if not self.shape.is_leaf(node)]


def by_path(report: WasteReport) -> WasteTable:
    """Return the table of paths, the most wasted bytes first."""
    rows: list[WasteRow] = []
    keys: list[str] = []
    parents = array("l")
    for entry in report.entries:
        parent = len(rows)
        rows.append(entry)
        keys.append(entry.path)
        parents.append(ROOT)
        for number, copy in enumerate(entry.copies):
            rows.append(copy)
            keys.append(f"{entry.path}\0{number}")
            parents.append(parent)
    return WasteTable(report, rows, keys, build_shape(parents))


def by_layer(report: WasteReport) -> WasteTable:
    """Return the table of layers, the top layer first."""
    layers = report.layers[::-1]
    return WasteTable(report, layers, [layer.layer for layer in layers], flat_shape(len(layers)), by_layer=True)
