"""Component styles to be put on top of others."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


def layered(widget: Widget, *names: str) -> Style:
    """Return what a component style itself says, with transparent colours mixed as they would be on the widget."""
    own = widget.get_component_rich_style(*names, partial=True)
    mixed = widget.get_component_rich_style(*names)
    return own + Style.from_color(mixed.color if own.color else None, mixed.bgcolor if own.bgcolor else None)


def base_style(widget: Widget) -> Style:
    """Return the widget's own style. The same as `rich_style`, which Textual works out anew for every line."""
    return widget.visual_style.rich_style
