"""A widget with a single line."""

from __future__ import annotations

from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from layertui.widgets.cells import Line, base_style, layered


class OneLine(Widget):
    """Draws one line, which subclasses fill from the left."""

    DEFAULT_CSS = "OneLine { height: 1; width: 1fr; }"

    def fill(self, line: Line, base: Style) -> None:
        """Fill the line, in styles based on `base`."""
        raise NotImplementedError

    def style_of(self, name: str) -> Style:
        """Return a component style on top of the style of the widget."""
        return base_style(self) + layered(self, name)

    def render_line(self, y: int) -> Strip:
        """Draw the line."""
        line = Line(self.size.width)
        if y == 0:
            self.fill(line, base_style(self))
        line.width = self.size.width
        line.fill_to(line.width, base_style(self))
        return Strip(line.segments, line.used)
