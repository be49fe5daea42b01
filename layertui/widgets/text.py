"""Helpers for text in widgets."""

from __future__ import annotations

from textual.content import Content

from layertui.text.safe import safe

MUTED = "$foreground 60%"
"""The style of secondary text inside a `Content`, where `$text-muted` has no background to be blended with."""


def typable(text: str) -> str:
    """Return the first line of `text` without control characters, for pasting into a field."""
    first = next(iter(text.splitlines()), "")
    return "".join(char for char in first if safe(char) == char)


def safe_lines(text: str) -> Content:
    """Return text with control characters escaped, except line ends."""
    return Content("\n".join(safe(line) for line in text.split("\n")))
