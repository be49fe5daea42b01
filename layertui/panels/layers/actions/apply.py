"""Applying a tar to a layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser
from layertui.text.format import size_text

if TYPE_CHECKING:
    from layerstore import Layer


def apply(browser: Browser) -> None:
    """Ask for a tar, and make it the diff of the layer under the cursor."""
    from layertui.dialogs.apply import Affected, ApplyDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import apply_job  # noqa: PLC0415

    row = browser.layer

    def go(path: Path) -> None:
        browser.submit(apply_job(browser.store, row, path), applied)

    def applied(layer: Layer) -> None:
        browser.notify(f"{layer.id[:12]}: {size_text(layer.diff_size)}, {layer.diff_digest}", "Applied")
        browser.reload()

    copies = browser.store.copies_lower
    affected = Affected(row.children, row.images, row.containers, copies=copies, mounted=row.mounted)
    browser.ask(ApplyDialog(row.layer, affected, Path.cwd()), go)


def _mounted(browser: Browser) -> str:
    row = browser.layer
    if not browser.store.copies_lower:
        if row.mounted:
            return "The layer is mounted, so its files cannot be replaced: {layer.unmount} unmounts it"
        if browser.view.number(row.id) in browser.view.below_mounts:
            return "A layer based on this one is mounted and would lose its files: unmount that layer first"
    return ""


APPLY = Action(
    "layer.apply",
    "a",
    "Apply",
    "Apply a tar to the layer: its diff becomes this tar",
    apply,
    needs=Need.LAYER | Need.WRITABLE,
    refusal=_mounted,
    verb="apply a tar to it",
    shown=True,
)
