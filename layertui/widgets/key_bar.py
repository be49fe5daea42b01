"""The key bar: the keys that are available now, on one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.binding import ActiveBinding
from textual.screen import Screen

from layertui.keys.keymap import all_bindings, written_keys
from layertui.widgets.spots import Spot, SpotLine


class KeyBar(SpotLine):
    """Shows the active bindings of the screen, those of the focused widget first. A click presses the key.

    `refusal` returns why the action with an ID is not possible now, "" if it is. Refused actions are left out.
    `offered` returns the label of an action that is shown now although it usually is not, "" for all others.
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
    """The IDs of bindings that are always shown, at the right."""

    FIRST = "jobs.cancel"
    """The ID of the binding that comes before the others of its widget. It is active only while a job runs."""

    def __init__(self, refusal: Callable[[str], str], offered: Callable[[str], str] = lambda _: "") -> None:
        super().__init__()
        self._refusal = refusal
        self._offered = offered
        self._in_order: list[ActiveBinding] | None = None  # a cache, because finding them takes 2 ms

    def on_mount(self) -> None:
        """Subscribe to changes of the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self._in_order = None
            self.refresh()

    def spots(self) -> list[Spot]:
        """Return the available keys."""
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
        """Return the active bindings with a key: those of the focused widget first, in the order of the help."""
        ranks = {name: rank for rank, name in enumerate(all_bindings())}

        def rank(binding: ActiveBinding) -> tuple[int, bool, int]:
            name = str(binding.binding.id)
            return nodes.index(binding.node), name != self.FIRST, ranks.get(name, len(ranks))

        active = [binding for binding in self.screen.active_bindings.values() if written_keys(binding.binding)]
        nodes = list(dict.fromkeys(binding.node for binding in active))
        return sorted(active, key=rank)
