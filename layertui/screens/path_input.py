"""An input for a path that completes what is typed, and a file picker that shows nothing a terminal would obey."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.suggester import Suggester, SuggestionReady
from textual.visual import VisualType
from textual_fspicker import FileOpen, FileSave
from textual_fspicker.parts import CurrentDirectory, DirectoryNavigation

from layertui.paths_suggest import Patient, complete
from layertui.safe import safe
from layertui.screens.fields import SafeInput


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


class SafeNavigation(DirectoryNavigation):
    """The list of the file picker, without the names that could not be typed."""

    def hide(self, path: Path) -> bool:
        """Hide what a terminal would obey as well."""
        return super().hide(path) or safe(path.name) != path.name


class SafeCurrentDirectory(CurrentDirectory):
    """The folder that the file picker shows, which is no markup whatever it is called."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show the path written out."""
        super().update(Content(safe(str(content))), layout=layout)


_PICKER_CSS = """
PICKER Dialog {
    width: 90;
    max-width: 100%;
    background: $surface;
    border: round $primary;
    border-title-color: $primary;
    border-title-style: bold;
    border-title-background: $surface;
}
"""


def _safe_parts(widgets: ComposeResult, folder: Path) -> ComposeResult:
    """Put the safe widgets in the place of a picker's own."""
    for widget in widgets:
        if isinstance(widget, DirectoryNavigation):
            yield SafeNavigation(folder)
        elif isinstance(widget, CurrentDirectory):
            yield SafeCurrentDirectory()
        else:
            yield widget


class SafeSave(FileSave):
    """The picker of a file to be written, with lists that show nothing a terminal would obey."""

    DEFAULT_CSS = _PICKER_CSS.replace("PICKER", "SafeSave")

    def __init__(self, folder: Path, title: str, *, file_name: str) -> None:
        super().__init__(folder, title, save_button="Choose", default_file=file_name)
        self._start = folder

    def compose(self) -> ComposeResult:
        """Yield safe parts."""
        yield from _safe_parts(super().compose(), self._start)


class SafeOpen(FileOpen):
    """The picker of a file to be read, with lists that show nothing a terminal would obey."""

    DEFAULT_CSS = _PICKER_CSS.replace("PICKER", "SafeOpen")

    def __init__(self, folder: Path, title: str) -> None:
        super().__init__(folder, title, open_button="Choose")
        self._start = folder

    def compose(self) -> ComposeResult:
        """Yield safe parts."""
        yield from _safe_parts(super().compose(), self._start)
