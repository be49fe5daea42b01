"""Edit the names of a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from layerstore.model import Layer
from layertui.dialogs.labels import heading, short_id
from layertui.dialogs.list_editor import ListEditor
from layertui.text.format import plural
from layertui.text.safe import safe
from layertui.widgets.inputs import Field, SafeInput


class NamesDialog(ListEditor[tuple[str, ...]]):
    """Close with all names that the layer is to have, or None where nothing changes.

    `taken` maps the names of the whole store to their layers: a name that another layer has moves from there.
    """

    NOUN: ClassVar[str] = "name"

    def __init__(self, layer: Layer, taken: Mapping[str, str]) -> None:
        super().__init__(heading("Names of", layer))
        self._layer = layer
        self._taken = taken
        self._names = list(layer.names)

    def _owner(self, name: str) -> str:
        """Return the other layer that has this name, "" if none has."""
        owner = self._taken.get(name, "")
        return "" if owner == self._layer.id else owner

    def rows(self) -> Iterable[Content]:
        """Return a line a name, with the layer that loses it."""
        for name in self._names:
            owner = self._owner(name)
            moves = (f"  ← moves here from {short_id(owner)}", "$text-warning") if owner else ""
            yield Content.assemble(safe(name), moves)

    def compose_editor(self) -> ComposeResult:
        """Yield the only field."""
        yield Field("Name", SafeInput(placeholder="registry/image:tag", id="name"))

    @property
    def _text(self) -> str:
        return self.query_one("#name", Input).value.strip()

    def fill_editor(self, number: int | None) -> None:
        """Put the name into the field, as it is shown."""
        self.query_one("#name", SafeInput).put("" if number is None else safe(self._names[number]))

    def _typed(self, number: int | None) -> str:
        """Return the name that is meant: one that was shown escaped and left alone is still the old one."""
        old = None if number is None else self._names[number]
        return old if old is not None and self._text == safe(old) else self._text

    def problem(self, number: int | None) -> str:
        """Refuse empty names and those that the layer has already."""
        name = self._typed(number)
        if not name:
            return "A name cannot be empty"
        others = self._names[:number] + self._names[number + 1 :] if number is not None else self._names
        return "The layer has this name already" if name in others else ""

    def take(self, number: int | None) -> int:
        """Add the name or put it in the place of the old one."""
        name = self._typed(number)
        if number is None:
            self._names.append(name)
            return len(self._names) - 1
        self._names[number] = name
        return number

    def drop(self, number: int) -> None:
        """Take the name off the list."""
        del self._names[number]

    def note(self) -> Content:
        """Say which layers lose names."""
        moving = sum(bool(self._owner(name)) for name in self._names)
        if not moving:
            return Content("")
        verb = "moves here and is" if moving == 1 else "move here and are"
        return Content.styled(f"! {plural(moving, 'name')} {verb} taken from another layer.", "$text-warning")

    @property
    def edited(self) -> bool:
        """Whether the names are others now."""
        return tuple(self._names) != self._layer.names

    def save(self) -> None:
        """Close with the names."""
        self.dismiss(tuple(self._names) if self.edited else None)
