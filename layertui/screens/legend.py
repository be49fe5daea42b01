"""The legend of the help: what the signs and colours of the screen mean."""

from __future__ import annotations

from textual.content import Content

from layertui.keys.sentences import with_keys
from layertui.panels import PANELS
from layertui.panels.base import Sign
from layertui.panels.layers.legend import SIGNS

_EVERYWHERE = (
    Sign("\\x1b", "$text-warning", "a control character or an invisible character in a name"),
    Sign("$'a\\nb'", "", "such a name when copied: quoted as one word for a shell"),
)


def legend() -> list[tuple[Content, str]]:
    """Return signs as the screen draws them, and their meaning."""
    signs = (*SIGNS, *(sign for panel in PANELS for sign in panel.legend), *_EVERYWHERE)
    return [
        (Content.styled(sign.text, sign.style) if sign.style else Content(sign.text), with_keys(sign.meaning))
        for sign in signs
    ]
