"""Small pieces of text that the dialogs share. Whatever came from disk passes through `safe` on its way here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from layertui.text.safe import safe

if TYPE_CHECKING:
    from layerstore.model import Layer

MUTED = "$foreground 60%"
"""The style of what matters less; `$text-muted` has no background to be mixed with inside a text."""

SHORT_ID = 12
"""How much of an ID people compare."""


def typable(text: str) -> str:
    """Return the first line of `text` without what a screen would act on: for pasting into a field."""
    first = next(iter(text.splitlines()), "")
    return "".join(char for char in first if safe(char) == char)


def safe_lines(text: str) -> Content:
    """Return a text of several lines as it may be shown: its line ends count, nothing else does."""
    return Content("\n".join(safe(line) for line in text.split("\n")))


def short_id(layer_id: str) -> str:
    """Return the part of an ID that is shown."""
    return safe(layer_id[:SHORT_ID])


def label(layer_id: str, names: Sequence[str] = (), image: str = "") -> Content:
    """Return the way a layer is named within a line: short ID, first name, and how many more there are.

    A layer without a name is known by an image that needs it, in parentheses.
    """
    more = f" +{len(names) - 1}" if len(names) > 1 else f"  ({safe(image)})" if image and not names else ""
    name = f"  {safe(names[0])}" if names else ""
    return Content.assemble((short_id(layer_id), "bold $text-primary"), name, (more, MUTED))


def layer_label(layer: Layer, image: str = "") -> Content:
    """Return the label of a layer."""
    return label(layer.id, layer.names, image)


def heading(verb: str, layer: Layer) -> str:
    """Return the title of a dialog about one layer."""
    return f"{verb} {layer.id[:SHORT_ID]}"
