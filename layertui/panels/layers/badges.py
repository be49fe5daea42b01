"""The badges beside a layer's name. Each is a word, and no badge depends on its colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from layertui.model.rows import LayerRow


@dataclass(frozen=True, slots=True)
class Badge:
    """A word and the component style that it is drawn in."""

    text: str
    style: str


BASE = Badge("=base", "tree--warning")
"""Marks the layer that changes are shown against."""

HERE = Badge("◀", "tree--warning")
"""Marks the layer that a lineage graph is about."""


def badges_of(row: LayerRow, *, short: bool = False) -> list[Badge]:
    """Return the badges of a layer, problems first."""
    layer = row.layer
    badges = []
    if row.fault:
        badges.append(Badge("!" + row.fault, "tree--error"))
    if layer.incomplete:
        badges.append(Badge("inc" if short else "incomplete", "tree--warning"))
    if row.stale:
        badges.append(Badge("!mnt" if short else "!stale mount", "tree--warning"))
    elif row.mounted:
        badges.append(_mounted(row, "mnt" if short else "mounted"))
    if layer.image_store:
        badges.append(Badge("shr" if short else "shared", "tree--dim"))
    elif layer.read_only:
        badges.append(Badge("ro" if short else "read-only", "tree--dim"))
    if layer.volatile:
        badges.append(Badge("vol" if short else "volatile", "tree--dim"))
    return badges


def _mounted(row: LayerRow, word: str) -> Badge:
    """Return the badge of a mounted layer, with the mount count unless it is 1, and ↗ for another mount namespace."""
    sign = "↗" if row.mounted_elsewhere else ""
    count = "" if row.mount_count == 1 else f"×{row.mount_count}"
    return Badge(f"{sign}{word}{count}", "tree--good")
