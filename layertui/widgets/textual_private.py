"""Private names of Textual that the browser uses, in one place.

Each function says why no public name will do. A test fails when one of the names disappears from Textual.
"""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView


def update_scrollbars(view: ScrollView, virtual_size: Size) -> None:
    """Update the scroll bars of a view after its virtual size has changed, and lay it out if one appears or disappears.

    The public way is to assign to `virtual_size`, which always lays out the whole screen.
    """
    view._scroll_update(virtual_size)  # noqa: SLF001
