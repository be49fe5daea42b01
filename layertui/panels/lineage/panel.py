"""The Lineage panel: what a layer is built on and what is built on it, as one graph."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.reactive import reactive

from layertui.keys.actions import LINEAGE_BINDINGS
from layertui.model.query import Listing
from layertui.model.rows import LayerRow
from layertui.panels.layers.badges import HERE, Badge
from layertui.panels.layers.rows import LayerRows


class LineagePanel(LayerRows):
    """Shows a lineage; choosing a row is a wish to go to that layer."""

    BINDINGS: ClassVar[list[BindingType]] = [*LINEAGE_BINDINGS]

    AGES = False

    here: reactive[str] = reactive("")
    """The ID of the layer that the graph is about."""

    def badges(self, row: LayerRow, *, short: bool) -> list[Badge]:
        """Point to the layer that the graph is about."""
        badges = super().badges(row, short=short)
        return [HERE, *badges] if row.id == self.here else badges

    def show_lineage(self, listing: Listing, layer_id: str) -> None:
        """Show the graph round a layer, with the cursor on it."""
        moved = layer_id != self.here
        self.here = layer_id
        self.show(listing)
        if moved:
            self.go_to_key(layer_id)

    def action_choose(self) -> None:
        """Ask to go to the layer."""
        if self.cursor_node >= 0:
            self.post_message(self.Chosen(self, self.cursor_node))
