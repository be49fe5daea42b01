"""An input for a path that completes what is typed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester, SuggestionReady

from layertui.widgets.inputs import SafeInput
from layertui.widgets.path_suggestions import Patient, complete


class PathSuggester(Suggester):
    """Suggests how a path goes on, out of the folders on disk. Only the newest text is looked up."""

    def __init__(self, base: Path, patient: Patient) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._base = base
        self._patient = patient
        self._newest = ""

    async def get_suggestion(self, value: str) -> str | None:
        """Return the whole path that is suggested."""
        self._newest = value
        return await self._patient(self._look, value)

    def _look(self, value: str) -> str | None:
        return complete(value, self._base) if value == self._newest else None


class PathInput(SafeInput):
    """A field for a path; tab takes the completion and otherwise goes on, like in a shell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Take the rest of the path that is shown dimmed", id="path.tab"),
    ]

    def __init__(self, value: str, base: Path, patient: Patient, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, "Path of the file", id=id)
        self.suggester = PathSuggester(base, patient)
        self._offer = ""

    def on_suggestion_ready(self, event: SuggestionReady) -> None:
        """Remember what is shown dimmed."""
        self._offer = event.suggestion if event.value == self.value else ""

    def action_complete(self) -> None:
        """Take the completion; without one, go to the next field."""
        if self.cursor_at_end and len(self._offer) > len(self.value) and self._offer.startswith(self.value):
            self.put(self._offer)
        else:
            self.screen.focus_next()
