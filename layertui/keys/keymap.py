"""The keys of all actions: remapping, how keys are written, and clashes between actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from textual.binding import Binding, InvalidBinding
from textual.keys import KEY_ALIASES, KEY_NAME_REPLACEMENTS, Keys, format_key, key_to_character

from layertui.keys import sentences
from layertui.keys.actions import NO_KEY, Action, Actions

Keymap = Mapping[str, str]
"""Keys by action ID, as Textual's `App.set_keymap` takes them: names with commas between them."""

_MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
_NAMED = frozenset(key.value for key in Keys if key.value.isalnum())
_SAME = {alias: name for name, aliases in KEY_ALIASES.items() for alias in aliases}
_CHARACTERS = frozenset(KEY_NAME_REPLACEMENTS.values())

# The registry

_places: dict[str, tuple[Actions, ...]] = {}
_actions: dict[str, Action[Any]] = {}
_bindings: dict[str, Binding] = {}


def declare(places: Mapping[str, tuple[Actions, ...]]) -> None:
    """Register the actions of the program, by the places that can have the focus, the nearest first."""
    _places.clear()
    _places.update(places)
    _actions.clear()
    _actions.update((action.id, action) for groups in places.values() for group in groups for action in group)
    _bindings.clear()
    _bindings.update((action.id, action.binding) for action in _actions.values())
    sentences.use_by_default(lambda action_id: _name(action_id, {}))


def places() -> Mapping[str, tuple[Actions, ...]]:
    """Return the actions by place, as they were declared."""
    return _places


def all_actions() -> Mapping[str, Action[Any]]:
    """Return every action by its ID, in the order of the help."""
    return _actions


def all_bindings() -> Mapping[str, Binding]:
    """Return the binding of every action by its ID, in the order of the help."""
    return _bindings


def remapped(binding: Binding, keymap: Keymap) -> Binding:
    """Return a binding with the keys of a keymap."""
    keys = keymap.get(str(binding.id))
    return binding if keys is None else replace(binding, key=keys, key_display=None)


def first_key(action_id: str, keymap: Keymap) -> Binding:
    """Return the binding of an action with only the first of its keys, "" if it has none."""
    binding = remapped(_bindings[action_id], keymap)
    return binding.with_key(written_keys(binding).partition(",")[0], binding.key_display)


def written_keys(binding: Binding) -> str:
    """Return the keys of a binding as settings write them, "" if it has none."""
    return "" if binding.key.startswith(NO_KEY) else binding.key


# Keys in sentences


def use_keymap(keymap: Keymap) -> None:
    """Name the keys of this keymap in sentences from now on, in this task and those that it starts."""
    sentences.use(lambda action_id: _name(action_id, keymap))


def _name(action_id: str, keymap: Keymap) -> str:
    binding = first_key(action_id, keymap)
    return spoken(binding.key) if binding.key else f"{_name('app.palette', keymap)}: {binding.description}"


def spoken(key: str) -> str:
    """Return how a sentence writes a key: `X`, `ctrl+x`, `esc`."""
    *modifiers, name = key.split("+")
    return "+".join([*modifiers, format_key(name)])


# Reading keys


class UnknownKey(ValueError):
    """No terminal sends a key of this name. `nearest` is a similar name that exists, or ""."""

    def __init__(self, name: str, nearest: str = "") -> None:
        self.name = name
        self.nearest = nearest
        super().__init__(name)


def read_keys(text: str) -> str:
    """Return keys such as `m`, `/`, `f5` or `ctrl+shift+left` under Textual's names, separated by commas.

    Raises:
        UnknownKey: No terminal sends a key of this name, or there is nothing between two commas ("").
    """
    return ",".join(_read_key(part.strip()) for part in text.split(","))


def _read_key(text: str) -> str:
    *modifiers, name = text.split("+") if text != "+" else ["plus"]
    base = _character_name(name)
    if base is None or any(modifier not in _MODIFIERS for modifier in modifiers):
        raise UnknownKey(text, _nearest(text))
    if modifiers == ["shift"] and len(base) == 1 and base.isalpha():
        return base.upper()
    whole = "+".join([*sorted(set(modifiers)), base])
    return _SAME.get(whole, whole)


def _character_name(name: str) -> str | None:
    """Return Textual's name for the key of a character or for a named key, None if there is no such key."""
    if name in _NAMED or name in _CHARACTERS:
        return name
    character = key_to_character(name)
    if character is None or not character.isprintable():
        return None
    try:
        return next(iter(Binding.make_bindings([Binding(character, "")]))).key
    except (InvalidBinding, StopIteration):  # a comma separates keys
        return "comma"


def _nearest(text: str) -> str:
    low = text.lower().replace("control", "ctrl").replace("-", "_" if "+" in text else "+")
    if low != text:
        with suppress(UnknownKey):
            return _read_key(low)
    return next(iter(get_close_matches(text, sorted(_NAMED), n=1)), "")


def clashes(keymap: Keymap) -> Iterator[tuple[str, str, str, str]]:
    """Yield each key that two actions would have in one place: the key, the place and the IDs of both actions.

    Two actions that share a key by default, like `y` in Summary and in the list, do not clash: the nearer one wins.
    """
    seen: set[tuple[str, str]] = set()
    for place, groups in _places.items():
        bindings = [_bindings[action.id] for group in groups for action in group]
        for first, second in combinations(bindings, 2):
            pair = (str(first.id), str(second.id))
            if pair in seen or not (pair[0] in keymap or pair[1] in keymap) or _shared(first, second):
                continue
            for key in sorted(_shared(remapped(first, keymap), remapped(second, keymap))):
                seen.add(pair)
                yield key, place, *pair


def _shared(first: Binding, second: Binding) -> set[str]:
    return _keys(first) & _keys(second)


def _keys(binding: Binding) -> set[str]:
    return set(binding.key.split(","))


def key_table(bindings: Iterable[Binding]) -> str:
    """Return bindings as lines of a TOML table: ID, keys, and what they do as a comment."""
    lines = [(f'{binding.id} = "{written_keys(binding)}"', binding.tooltip) for binding in bindings]
    width = max((len(line) for line, _ in lines), default=0)
    return "".join(f"{line:<{width}}  # {sentence}\n" for line, sentence in lines)
