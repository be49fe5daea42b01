"""The dialog for editing the names of a layer."""

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
    """Edits the names. The result is all names of the layer, None if they have not changed.

    `taken` maps each name in the store to its layer. A name of another layer is moved to this one.
    """

    NOUN: ClassVar[str] = "name"

    def __init__(self, layer: Layer, taken: Mapping[str, str]) -> None:
        super().__init__(heading("Names of", layer))
        self._layer = layer
        self._taken = taken
        self._names = list(layer.names)

    def _owner(self, name: str) -> str:
        """Return the ID of the other layer that has this name, "" if there is none."""
        owner = self._taken.get(name, "")
        return "" if owner == self._layer.id else owner

    def rows(self) -> Iterable[Content]:
        """Yield one line per name, with the layer that it is moved from."""
        for name in self._names:
            owner = self._owner(name)
            moves = (f"  ← moves here from {short_id(owner)}", "$text-warning") if owner else ""
            yield Content.assemble(safe(name), moves)

    def compose_editor(self) -> ComposeResult:
        """Yield the field for a name."""
        yield Field("Name", SafeInput(placeholder="registry/image:tag", id="name"))

    @property
    def _text(self) -> str:
        return self.query_one("#name", Input).value.strip()

    def fill_editor(self, number: int | None) -> None:
        """Show an escaped name in the field."""
        self.query_one("#name", SafeInput).put("" if number is None else safe(self._names[number]))

    def _typed(self, number: int | None) -> str:
        """Return the typed name, or the old one if the escaped text was not edited."""
        old = None if number is None else self._names[number]
        return old if old is not None and self._text == safe(old) else self._text

    def problem(self, number: int | None) -> str:
        """Return why the name is invalid."""
        name = self._typed(number)
        if not name:
            return "Enter a name"
        others = self._names[:number] + self._names[number + 1 :] if number is not None else self._names
        return "The layer already has this name" if name in others else ""

    def take(self, number: int | None) -> int:
        """Add the name or replace the old one."""
        name = self._typed(number)
        if number is None:
            self._names.append(name)
            return len(self._names) - 1
        self._names[number] = name
        return number

    def drop(self, number: int) -> None:
        """Remove the name."""
        del self._names[number]

    def note(self) -> Content:
        """Return a warning about names that other layers lose."""
        moving = sum(bool(self._owner(name)) for name in self._names)
        if not moving:
            return Content("")
        source = "another layer" if moving == 1 else "other layers"
        return Content.styled(f"! {plural(moving, 'name')} will be moved here from {source}.", "$text-warning")

    @property
    def edited(self) -> bool:
        """Whether the names have changed."""
        return tuple(self._names) != self._layer.names

    def save(self) -> None:
        """Close with the names."""
        self.dismiss(tuple(self._names) if self.edited else None)
