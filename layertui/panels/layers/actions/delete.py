"""Deleting layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser

if TYPE_CHECKING:
    from layertui.dialogs.delete import DeleteDialog, DeleteRequest


def delete(browser: Browser) -> None:
    """Show what would be deleted and what prevents it, then delete the marked layers or the one under the cursor."""
    from layertui.dialogs.delete import DeleteDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.read import inhabitants_job, measure_plan_job  # noqa: PLC0415
    from layertui.jobs.write import delete_job  # noqa: PLC0415
    from layertui.model.deletion import build_delete_plan  # noqa: PLC0415

    view = browser.view
    plan = build_delete_plan(view, [mark for mark in view if mark in browser.marks] or [browser.layer.id])

    def look(ids: tuple[str, ...], dialog: DeleteDialog) -> None:
        browser.jobs.submit(
            inhabitants_job(browser.store, ids), dialog, lambda living: dialog.take_inhabitants(ids, living)
        )
        browser.jobs.submit(measure_plan_job(browser.store, ids), dialog, lambda size: dialog.take_size(ids, size))

    def go(request: DeleteRequest) -> None:
        rows = [browser.view[layer_id] for layer_id in request.ids if layer_id in browser.view]
        browser.submit(delete_job(browser.store, rows, force=request.force), lambda _: browser.reload())

    browser.ask(DeleteDialog(plan, look), go)


DELETE = Action(
    "layer.delete",
    "d",
    "Delete",
    "Delete the layer, or all marked layers",
    delete,
    needs=Need.LAYER | Need.WRITABLE,
    verb="delete it",
    shown=True,
)
