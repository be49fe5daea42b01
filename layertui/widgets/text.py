"""Small pieces of text that the dialogs share. Whatever came from disk passes through `safe` on its way here."""

from __future__ import annotations

from textual.content import Content

from layertui.text.safe import safe

MUTED = "$foreground 60%"
"""The style of what matters less; `$text-muted` has no background to be mixed with inside a text."""


def typable(text: str) -> str:
    """Return the first line of `text` without what a screen would act on: for pasting into a field."""
    first = next(iter(text.splitlines()), "")
    return "".join(char for char in first if safe(char) == char)


def safe_lines(text: str) -> Content:
    """Return a text of several lines as it may be shown: its line ends count, nothing else does."""
    return Content("\n".join(safe(line) for line in text.split("\n")))
