"""A line of clickable spots, the base of the key bar and the tabs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual import events

from layertui.widgets.cells import Line
from layertui.widgets.one_line import OneLine


@dataclass(frozen=True, slots=True)
class Spot:
    """A clickable text: parts with their component styles, the action of a click, and a tooltip.

    A `fixed` spot is at the right and is always shown.
    """

    parts: tuple[tuple[str, str], ...]
    click: Callable[[], object] | None = None
    tip: str = ""
    fixed: bool = False

    @property
    def cells(self) -> int:
        """The width in cells."""
        return sum(cell_len(text) for text, _ in self.parts)


class SpotLine(OneLine):
    """Draws as many spots as fit, from the left."""

    GAP = 2

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._places: list[tuple[int, int, Spot]] = []

    def spots(self) -> list[Spot]:
        """Return the spots, the most important first."""
        raise NotImplementedError

    def fill(self, line: Line, base: Style) -> None:
        """Draw the spots and remember their positions."""
        self._places = []
        spots = self.spots()
        fixed = [spot for spot in spots if spot.fixed]
        end = line.width - sum(spot.cells + self.GAP for spot in fixed)
        gap = self.GAP if fixed else 0
        line.put(" ", base)
        for spot in spots:
            if spot.fixed:
                continue
            if line.used + spot.cells + gap > end:
                break
            self._place(line, spot, base)
        if fixed:
            line.fill_to(end, base)
        for spot in fixed:
            self._place(line, spot, base)

    def _place(self, line: Line, spot: Spot, base: Style) -> None:
        start = line.used
        for text, style in spot.parts:
            line.put(text, self.style_of(style))
        self._places.append((start, line.used, spot))
        line.put(" " * self.GAP, base)

    def _at(self, x: int) -> Spot | None:
        return next((spot for start, end, spot in self._places if start <= x < end), None)

    def on_click(self, event: events.Click) -> None:
        """Run the action of the clicked spot."""
        offset = event.get_content_offset(self)
        spot = self._at(offset.x) if offset is not None else None
        if spot is not None and spot.click is not None:
            spot.click()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show the tooltip of the spot under the mouse."""
        spot = self._at(event.x)
        tip = spot.tip if spot is not None else ""
        if (self.tooltip or "") != tip:
            self.tooltip = tip or None
