"""The sections of the help: the keys of each place, and the words of the filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.binding import Binding

from layertui.keys.actions import APP_ACTIONS, TREE_ACTIONS, Action
from layertui.keys.keymap import Keymap, all_bindings, places, remapped, written_keys
from layertui.keys.sentences import with_keys

Entry = tuple[str, str, str, str]
"""The keys of an action, its label, its sentence and its ID."""

NO_KEYMAP: Keymap = {}

_TITLES = {"preview": "In a preview", "check": "In the check", "filter": "In the filter"}


def help_sections(display: Callable[[Binding], str], keymap: Keymap = NO_KEYMAP) -> list[tuple[str, list[Entry]]]:
    """Return the keys by place, as users remapped them. `display` returns how the screen writes a key."""

    def entries(actions: Iterable[Action[object]]) -> list[Entry]:
        chosen = [remapped(all_bindings()[action.id], keymap) for action in actions]
        return [_entry(binding, display) for binding in chosen if written_keys(binding)]

    def without_key(bindings: Iterable[Binding]) -> list[Entry]:
        chosen = [remapped(binding, keymap) for binding in bindings]
        return [_entry(binding, display) for binding in chosen if not written_keys(binding)]

    list_actions, _, main_actions, _ = places()["list"]
    shared = (TREE_ACTIONS, main_actions, APP_ACTIONS)
    layer = [action for action in main_actions if action.id.startswith("layer.")]
    panes = [action for action in main_actions if action.id.startswith("pane")]
    rest = [action for action in main_actions if action not in layer and action not in panes]
    every = all_bindings().values()
    palette = with_keys("In the palette ({app.palette}), or on a key that you choose")
    return [
        ("Layer", entries(layer)),
        ("List", entries([*list_actions, *rest])),
        ("Panels", entries(panes)),
        ("Moving in lists and trees", entries(TREE_ACTIONS)),
        *(
            (
                _TITLES.get(place, f"In {place}"),
                entries(action for group in groups if group not in shared for action in group),
            )
            for place, groups in places().items()
            if place != "list"
        ),
        ("Program", entries(APP_ACTIONS)),
        (palette, without_key(binding for binding in every if not written_keys(binding))),
        ("Without a key, according to config.toml", without_key(filter(written_keys, every))),
    ]


def filter_words() -> tuple[str, list[Entry]]:
    """Return what the filter of the list understands, as a section of the help."""
    words = {
        "words": "each is part of the ID, of a name, or of the name of an image or container that needs the layer",
        "is:unused": "no image or container needs it; is:used: at least one does",
        "is:mounted": "mounted now; is:stale: only recorded as mounted",
        "is:incomplete": "part of its content is missing",
        "is:broken": "the chain of its parents is broken",
        "is:readonly": "its record says so; is:shared: it is in an additional image store",
        "is:named": "it has a name",
        "is:leaf": "no layer is based on it; is:root: it has no parent",
        "size:>100MB": "its own size; also >=, <, <=, and k, M, G",
    }
    return "The filter of the list: a layer must match every word", [
        ("", word, meaning, "") for word, meaning in words.items()
    ]


def _entry(binding: Binding, display: Callable[[Binding], str]) -> Entry:
    return (_keys(binding, display), binding.description, binding.tooltip, str(binding.id))


def _keys(binding: Binding, display: Callable[[Binding], str]) -> str:
    if not written_keys(binding):
        return ""
    keys = [
        binding.with_key(key, binding.key_display if not number else None)
        for number, key in enumerate(binding.key.split(","))
    ]
    return ", ".join(display(key) for key in keys)
