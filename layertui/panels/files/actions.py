"""The actions of the Files panel and its preview."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from layertui.keys.actions import Action, Actions
from layertui.panels.base import Browser
from layertui.text.format import plural, size_text

if TYPE_CHECKING:
    from typing import Protocol

    from layerstore import Extracted, FileEntry, Occurrence
    from layertui.dialogs.extract import ExtractRequest

    class _Files(Protocol):
        """The part of the Files panel that its actions use."""

        layer_id: str

        @property
        def entry(self) -> FileEntry | None:
            """The file under the cursor."""
            ...


def _files(browser: Browser) -> _Files:
    return cast("_Files", browser.panel)


def _no_file(browser: Browser) -> str:
    files = _files(browser)
    return "" if files.layer_id and files.entry is not None else "There is no file here"


def _entry(browser: Browser) -> FileEntry:
    entry = _files(browser).entry
    assert entry is not None
    return entry


def copy_path(browser: Browser) -> None:
    """Copy the path of the file under the cursor."""
    browser.copy(_entry(browser).path, "path")


def where(browser: Browser) -> None:
    """Show the layers in which the path under the cursor occurs."""
    from layertui.dialogs.occurrences import OccurrencesDialog  # noqa: PLC0415 - late, because it is rarely needed
    from layertui.panels.files.jobs import occurrences_job  # noqa: PLC0415

    layer_id, path = _files(browser).layer_id, _entry(browser).path

    def found(occurrences: Sequence[Occurrence]) -> None:
        row = browser.view.get(layer_id)
        chain = [row, *browser.view.ancestors(layer_id)] if row is not None else []
        layers = {other.id: other.layer for other in chain}
        browser.ask(OccurrencesDialog(path, occurrences, layers), browser.go_to_layer)

    browser.submit(occurrences_job(browser.store, layer_id, path), found)


def extract(browser: Browser) -> None:
    """Ask for the path, and extract the file or folder under the cursor."""
    from layertui.dialogs.extract import ExtractDialog  # noqa: PLC0415 - late, because it is rarely needed

    layer_id, entry = _files(browser).layer_id, _entry(browser)
    dialog = ExtractDialog(entry, browser.title_of(layer_id), Path.cwd(), is_root=os.geteuid() == 0)
    browser.ask(dialog, partial(_extract, browser, layer_id, entry.path))


def _extract(browser: Browser, layer_id: str, path: str, request: ExtractRequest) -> None:
    from layertui.panels.files.jobs import extract_job, extract_tar_job  # noqa: PLC0415

    store, target, overwrite = browser.store, request.path, request.overwrite
    if request.as_tar:
        job = extract_tar_job(store, layer_id, path, target, overwrite=overwrite)
        browser.submit(job, lambda size: browser.notify(f"{target}\n{size_text(size)}", "Extracted"))
    else:
        files = extract_job(store, layer_id, path, target, overwrite=overwrite, owners=request.owners)
        browser.submit(files, partial(show_extracted, browser))


def show_extracted(browser: Browser, done: Extracted) -> None:
    """Report what was extracted, and what was skipped."""
    from layertui.dialogs.extract import SkippedDialog  # noqa: PLC0415 - late, because it is rarely needed

    numbers = f"{plural(done.files, 'file')}, {plural(done.folders, 'folder')}, {size_text(done.size)}"
    if done.skipped:
        browser.ask(SkippedDialog(done, numbers))
    else:
        browser.notify(f"{done.target}\n{numbers}", "Extracted")


FILES_ACTIONS: Actions = (
    Action(
        "files.open", "enter", "Open", "Open the folder, or preview the file", "toggle_fold", shown=True, written="⏎"
    ),
    Action("files.toggle", "space", "Open", "Open the folder, or preview the file", "toggle_fold"),
    Action("files.extract", "x", "Extract", "Extract the file or folder", extract, refusal=_no_file, shown=True),
    Action("files.where", "w", "Where", "Show the layers that contain this path", where, refusal=_no_file, shown=True),
    Action("files.copy", "y", "Copy path", "Copy the path", copy_path, refusal=_no_file, shown=True),
)

PREVIEW_ACTIONS: Actions = (
    Action("preview.up", "up,k", "Up", "Scroll one line up", "move(-1)"),
    Action("preview.down", "down,j", "Down", "Scroll one line down", "move(1)"),
    Action("preview.page-up", "pageup,ctrl+b", "Page up", "Scroll one screen up", "page(-1)"),
    Action("preview.page-down", "pagedown,ctrl+f,space", "Page down", "Scroll one screen down", "page(1)"),
    Action("preview.first", "home,g", "First", "Go to the beginning of the file", "edge('first')"),
    Action("preview.last", "end,G", "Last", "Read to the end of the file", "edge('last')"),
    Action("preview.left", "left,h", "Left", "Scroll left", "sideways(-1)"),
    Action("preview.right", "right,l", "Right", "Scroll right, to the end of long lines", "sideways(1)"),
    Action("preview.bytes", "b", "Bytes", "Show the file as bytes, or as text", "toggle_hex", shown=True),
    Action("preview.extract", "x", "Extract", "Extract the file", extract, refusal=_no_file, shown=True),
    Action("preview.copy", "y", "Copy path", "Copy the path", copy_path, refusal=_no_file, shown=True),
    Action(
        "preview.back",
        "escape",
        "Back",
        "Go back to the tree; again to close the preview",
        "screen.back",
        shown=True,
        written="esc",
    ),
)
