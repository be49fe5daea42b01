"""Creating layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.panels.base import Browser
from layertui.text.format import size_text

if TYPE_CHECKING:
    from layerstore import Layer
    from layertui.jobs.write import CreateRequest


def create(browser: Browser) -> None:
    """Ask for the new layer's parent, content and names, and create it."""
    from layertui.dialogs.create import CreateDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import create_job  # noqa: PLC0415

    def go(request: CreateRequest) -> None:
        def created(layer: Layer) -> None:
            facts = f"{size_text(layer.diff_size)}, {layer.diff_digest}" if request.tar is not None else "empty"
            browser.notify(f"{layer.id[:12]}, {facts}", "Created")
            browser.go_to_layer(layer.id, when_listed=True)
            browser.reload()

        browser.submit(create_job(browser.store, request), created)

    parent = browser.row.id if browser.row is not None else ""
    view = browser.view
    browser.ask(CreateDialog(view.rows, view, parent, view.names, Path.cwd()), go)


CREATE = Action(
    "layer.create",
    "n",
    "New",
    "Create a layer, empty or from a tar",
    create,
    needs=Need.WRITABLE,
    verb="create layers",
    shown=True,
)
