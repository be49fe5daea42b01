"""The actions of the main screen in the command palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits
from textual.content import Content
from textual.dom import DOMNode
from textual.system_commands import SystemCommandsProvider

from layertui.keys.actions import APP_ACTIONS, TREE_ACTIONS, Actions
from layertui.keys.keymap import Keymap, all_actions, first_key
from layertui.panels.base import Panel
from layertui.panels.layers.actions.marks import LIST_ACTIONS
from layertui.screens.main.actions import MAIN_ACTIONS

LEFT_OUT = frozenset(
    {
        *("app.quit", "app.quit-too", "app.theme", "app.screenshot", "app.driver", "app.notice"),
        *("app.palette", "layers.back", "pane.next", "pane.previous"),
    }
)
"""Actions that Textual's own commands offer already, or that are useless from a palette that covers the screen."""

MOTIONS = frozenset({"move", "page", "edge", "sibling", "out", "in", "sideways"})
"""Action methods that only move the cursor, which are useless in the palette as well."""


class _MainScreen(Protocol):
    """The part of the main screen that the palette uses."""

    @property
    def keymap(self) -> Keymap:
        """The keys that the user remapped."""
        ...

    @property
    def layer_tree(self) -> DOMNode:
        """The list of layers."""
        ...

    @property
    def panel(self) -> Panel:
        """The panel that is shown."""
        ...


class Commands(SystemCommandsProvider):
    """Finds the actions of the main screen by their labels and help, and after them the commands of every screen.

    One provider yields both: Textual asks several in an order that differs from start to start, and the first entry is
    what Enter runs.
    """

    async def search(self, query: str) -> Hits:
        """Yield the actions and commands that match."""
        matcher = self.matcher(query)
        for title, key, run, sentence in self._commands():
            score = max(matcher.match(title), matcher.match(sentence) * 0.8)
            if score > 0:
                yield Hit(score, _with_key(matcher.highlight(title), key), run, text=title, help=sentence)
        async for hit in super().search(query):
            yield hit

    async def discover(self) -> Hits:
        """Yield all actions and commands."""
        for title, key, run, sentence in self._commands():
            yield DiscoveryHit(_with_key(Content(title), key), run, text=title, help=sentence)
        async for hit in super().discover():
            yield hit

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object], str]]:
        """Yield the label, the key, the function and the help of each action of the main screen, none elsewhere."""
        if not hasattr(self.screen, "layer_tree"):
            return
        screen = cast("_MainScreen", self.screen)
        known, focus = all_actions(), screen.panel.focus_target
        in_panel = tuple(
            action for bound in focus.BINDINGS if (action := known.get(str(getattr(bound, "id", "")))) is not None
        )
        places: list[tuple[DOMNode, Actions]] = [
            (self.screen, MAIN_ACTIONS),
            (screen.layer_tree, LIST_ACTIONS),
            (screen.layer_tree, TREE_ACTIONS),
            (focus, in_panel),
            (self.app, APP_ACTIONS),
        ]
        for place, actions in places:
            for action in actions:
                run = action.binding.action
                if action.id not in LEFT_OUT and run.partition("(")[0] not in MOTIONS:
                    first = first_key(action.id, screen.keymap)
                    key = self.app.get_key_display(first) if first.key else ""
                    yield action.label, key, partial(self.app.run_action, run, place), action.help


def _with_key(title: Content, key: str) -> Content:
    return Content.assemble(title, "  ", (key, "dim")) if key else title
