"""Keys that people choose: their names, what a remapped binding says, and where two actions meet on one key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import combinations

from textual.binding import Binding, InvalidBinding
from textual.keys import KEY_ALIASES, KEY_NAME_REPLACEMENTS, Keys, format_key, key_to_character

from layertui.keys.actions import NO_KEY, PLACES

Keymap = Mapping[str, str]
"""Keys by the ID of their binding, as Textual's `App.set_keymap` takes them: names with commas between."""

_MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
_NAMED = frozenset(key.value for key in Keys if key.value.isalnum())
_SAME = {alias: name for name, aliases in KEY_ALIASES.items() for alias in aliases}
_CHARACTERS = frozenset(KEY_NAME_REPLACEMENTS.values())


class UnknownKey(ValueError):
    """No terminal sends a key of this name; `nearest` is one that is much like it, or ""."""

    def __init__(self, name: str, nearest: str = "") -> None:
        self.name = name
        self.nearest = nearest
        super().__init__(name)


def all_bindings() -> dict[str, Binding]:
    """Return every binding that can be remapped, by its ID, in the order of the help."""
    return {str(binding.id): binding for tables in PLACES.values() for table in tables for binding in table}


def remapped(binding: Binding, keymap: Keymap) -> Binding:
    """Return the binding with the keys that it really has."""
    keys = keymap.get(str(binding.id))
    return binding if keys is None else replace(binding, key=keys, key_display=None)


def first_key(binding_id: str, keymap: Keymap) -> Binding:
    """Return the binding with this ID and the first of the keys that it really has, "" where it has none."""
    binding = remapped(all_bindings()[binding_id], keymap)
    return binding.with_key(written_keys(binding).partition(",")[0], binding.key_display)


def written_keys(binding: Binding) -> str:
    """Return the keys of a binding as they stand in a file of settings; "" where it has none."""
    return "" if binding.key.startswith(NO_KEY) else binding.key


def spoken(key: str) -> str:
    """Return how a sentence writes a key: `X`, `ctrl+x`, `esc`."""
    *modifiers, name = key.split("+")
    return "+".join([*modifiers, format_key(name)])


def read_keys(text: str) -> str:
    """Return keys as Textual calls them: `m`, `/`, `f5`, `ctrl+shift+left`, `question_mark`, with commas between.

    Raises:
        UnknownKey: for the first name that no terminal sends; its name is "" where nothing stands between commas.
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
    """Return what Textual calls the key of a character, or a key that has a name only; None when there is no such."""
    if name in _NAMED or name in _CHARACTERS:
        return name
    character = key_to_character(name)
    if character is None or not character.isprintable():
        return None
    try:
        return next(iter(Binding.make_bindings([Binding(character, "")]))).key
    except (InvalidBinding, StopIteration):  # a comma stands between keys
        return "comma"


def _nearest(text: str) -> str:
    low = text.lower().replace("control", "ctrl").replace("-", "_" if "+" in text else "+")
    if low != text:
        with suppress(UnknownKey):
            return _read_key(low)
    return next(iter(get_close_matches(text, sorted(_NAMED), n=1)), "")


def clashes(keymap: Keymap) -> Iterator[tuple[str, str, str, str]]:
    """Yield each key that two actions would have in the same place: the key, the place and the IDs of the two.

    Where two have the same key from the start, as `y` in Summary and in the list, the nearer one is meant.
    """
    seen: set[tuple[str, str]] = set()
    for place, tables in PLACES.items():
        bindings = [binding for table in tables for binding in table]
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
