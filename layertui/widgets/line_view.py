"""A scrollable view that draws only the visible lines."""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.widget import Widget

from layertui.widgets.textual_private import update_scrollbars


class LineView(ScrollView):
    """A view of a known number of lines, which subclasses draw with `render_line`."""

    def set_line_count(self, count: int) -> None:
        """Set the number of lines.

        Assigning to `virtual_size` would lay out the whole screen, which takes longer than the rest of a key press. A
        layout is needed only when the scroll bar appears or disappears; `update_scrollbars` does it then.
        """
        size = Size(self.scrollable_content_region.width, count)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            update_scrollbars(self, size)
