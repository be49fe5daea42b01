"""The graph of the Lineage panel."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.reactive import reactive

from layertui.keys.actions import bindings
from layertui.model.query import Listing
from layertui.model.rows import LayerRow
from layertui.panels.layers.badges import HERE, Badge
from layertui.panels.layers.rows import LayerRows
from layertui.panels.lineage.actions import LINEAGE_ACTIONS


class LineageTree(LayerRows):
    """Shows the ancestors and descendants of a layer."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(LINEAGE_ACTIONS)

    AGES = False

    here: reactive[str] = reactive("")
    """The ID of the layer whose lineage is shown."""

    def badges(self, row: LayerRow, *, short: bool) -> list[Badge]:
        """Add the badge of the layer whose lineage is shown."""
        badges = super().badges(row, short=short)
        return [HERE, *badges] if row.id == self.here else badges

    def show_lineage(self, listing: Listing, layer_id: str) -> None:
        """Show the lineage of a layer, and move the cursor to it if it is another one."""
        moved = layer_id != self.here
        self.here = layer_id
        self.show(listing)
        if moved:
            self.go_to_key(layer_id)

    def action_choose(self) -> None:
        """Ask to go to the layer."""
        if self.cursor_node >= 0:
            self.post_message(self.Chosen(self, self.cursor_node))
