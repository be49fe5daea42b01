"""What a layer's row says beside its name: a word each, and a colour that repeats the word."""

from __future__ import annotations

from dataclasses import dataclass

from layertui.model import LayerRow


@dataclass(frozen=True, slots=True)
class Badge:
    """A word and the component style that it is drawn in."""

    text: str
    style: str


BASE = Badge("=base", "tree--warning")
"""The layer that changes are shown against."""

HERE = Badge("◀", "tree--warning")
"""The layer that a graph is about."""


def badges_of(row: LayerRow, *, short: bool = False) -> list[Badge]:
    """Return the badges of a layer, what is wrong with it first."""
    layer = row.layer
    badges = []
    if row.fault:
        badges.append(Badge("!" + row.fault, "tree--error"))
    if layer.incomplete:
        badges.append(Badge("inc" if short else "incomplete", "tree--warning"))
    if layer.mount_count:
        word = "mnt" if short else "mounted"
        badges.append(Badge(word if layer.mount_count == 1 else f"{word}×{layer.mount_count}", "tree--good"))
    if layer.read_only:
        badges.append(Badge("ro" if short else "read-only", "tree--dim"))
    if layer.volatile:
        badges.append(Badge("vol" if short else "volatile", "tree--dim"))
    return badges
