"""The keys that work here and now, on one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.binding import ActiveBinding
from textual.screen import Screen

from layertui.keys.keymap import all_bindings, written_keys
from layertui.widgets.spots import Spot, SpotLine


class KeyBar(SpotLine):
    """Shows the active bindings of the screen, those of the widget in focus first; a click presses the key.

    `refusal` returns why an action, by its ID, makes no sense now, and "" if it does; refused actions are left out.
    `offered` returns the label of an action that is shown now though usually it is not, "" for all others.
    """

    DEFAULT_CSS = """
    KeyBar {
        background: $panel;
        color: $foreground 75%;
        & .key-bar--key { color: $accent; text-style: bold; }
        & .key-bar--label { color: $foreground 75%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--label"}

    ALWAYS = ("app.help", "app.quit")
    """The IDs of bindings that are shown at the right, however narrow the screen."""

    FIRST = "jobs.cancel"
    """The ID of the binding that comes before all others of its place: it is offered while something runs."""

    def __init__(self, refusal: Callable[[str], str], offered: Callable[[str], str] = lambda _: "") -> None:
        super().__init__()
        self._refusal = refusal
        self._offered = offered
        self._in_order: list[ActiveBinding] | None = None  # until the bindings change: to find them takes 2 ms

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self._in_order = None
            self.refresh()

    def spots(self) -> list[Spot]:
        """Return the keys that do something now."""
        if self._in_order is None:
            self._in_order = self._active()
        found: dict[str, Spot] = {}
        for active in self._in_order:
            binding = active.binding
            name = binding.id or binding.action
            label = self._offered(name) or (binding.description if binding.show else "")
            if not label or not active.enabled or name in found or self._refusal(name):
                continue
            key = self.app.get_key_display(binding)
            found[name] = Spot(
                ((key, "key-bar--key"), (" " + label, "key-bar--label")),
                partial(self.app.simulate_key, binding.key),
                binding.tooltip,
                fixed=name in self.ALWAYS,
            )
        return list(found.values())

    def _active(self) -> list[ActiveBinding]:
        """Return the bindings of the widget in focus first, each widget's in their own order, remapped or not."""
        ranks = {name: rank for rank, name in enumerate(all_bindings())}

        def place(one: ActiveBinding) -> tuple[int, bool, int]:
            name = str(one.binding.id)
            return nodes.index(one.node), name != self.FIRST, ranks.get(name, len(ranks))

        active = [one for one in self.screen.active_bindings.values() if written_keys(one.binding)]
        nodes = list(dict.fromkeys(binding.node for binding in active))
        return sorted(active, key=place)
