"""The actions of the main screen, in the order of the key bar and the help: a new one is a line in `MAIN_ACTIONS`."""

from __future__ import annotations

from layertui.keys.actions import Action, Actions, Need
from layertui.panels import PANELS
from layertui.panels.base import Browser
from layertui.panels.layers.actions.apply import APPLY
from layertui.panels.layers.actions.compare import COMPARE, COMPARE_MARKED, SWAP
from layertui.panels.layers.actions.copy import COPY
from layertui.panels.layers.actions.create import CREATE
from layertui.panels.layers.actions.delete import DELETE
from layertui.panels.layers.actions.edit import FLAGS, METADATA, NAMES
from layertui.panels.layers.actions.export import EXPORT
from layertui.panels.layers.actions.mounts import CLEAR_STALE, MOUNT, UNMOUNT, UNMOUNT_ALL, UNMOUNT_MARKED
from layertui.panels.layers.actions.shell import SHELL


def check(browser: Browser) -> None:
    """Check the store on a screen of its own."""
    from layertui.screens.check.screen import CheckScreen  # noqa: PLC0415 - late, to keep startup fast

    def closed(repaired: bool) -> None:
        if repaired:
            browser.reload()

    browser.ask(CheckScreen(browser.store, browser.view, browser.jobs), closed)


def cancel_job(browser: Browser) -> None:
    """Cancel the newest job that the user can see."""
    browser.jobs.cancel(browser.running[-1])


def _nothing_runs(browser: Browser) -> str:
    return "" if browser.running else "Nothing is running"


def _no_filter(browser: Browser) -> str:
    if browser.filter_has_focus:
        return "You are already typing a filter"
    return "" if browser.view else "There are no layers"


FILTER = Action(
    "layers.filter",
    "slash",
    "Filter",
    "Filter the list: words, is:unused, is:mounted, is:stale, size:>100MB",
    "filter",
    refusal=_no_filter,
    shown=True,
    written="/",
)
ORDER: Action[Browser] = Action(
    "layers.order",
    "o",
    "Sort",
    "Sort by the next order: tree, size, total, age, name",
    "order",
    needs=Need.ROWS,
    shown=True,
)
CHECK = Action("store.check", "c", "Check", "Check the store, and see what a repair would do", check, shown=True)
CANCEL = Action(
    "jobs.cancel",
    "ctrl+x",
    "Cancel",
    "Cancel the running job",
    cancel_job,
    refusal=_nothing_runs,
    shown=True,
    written="^x",
)

SHOW_PANELS: Actions = tuple(
    Action(f"panel.{panel.id}", panel.key, panel.title, panel.help, f"panel({panel.id!r})") for panel in PANELS
)

MAIN_ACTIONS: Actions = (
    MOUNT,
    UNMOUNT,
    EXPORT,
    DELETE,
    FILTER,
    SHELL,
    CREATE,
    APPLY,
    ORDER,
    NAMES,
    FLAGS,
    METADATA,
    COPY,
    COMPARE,
    SWAP,
    UNMOUNT_MARKED,
    *SHOW_PANELS,
    Action("panel.next", "right_square_bracket", "Next panel", "Show the next panel", "next_panel(1)", written="]"),
    Action(
        "panel.previous",
        "left_square_bracket",
        "Previous panel",
        "Show the previous panel",
        "next_panel(-1)",
        written="[",
    ),
    CHECK,
    Action("pane.next", "tab", "Next pane", "Go to the next pane", "app.focus_next"),
    Action("pane.previous", "shift+tab", "Previous pane", "Go to the previous pane", "app.focus_previous"),
    Action("pane.zoom", "z", "Zoom", "Give the pane in focus the whole screen; again to give it back", "zoom"),
    Action("store.reload", "R,f5", "Reload", "Read the store again", "reload", written="R"),
    CANCEL,
    Action(
        "layers.back",
        "escape",
        "Back",
        "Clear the filter, then the marks, and go back to the list",
        "back",
        written="esc",
    ),
    COMPARE_MARKED,
    UNMOUNT_ALL,
    CLEAR_STALE,
)
