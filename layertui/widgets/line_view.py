"""A view of many lines, of which only those on the screen are drawn."""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.widget import Widget


class LineView(ScrollView):
    """Knows how many lines there are; a subclass draws them (`render_line`)."""

    def set_line_count(self, count: int) -> None:
        """Take another number of lines.

        A plain assignment to `virtual_size` would lay out the whole screen anew, which takes longer than all the rest
        of a key press; that is needed only when the scrollbar comes or goes, and then `_scroll_update` sees to it.
        """
        size = Size(self.scrollable_content_region.width, count)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)
