"""All actions of the browser in the command palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from layertui.keys import APP_BINDINGS, LAYER_TREE_BINDINGS, LAYERS_BINDINGS, TREE_BINDINGS

_LEFT_OUT = frozenset({"app.help", "app.quit", "app.quit-too", "layers.back"})  # there already, or of no use from here
_MOVES = frozenset({"tree.fold-all", "tree.unfold-all", "tree.parent"})


class LayerCommands(Provider):
    """Finds an action by its name or by what it does, and runs it where it belongs."""

    async def search(self, query: str) -> Hits:
        """Yield the actions that match."""
        matcher = self.matcher(query)
        for title, run, sentence in self._commands():
            score = max(matcher.match(title), matcher.match(sentence) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, text=title, help=sentence)

    async def discover(self) -> Hits:
        """Yield all actions."""
        for title, run, sentence in self._commands():
            yield DiscoveryHit(title, run, text=title, help=sentence)

    def _commands(self) -> Iterator[tuple[str, Callable[[], object], str]]:
        tree = self.screen.query_one("#layers")
        places: list[tuple[DOMNode, list[Binding]]] = [
            (self.screen, LAYERS_BINDINGS),
            (tree, LAYER_TREE_BINDINGS),
            (tree, [binding for binding in TREE_BINDINGS if binding.id in _MOVES]),
            (self.app, APP_BINDINGS),
        ]
        for place, bindings in places:
            for binding in bindings:
                if binding.id not in _LEFT_OUT:
                    yield binding.description, partial(self.app.run_action, binding.action, place), binding.tooltip
