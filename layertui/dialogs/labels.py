"""How dialogs name a layer. Everything that comes from disk is escaped here."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from layerstore.model import Layer
from layertui.model.rows import SHORT
from layertui.text.safe import safe
from layertui.widgets.text import MUTED


def short_id(layer_id: str) -> str:
    """Return the short form of an ID."""
    return safe(layer_id[:SHORT])


def label(layer_id: str, names: Sequence[str] = (), image: str = "") -> Content:
    """Return a one-line label for a layer: its short ID, its first name, and the number of further names.

    A layer without a name gets the name of an image that needs it, in parentheses.
    """
    more = f" +{len(names) - 1}" if len(names) > 1 else f"  ({safe(image)})" if image and not names else ""
    name = f"  {safe(names[0])}" if names else ""
    return Content.assemble((short_id(layer_id), "bold $text-primary"), name, (more, MUTED))


def layer_label(layer: Layer, image: str = "") -> Content:
    """Return the label of a layer."""
    return label(layer.id, layer.names, image)


def heading(verb: str, layer: Layer) -> str:
    """Return the title of a dialog about one layer."""
    return f"{verb} {layer.id[:SHORT]}"
