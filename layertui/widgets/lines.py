"""A scrollable list of text lines that draws only the visible ones, so that 100,000 lines open as fast as ten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual


class LinesView(ScrollView, can_focus=True):
    """A scrollable sequence of lines. The sequence may create each line on access.

    The view takes at most `share` percent of the height of the screen. A `max-height` in percent would not work: boxes
    with automatic height ignore it.
    """

    DEFAULT_CSS = """
    LinesView {
        height: auto;
        background: $surface;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        &:focus { background: $surface; background-tint: $foreground 4%; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "Bottom", show=False),
    ]

    def __init__(self, lines: Sequence[Content] = (), *, share: int = 100, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._share = share
        self._lines = lines

    @property
    def lines(self) -> Sequence[Content]:
        """The lines."""
        return self._lines

    @lines.setter
    def lines(self, lines: Sequence[Content]) -> None:
        self._lines = lines
        self._fit()
        self.scroll_home(animate=False)
        self.refresh(layout=True)

    def on_mount(self) -> None:
        """Set the virtual size."""
        self._fit()

    def on_resize(self) -> None:
        """Update the virtual size."""
        self._fit()

    def _fit(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines))

    def action_scroll_home(self) -> None:
        """Jump to the top, without an animation."""
        self.scroll_home(animate=False, immediate=True)

    def action_scroll_end(self) -> None:
        """Jump to the bottom, without an animation."""
        self.scroll_end(animate=False, immediate=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return one row per line, up to the share of the screen."""
        del container, width
        return min(len(self._lines), max(3, viewport.height * self._share // 100))

    def render_line(self, y: int) -> Strip:
        """Draw row `y` of the view."""
        number = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        if number >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[number].truncate(width, ellipsis=True)
        strips = Visual.to_strips(self, line, width, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(width, self.rich_style)
