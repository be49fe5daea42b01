"""Comparing a layer with a layer other than its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.keys.sentences import with_keys
from layertui.panels.base import Browser
from layertui.panels.changes import CHANGES

if TYPE_CHECKING:
    from layertui.model.rows import LayerRow


def compare_from(browser: Browser) -> None:
    """Compare with the layer under the cursor, with parents again, or two layers if exactly two are marked."""
    row, marked = browser.layer, browser.marked
    if len(marked) == 2 and browser.base not in browser.marks:
        compare_marked(browser)
        return
    again = browser.base == row.id or browser.base in browser.marks
    browser.base = "" if again else row.id
    browser.say("Changes against the parent" if again else f"Changes are shown against {row.title}")
    browser.show_layer()


def compare_marked(browser: Browser) -> None:
    """Show the changes of the second marked layer against the first."""
    base, layer = browser.marked
    _compare(browser, layer, base)


def swap(browser: Browser) -> None:
    """Swap the layer that is shown and the one that it is compared with."""
    pair = _compared(browser)
    if pair is not None:
        _compare(browser, pair[1], pair[0])


def _compare(browser: Browser, layer: LayerRow, base: LayerRow) -> None:
    browser.base = base.id
    browser.go_to_layer(layer.id)
    browser.show_panel(CHANGES.id)
    browser.show_layer()
    keys = with_keys("{layer.swap} swaps them, {layer.compare-from} stops comparing")
    browser.say(f"{layer.title} against {base.title}: {keys}")


def _compared(browser: Browser) -> tuple[LayerRow, LayerRow] | None:
    """Return the layer that is shown and the one that it is compared with, None for its parent."""
    row, base = browser.row, browser.view.get(browser.base)
    return (row, base) if row is not None and base is not None and row.id != base.id else None


def _not_two(browser: Browser) -> str:
    return "" if len(browser.marked) == 2 else "Mark exactly two layers with {layers.mark} to compare them"


def _not_compared(browser: Browser) -> str:
    if _compared(browser) is not None:
        return ""
    return "Layers are compared with their parents: {layer.compare-from} chooses another layer"


COMPARE = Action(
    "layer.compare-from",
    "equals_sign",
    "Compare",
    "Show changes against this layer instead of the parent, or compare two marked layers; again to stop",
    compare_from,
    needs=Need.LAYER,
    shown=True,
    written="=",
)
SWAP = Action(
    "layer.swap", "X", "Swap", "Swap the two layers that are compared", swap, refusal=_not_compared, shown=True
)
COMPARE_MARKED = Action(
    "layers.compare-marked",
    "",
    "Compare the two marked layers",
    "Show the changes of one marked layer against the other",
    compare_marked,
    refusal=_not_two,
)
