"""A field for a path with completion, a file picker, and a description of the file at the path."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.suggester import Suggester, SuggestionReady
from textual.widgets import Button, Input, Static

from layertui.text.format import size_text
from layertui.text.safe import safe
from layertui.widgets.inputs import Field, SafeInput
from layertui.widgets.path_suggestions import Patient, Target, TargetState, complete, expand

LOOK_DELAY = 0.1
"""Seconds without a key before the typed path is looked up."""


class PathSuggester(Suggester):
    """Suggests completions from the folders on disk. Only the latest text is looked up."""

    def __init__(self, base: Path, patient: Patient) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._base = base
        self._patient = patient
        self._latest = ""

    async def get_suggestion(self, value: str) -> str | None:
        """Return the completed path."""
        self._latest = value
        return await self._patient(self._look, value)

    def _look(self, value: str) -> str | None:
        return complete(value, self._base) if value == self._latest else None


class PathInput(SafeInput):
    """An input for a path. Tab accepts the completion, or moves to the next field if there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Accept the completion that is shown dimmed", id="path.tab"),
    ]

    def __init__(self, value: str, base: Path, patient: Patient, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, "Path", id=id)
        self.suggester = PathSuggester(base, patient)
        self._offer = ""

    def on_suggestion_ready(self, event: SuggestionReady) -> None:
        """Remember the completion that is shown dimmed."""
        self._offer = event.suggestion if event.value == self.value else ""

    def action_complete(self) -> None:
        """Accept the completion, or move to the next field."""
        if self.cursor_at_end and len(self._offer) > len(self.value) and self._offer.startswith(self.value):
            self.put(self._offer)
        else:
            self.screen.focus_next()


class Found(Protocol):
    """What is at a path."""

    @property
    def problem(self) -> str:
        """Why the path cannot be used, "" if it can."""
        ...


FoundT = TypeVar("FoundT", bound=Found)


class PathField(Vertical, Generic[FoundT]):
    """Two rows of a form: the path, and a description of what is there.

    `look` returns what is at a typed path. It is called in a thread when the user stops typing and may block on the
    file system. `describe` returns the description. `picker` is the title of the file picker, which also accepts new
    files if `writes` is set.
    """

    DEFAULT_CSS = """
    PathField {
        height: auto;
        margin-bottom: 1;
        #found { width: 1fr; height: auto; max-height: 3; color: $text-muted; }
    }
    """

    @dataclass
    class Looked(Message):
        """The path was looked up."""

        found: Any

    def __init__(
        self,
        title: str,
        base: Path,
        suggested: str = "",
        *,
        look: Callable[[str], FoundT],
        describe: Callable[[FoundT], Content],
        picker: str,
        writes: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._base = base
        self._suggested = suggested
        self._look = look
        self._describe = describe
        self._picker = picker
        self._writes = writes
        self._patient = Patient()

    def compose(self) -> ComposeResult:
        """Yield the input and the description."""
        yield Field(self._title, PathInput(self._suggested, self._base, self._patient, id="path"))
        yield Field("", Static("Looking…" if self._suggested else "", id="found", markup=False))

    @property
    def text(self) -> str:
        """The typed path."""
        return self.query_one(PathInput).value

    def suggest(self, path: str) -> None:
        """Replace the previous suggestion.

        A path that the user has edited is kept and looked up again.
        """
        before, self._suggested = self._suggested, path
        if self.text == before:
            self.query_one(PathInput).put(path)
        else:
            self._look_soon()

    # Looking up the path

    @on(Input.Changed, "#path")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._look_soon()

    @work(exclusive=True, group="look")
    async def _look_soon(self) -> None:
        await asyncio.sleep(LOOK_DELAY)
        with suppress(NoMatches):  # the dialog has closed
            await self._look_now()

    async def _look_now(self) -> FoundT:
        """Look up the path, describe what is there, and post `Looked`."""
        found = await self._patient(self._look, self.text)
        self.query_one("#found", Static).update(self._describe(found))
        self.post_message(self.Looked(found))
        return found

    async def usable(self) -> FoundT | None:
        """Look up the path again and return the result, or None if it cannot be used or the dialog has closed."""
        with suppress(NoMatches):  # the dialog has closed
            found = await self._look_now()
            if not found.problem:
                return found if self.screen.is_current else None
            self.query_one(PathInput).focus()
        return None

    # The file picker

    @work(exclusive=True, group="browse")
    async def browse(self) -> None:
        """Open the file picker in the folder of the path."""
        head, name = os.path.split(self.text)
        folder = await self._patient(_folder, head, self._base)

        from layertui.widgets import file_picker  # noqa: PLC0415 - slow to import

        picker: Screen[Path | None] = (
            file_picker.SafeSave(folder, self._picker, file_name=name)
            if self._writes
            else file_picker.SafeOpen(folder, self._picker)
        )
        self.app.push_screen(picker, self._browsed)

    def _browsed(self, path: Path | None) -> None:
        if path is not None:
            self.query_one(PathInput).put(str(path))
            self.query_one(PathInput).focus()


def _folder(text: str, base: Path) -> Path:
    """Return the first existing folder that can be displayed: the typed one, `base`, or the home folder."""
    folders = (expand(text, base), base)
    shown = (folder for folder in folders if safe(str(folder)) == str(folder) and os.path.isdir(folder))
    return next(shown, expand("~", base))


def verdict(target: Target, *, new: str, exists: str, doubt: str = "") -> Content:
    """Return the description of a target with the free space there.

    `new`, `exists` and `doubt` are the dialog's texts for a new file, for an existing one, and for an odd name.
    """
    free = f" · {size_text(target.free)} free there" if target.free is not None else ""
    if target.problem:
        return Content.assemble((f"✗ {target.problem}", "$text-error"))
    if target.state is TargetState.EXISTS or doubt:
        return Content.assemble((f"! {exists if target.state is TargetState.EXISTS else doubt}", "$text-warning"), free)
    return Content.assemble((f"✓ {new}", "$text-success"), free)


def offer(button: Button, label: str, target: Target) -> None:
    """Update a button: `label`, "Overwrite…" if the target exists, or disabled if it cannot be used."""
    exists = target.state is TargetState.EXISTS
    button.label = "Overwrite…" if exists else label
    button.variant = "warning" if exists else "primary"
    button.disabled = bool(target.problem)
    button.refresh(layout=True)
