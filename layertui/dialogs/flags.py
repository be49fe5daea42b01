"""The dialog for editing the flags of a layer, which are names with JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from layerstore import INCOMPLETE_FLAG, Layer
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.labels import heading, short_id
from layertui.dialogs.list_editor import ListEditor
from layertui.text.safe import json_safe, safe
from layertui.widgets.inputs import Field, SafeInput

_INCOMPLETE_WARNING = 'Podman and layertui delete layers with the flag "incomplete" on the next write to the store.'


@dataclass(frozen=True, slots=True)
class FlagChanges:
    """The flags to set, with their JSON values, and the flags to clear."""

    set: dict[str, Any]
    clear: tuple[str, ...] = ()


def json_text(value: object) -> str:
    """Return a value as one line of printable JSON that parses to the same value."""
    return json_safe(json.dumps(value, ensure_ascii=False))


def parse_value(text: str) -> Any:
    """Return the value of typed text: JSON, or a string if it is a plain word.

    Raises:
        ValueError: The text is neither; the message is for the user.
    """
    text = text.strip()
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("Invalid character: a lone surrogate") from None
    except RecursionError:
        raise ValueError("Nested too deeply") from None
    except ValueError as error:
        if text and text[0] not in '{["':
            return text
        place = f" at character {error.colno}" if isinstance(error, json.JSONDecodeError) and text else ""
        raise ValueError(f"Invalid JSON{place}" if text else "Enter a value") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> FlagChanges:
    """Return the changes that turn the old flags into the new ones. The values true and 1 differ."""
    return FlagChanges(
        set={name: value for name, value in new.items() if name not in old or json_text(old[name]) != json_text(value)},
        clear=tuple(name for name in old if name not in new),
    )


class FlagsDialog(ListEditor[FlagChanges]):
    """Edits the flags. The result is the changes, None if there are none."""

    NOUN: ClassVar[str] = "flag"

    def __init__(self, layer: Layer) -> None:
        super().__init__(heading("Flags of", layer))
        self._layer = layer
        self._flags = dict(layer.flags)

    @property
    def _changes(self) -> FlagChanges:
        return changes_between(self._layer.flags, self._flags)

    def rows(self) -> Iterable[Content]:
        """Yield one line per flag, with a star for those that saving would set."""
        changed = self._changes.set
        for name, value in self._flags.items():
            mark = ("* ", "bold $text-warning") if name in changed else "  "
            yield Content.assemble(mark, (safe(name), "bold"), " = ", (safe(json_text(value)), "$text-primary"))

    def compose_editor(self) -> ComposeResult:
        """Yield the name and the value."""
        yield Field("Flag", SafeInput(placeholder="Name", id="name"))
        yield Field("Value", SafeInput(placeholder='true, 42, "text", {"a": [1, 2]} or a word', id="value"))

    def _name_at(self, number: int) -> str:
        return list(self._flags)[number]

    def fill_editor(self, number: int | None) -> None:
        """Show a flag in the fields. The name of an existing flag cannot be changed."""
        name = self.query_one("#name", SafeInput)
        name.disabled = number is not None
        name.put("" if number is None else safe(self._name_at(number)))
        value = "" if number is None else json_text(self._flags[self._name_at(number)])
        self.query_one("#value", SafeInput).put(value)

    def _flag_name(self, number: int | None) -> str:
        return self.query_one("#name", Input).value.strip() if number is None else self._name_at(number)

    def _value(self, number: int | None) -> Any:
        """Return the typed value, or the old one if the text was not edited."""
        text = self.query_one("#value", Input).value
        old = None if number is None else self._flags[self._name_at(number)]
        return old if number is not None and text == json_text(old) else parse_value(text)

    def problem(self, number: int | None) -> str:
        """Return why the name or the value is invalid."""
        name = self._flag_name(number)
        if not name:
            return "Enter a name"
        if number is None and name in self._flags:
            return "This flag already exists; edit it instead"
        try:
            self._value(number)
        except ValueError as error:
            return str(error)
        return ""

    def take(self, number: int | None) -> int:
        """Set the flag."""
        name = self._flag_name(number)
        self._flags[name] = self._value(number)
        return list(self._flags).index(name)

    def drop(self, number: int) -> None:
        """Clear the flag."""
        del self._flags[self._name_at(number)]

    def note(self) -> Content:
        """Return what saving would do, with a warning about an incomplete layer."""
        changes = self._changes
        parts = [f"{verb} {', '.join(map(safe, names))}" for verb, names in _verbs(changes) if names]
        note = Content(f"Saving {' and '.join(parts)}." if parts else "")
        if self._flags.get(INCOMPLETE_FLAG) is not True:
            return note
        warning = Content.styled(f"! {_INCOMPLETE_WARNING}", "$text-warning")
        return Content("\n").join([warning, note]) if note else warning

    @property
    def edited(self) -> bool:
        """Whether the flags have changed."""
        changes = self._changes
        return bool(changes.set or changes.clear)

    def save(self) -> None:
        """Close with the changes, after a confirmation if the layer becomes incomplete."""
        self._close_with(self._changes)

    @work
    async def _close_with(self, changes: FlagChanges) -> None:
        if changes.set.get(INCOMPLETE_FLAG) is True and not await self.app.push_screen_wait(self._question()):
            return
        self.dismiss(changes if changes.set or changes.clear else None)

    def _question(self) -> ConfirmDialog:
        title = f"Mark {short_id(self._layer.id)} as incomplete?"
        return ConfirmDialog(title, _INCOMPLETE_WARNING, confirm_label="Mark it", danger=True)


def _verbs(changes: FlagChanges) -> tuple[tuple[str, Iterable[str]], ...]:
    return (("sets", changes.set), ("clears", changes.clear))
