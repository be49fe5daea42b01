"""The `Action` class, and the actions of widgets that know nothing about layers.

An action is one object: its ID, its keys, its help, what it runs and when it is refused. The key bar, the help, the
palette, `layertui keys` and the settings all read these objects. IDs are part of users' settings, so they never change.

An action lives beside what it acts on: those of a panel in `panels/<name>/actions.py`, those of the main screen in
`screens/main/actions.py`. `screens/actions.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Generic, TypeVar

from textual.binding import Binding, BindingType

NO_KEY = "no-key-"
"""The prefix of the placeholder for a missing key. No terminal sends it."""

Context = TypeVar("Context")


class Need(Flag):
    """What an action of the main screen needs, and is refused without."""

    NOTHING = 0
    LAYER = auto()
    """A layer under the cursor."""
    WRITABLE = auto()
    """A store that is not read-only, and no layer of an additional image store."""
    ROWS = auto()
    """A list that is not empty."""
    MARKS = auto()
    """At least one marked layer."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # both would take time at the start
class Action(Generic[Context]):
    """What a key does.

    Attributes:
        id: The name of the action in users' settings, such as "layer.mount".
        keys: Its keys as Textual names them, separated by commas, or "" for an action that only the palette offers.
        label: The name of the action in the key bar and the palette.
        help: One sentence for the help.
        run: What it does: a function of the context, or the name of an action method of the widget or screen, with its
            arguments, such as "move(-1)".
        needs: What it is refused without. Only for actions of the main screen.
        refusal: Returns why the action is not possible now, "" if it is.
        verb: Completes "cannot ...", such as "mount".
        shown: Whether the key bar shows the action.
        written: How the key bar writes the key, where Textual's own form is unusual.
        everywhere: Whether the key works in dialogs as well.
    """

    id: str
    keys: str
    label: str
    help: str
    run: str | Callable[[Context], object]
    needs: Need = Need.NOTHING
    refusal: Callable[[Context], str] | None = None
    verb: str = ""
    shown: bool = False
    written: str = ""
    everywhere: bool = False

    @property
    def binding(self) -> Binding:
        """The action as a binding of Textual. The screen runs a function, unless the action is refused."""
        return Binding(
            self.keys or NO_KEY + self.id,
            self.run if isinstance(self.run, str) else f"screen.perform({self.id!r})",
            self.label,
            show=self.shown,
            key_display=self.written or None,
            priority=self.everywhere,
            tooltip=self.help,
            id=self.id,
        )


Actions = tuple[Action[Any], ...]


def bindings(actions: Iterable[Action[Any]]) -> list[BindingType]:
    """Return actions as bindings, for the `BINDINGS` of a widget or screen."""
    return [action.binding for action in actions]


WAYS_OUT = {
    "app.quit": "leaves the program",
    "app.help": "shows all keys",
    "app.palette": "finds the actions that have no key",
    "jobs.cancel": "cancels the running job",
    "layers.back": "goes back",
    "preview.back": "goes back",
    "filter.leave": "leaves the filter",
    "filter.clear": "leaves the filter",
    "check.cancel": "stops the check",
    "check.close": "goes back to the layers",
}
"""Actions that must keep a key, because a user would be stuck without them, and what they do."""


TREE_ACTIONS: Actions = (
    Action("tree.up", "up,k", "Up", "Go one line up", "move(-1)"),
    Action("tree.down", "down,j", "Down", "Go one line down", "move(1)"),
    Action("tree.page-up", "pageup,ctrl+b", "Page up", "Go one screen up", "page(-1)"),
    Action("tree.page-down", "pagedown,ctrl+f", "Page down", "Go one screen down", "page(1)"),
    Action("tree.first", "home,g", "First", "Go to the first line", "edge('first')"),
    Action("tree.last", "end,G", "Last", "Go to the last line", "edge('last')"),
    Action("tree.out", "left,h", "Fold", "Fold, or go to the parent", "out"),
    Action("tree.in", "right,l", "Unfold", "Unfold, or go to the first child", "in"),
    Action("tree.toggle", "enter", "Fold", "Fold or unfold", "toggle_fold"),
    Action("tree.parent", "p,shift+left", "Parent", "Go to the parent", "parent"),
    Action("tree.child", "shift+right", "Child", "Go to the first child", "child"),
    Action("tree.previous-sibling", "K,shift+up", "Previous sibling", "Go to the previous sibling", "sibling(-1)"),
    Action("tree.next-sibling", "J,shift+down", "Next sibling", "Go to the next sibling", "sibling(1)"),
    Action("tree.fold-all", "minus", "Fold all", "Fold everything", "fold_all"),
    Action("tree.unfold-all", "plus", "Unfold all", "Unfold everything", "unfold_all"),
)

FILTER_ACTIONS: Actions = (
    Action(
        "filter.leave",
        "enter,down",
        "To the list",
        "Go to the list and keep the filter",
        "screen.leave_filter",
        shown=True,
        written="⏎",
    ),
    Action("filter.clear", "escape", "Clear", "Clear the filter", "screen.back", shown=True, written="esc"),
)

APP_ACTIONS: Actions = (
    Action("app.help", "question_mark", "Help", "Show all keys", "help", shown=True, written="?"),
    Action("app.quit", "q", "Quit", "Leave the program", "quit", shown=True),
    Action("app.quit-too", "ctrl+q,ctrl+c", "Quit", "Leave the program", "quit"),
    Action("app.palette", "ctrl+p", "Commands", "Find an action by its name", "command_palette", everywhere=True),
    Action("app.theme", "", "Theme", "Choose a theme", "change_theme"),
    Action("app.screenshot", "", "Screenshot", "Save a picture of the screen", "screenshot"),
    Action("app.driver", "", "Other driver", "Open the store of another driver in this graph root", "find_drivers"),
    Action("app.notice", "", "Limits", "Show limits for this user", "show_notice"),
)
