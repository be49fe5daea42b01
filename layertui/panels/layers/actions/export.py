"""Exporting the diff of a layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser
from layertui.text.format import size_text

if TYPE_CHECKING:
    from layertui.dialogs.export import ExportRequest
    from layertui.jobs.read import Exported


def export(browser: Browser) -> None:
    """Ask for the format and the path, and export the layer under the cursor."""
    from layertui.dialogs.export import ExportDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.read import export_job  # noqa: PLC0415

    row, view = browser.layer, browser.view
    base = view.get(browser.base)
    near = [base] if base is not None and base.id != row.id else []
    candidates = [*near, *(below for below in view.ancestors(row.id) if below not in near)]
    images = {other.id: image for other in (row, *candidates) for image in (*other.tops, *other.images)[:1]}

    def go(request: ExportRequest) -> None:
        job = export_job(
            browser.store, row, request.from_id, request.compression, request.path, overwrite=request.overwrite
        )
        browser.submit(job, exported)

    def exported(done: Exported) -> None:
        text = f"{done.path}\n{size_text(done.size)}, {done.digest}"
        if not done.verified:
            text += "\nNot verified: the digest of the original tar is unknown."
        browser.notify(text, "Exported")

    browser.ask(ExportDialog(row.layer, [other.layer for other in candidates], Path.cwd(), images), go)


EXPORT = Action(
    "layer.export", "e", "Export", "Write the layer's diff to a tar file", export, needs=Need.LAYER, shown=True
)
