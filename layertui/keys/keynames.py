"""The keys in the sentences of the screen, as people have chosen them: `press {layer.unmount}`."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layertui.keys.keymap import Keymap

_keymap: ContextVar[Keymap] = ContextVar("keymap")
_ID = re.compile(r"\{([a-z]+\.[a-z-]+)\}")


def use_keymap(keymap: Keymap) -> None:
    """Name these keys from now on, in this task and those that it starts; elsewhere the usual keys are named."""
    _keymap.set(keymap)


def key_of(binding_id: str) -> str:
    """Return the first key of an action as a sentence writes it: `u`, `ctrl+x`, `esc`, `space`.

    An action that has no key is found in the palette: then that is named, with the action's title.
    """
    from layertui.keys.keymap import first_key, spoken  # noqa: PLC0415 - late: it needs Textual, which the command line does not

    binding = first_key(binding_id, _keymap.get({}))
    return spoken(binding.key) if binding.key else f"{key_of('app.palette')}: {binding.description}"


def with_keys(text: str) -> str:
    """Return a sentence of ours with the IDs in braces replaced by keys. Not for text from a store."""
    return _ID.sub(lambda found: key_of(found[1]), text)
