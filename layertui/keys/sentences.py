"""Keys in the sentences of the screen, as users remapped them: `press {layer.unmount}`. Imports no Textual."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar

KeyNames = Callable[[str], str]
"""Returns the key of an action as a sentence writes it."""

_ID = re.compile(r"\{([a-z]+\.[a-z-]+)\}")
_names: ContextVar[KeyNames] = ContextVar("names")
_default: list[KeyNames] = []


def use(names: KeyNames) -> None:
    """Name keys with this function from now on, in this task and those that it starts."""
    _names.set(names)


def use_by_default(names: KeyNames) -> None:
    """Name keys with this function in tasks where `use` was not called."""
    _default[:] = [names]


def key_of(action_id: str) -> str:
    """Return the first key of an action as a sentence writes it: `u`, `ctrl+x`, `esc`, `space`.

    An action without a key is found in the palette, so then the palette's key and the action's label are returned.
    """
    return _names.get(_default[0])(action_id)


def with_keys(text: str) -> str:
    """Return a sentence with the action IDs in braces replaced by keys. Not for text from a store."""
    return _ID.sub(lambda found: key_of(found[1]), text)
