"""What the keys do that only look: compare any two layers, and check the store."""

from __future__ import annotations

from abc import abstractmethod

from layertui.keys.keynames import with_keys
from layertui.model.rows import LayerRow
from layertui.screens.main.feed import CHANGES
from layertui.screens.main.making_actions import MakingActions


class LookingActions(MakingActions):
    """The actions that compare and check."""

    @abstractmethod
    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel that is seen."""

    @abstractmethod
    def set_base(self, layer_id: str) -> None:
        """Show changes against this layer."""

    @abstractmethod
    def action_panel(self, name: str) -> None:
        """Show a panel."""

    def looking_refusal(self, name: str) -> str:
        """Return why one of these actions makes no sense now."""
        if name == "compare_marked" and len(self._marked()) != 2:
            return with_keys("Mark exactly two layers with {layers.mark} to compare them")
        if name == "swap_compared" and not self._compared():
            return with_keys("No layer is compared with another than its parent: {layer.compare-from} chooses one")
        return ""

    # Check

    def action_check(self) -> None:
        """Check the store on a screen of its own."""
        from layertui.screens.check.screen import CheckScreen  # noqa: PLC0415 - late: few start with it

        def closed(repaired: bool | None) -> None:
            if repaired:
                self.reload()

        self.app.push_screen(CheckScreen(self.store, self.view, self.jobs), closed)

    # Compare

    def _marked(self) -> list[LayerRow]:
        """Return the marked layers in the order of the store: what is built on another comes after it."""
        rows = [self.view[mark] for mark in self.tree_widget.marks if mark in self.view]
        return sorted(rows, key=lambda row: row.number)

    def _compared(self) -> tuple[LayerRow, LayerRow] | None:
        """Return the layer that is shown and the one it is shown against."""
        row, base = self.row, self.view.get(self.tree_widget.base)
        return (row, base) if row is not None and base is not None and row.id != base.id else None

    def action_compare_from(self) -> None:
        """Show changes against this layer, or against the parents again; with two marked layers compare them."""
        row = self.chosen("compare_from")
        if row is None:
            return
        base = self.tree_widget.base
        if len(self._marked()) == 2 and base not in self.tree_widget.marks:
            self.action_compare_marked()
            return
        again = base == row.id or base in self.tree_widget.marks
        self.set_base("" if again else row.id)
        self.say("Changes against the parent" if again else f"Changes are shown against {row.title}")
        self.show_layer()

    def action_compare_marked(self) -> None:
        """Show the changes of the second marked layer against the first."""
        refusal = self.refusal("compare_marked")
        if refusal:
            self.say(refusal, "warning")
            return
        base, layer = self._marked()
        self._compare(layer, base)

    def action_swap_compared(self) -> None:
        """Show it the other way round."""
        refusal, pair = self.refusal("swap_compared"), self._compared()
        if refusal or pair is None:
            self.say(refusal, "warning")
            return
        layer, base = pair
        self._compare(base, layer)

    def _compare(self, layer: LayerRow, base: LayerRow) -> None:
        self.set_base(base.id)
        self.go_to_layer(layer.id)
        self.action_panel(CHANGES)
        self.show_layer()
        self.say(
            f"{layer.title} against {base.title}: " + with_keys("{layer.swap} swaps them, {layer.compare-from} ends it")
        )
