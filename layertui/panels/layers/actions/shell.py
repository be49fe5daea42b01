"""Opening a shell in a layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from layertui.keys.actions import Action, Need
from layertui.keys.sentences import with_keys
from layertui.panels.base import Browser
from layertui.panels.layers.actions.mounts import unmount_rows

if TYPE_CHECKING:
    from layertui.jobs.write import ShellMount
    from layertui.model.rows import LayerRow


def open_shell(browser: Browser) -> None:
    """Open a shell in the layer under the cursor, which is mounted for it.

    Root chooses between the layer's own shell and the host's.
    """
    from layertui.jobs.read import find_shell_job  # noqa: PLC0415 - late, to keep startup fast

    row = browser.layer

    def found(inside: str) -> None:
        if row.id in browser.view:
            _choose(browser, row, inside)

    if os.geteuid() == 0:
        browser.look_up(find_shell_job(browser.store, row.id), found)
    else:
        _choose(browser, row, "")


def _choose(browser: Browser, row: LayerRow, inside: str) -> None:
    from layertui.dialogs.shell import ShellDialog  # noqa: PLC0415 - late, to keep startup fast
    from layertui.jobs.write import mount_for_shell_job  # noqa: PLC0415

    def start(chosen: str) -> None:
        browser.submit(mount_for_shell_job(browser.store, row), lambda mount: _run(browser, row, mount, inside=chosen))

    counts = {"images": len(row.images), "containers": len(row.containers), "children": len(row.children)}
    browser.ask(ShellDialog(row.layer, inside, **counts), start)


def _run(browser: Browser, row: LayerRow, mount: ShellMount, *, inside: str) -> None:
    """Hand the terminal to the shell, take it back, and unmount the layer or ask about it."""
    from layertui.jobs import shell  # noqa: PLC0415 - late, to keep startup fast

    call = shell.ShellCall(row.id, browser.title_of(row.id), mount.path, inside)
    problem = ""
    try:
        problem = browser.suspended(lambda no_color: shell.run(call, no_color=no_color))
    except OSError as error:
        browser.show_error(error)
    listed = row.id in browser.view
    if listed and not mount.mounted_before:
        _ask_to_unmount(browser, row, problem)
    else:
        if problem:
            browser.say(problem, "error")
        if listed:  # the shell raised the count of a mount that existed before
            unmount_rows(browser, [row], after_shell=True)
    browser.reload()


def _ask_to_unmount(browser: Browser, row: LayerRow, problem: str) -> None:
    """Ask whether to unmount a layer that was mounted for a shell, and report a problem with the shell."""
    from layertui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415 - late, to keep startup fast

    def go(agreed: bool) -> None:
        if agreed:
            unmount_rows(browser, [row], after_shell=True)

    title = f"Unmount {row.short_id}?"
    body = with_keys(
        "The layer was mounted for the shell. If it stays mounted, its files are at the same path until "
        "{layer.unmount} unmounts it."
    )
    body = f"{problem}.\n\n{body}" if problem else body
    browser.ask(ConfirmDialog(title, body, confirm_label="Unmount", cancel_label="Leave mounted"), go)


SHELL = Action(
    "layer.shell",
    "s",
    "Shell",
    "Open a shell in the mounted layer; exit returns here",
    open_shell,
    needs=Need.LAYER | Need.WRITABLE,
    verb="mount it for a shell",
    shown=True,
)
