"""All actions of the browser in the command palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode

from layertui.keys.actions import APP_BINDINGS, LAYER_TREE_BINDINGS, LAYERS_BINDINGS, TREE_BINDINGS
from layertui.keys.keymap import first_key

if TYPE_CHECKING:
    from layertui.screens.main.screen import LayersScreen

LEFT_OUT = frozenset(
    {
        *("app.quit", "app.quit-too", "app.theme", "app.screenshot", "app.driver", "app.notice"),
        *("app.palette", "layers.back", "pane.next", "pane.previous"),
    }
)
"""The IDs of what the app offers itself on every screen, or of no use from a palette that hides the screen."""

MOTIONS = frozenset({"move", "page", "edge", "sibling", "out", "in", "sideways"})
"""The actions that only move the cursor: no use from there either."""


class LayerCommands(Provider):
    """Finds an action by its name or by what it does, and runs it where it belongs."""

    async def search(self, query: str) -> Hits:
        """Yield the actions that match."""
        matcher = self.matcher(query)
        for title, key, run, sentence in self._commands():
            score = max(matcher.match(title), matcher.match(sentence) * 0.8)
            if score > 0:
                yield Hit(score, _with_key(matcher.highlight(title), key), run, text=title, help=sentence)

    async def discover(self) -> Hits:
        """Yield all actions."""
        for title, key, run, sentence in self._commands():
            yield DiscoveryHit(_with_key(Content(title), key), run, text=title, help=sentence)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object], str]]:
        """Yield titles, keys, what runs them and sentences."""
        screen = cast("LayersScreen", self.screen)
        tree = screen.tree_widget
        panel = screen.panel_widget
        places: list[tuple[DOMNode, list[Binding]]] = [
            (screen, LAYERS_BINDINGS),
            (tree, LAYER_TREE_BINDINGS),
            (tree, TREE_BINDINGS),
            (panel, [binding for binding in panel.BINDINGS if isinstance(binding, Binding)]),
            (self.app, APP_BINDINGS),
        ]
        for place, bindings in places:
            for binding in bindings:
                if binding.id not in LEFT_OUT and binding.action.partition("(")[0] not in MOTIONS:
                    first = first_key(str(binding.id), screen.keymap)
                    key = self.app.get_key_display(first) if first.key else ""
                    yield (
                        binding.description,
                        key,
                        partial(self.app.run_action, binding.action, place),
                        binding.tooltip,
                    )


def _with_key(title: Content, key: str) -> Content:
    return Content.assemble(title, "  ", (key, "dim")) if key else title
