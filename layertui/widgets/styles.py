"""Component styles to be put on top of others."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.widget import Widget


def layered(widget: Widget, *names: str) -> Style:
    """Return what a component style itself says, with transparent colours mixed as they would be on the widget."""
    own = widget.get_component_rich_style(*names, partial=True)
    mixed = widget.get_component_rich_style(*names)
    return own + Style.from_color(mixed.color if own.color else None, mixed.bgcolor if own.bgcolor else None)


def one_band(segments: Iterable[Segment], base: Style) -> list[Segment]:
    """Return a reversed line in the colours of its background alone; any other as it is.

    Reversed, the colour of each word is behind it, and without colours that is a band of many greys.
    """
    if not base.reverse:
        return list(segments)
    plain = Style(color=base.color, bgcolor=base.bgcolor, reverse=True, dim=False)
    return list(Segment.apply_style(segments, post_style=plain))


def base_style(widget: Widget) -> Style:
    """Return the widget's own style. The same as `rich_style`, which Textual works out anew for every line."""
    return widget.visual_style.rich_style
