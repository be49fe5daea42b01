"""File pickers that show no control characters. Import this late: it takes half as long as the rest of the browser."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.visual import VisualType
from textual_fspicker import FileOpen, FileSave
from textual_fspicker.parts import CurrentDirectory, DirectoryNavigation

from layertui.text.safe import safe


class SafeNavigation(DirectoryNavigation):
    """The list of a file picker, without names that contain control characters."""

    def hide(self, path: Path) -> bool:
        """Return whether to hide a path: also if its name contains control characters."""
        return super().hide(path) or safe(path.name) != path.name


class SafeCurrentDirectory(CurrentDirectory):
    """The current folder of a file picker, escaped and without markup."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show the escaped path."""
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
    """Yield the widgets of a picker, with the two above replaced."""
    for widget in widgets:
        if isinstance(widget, DirectoryNavigation):
            yield SafeNavigation(folder)
        elif isinstance(widget, CurrentDirectory):
            yield SafeCurrentDirectory()
        else:
            yield widget


class SafeSave(FileSave):
    """A picker for a file to write."""

    DEFAULT_CSS = _PICKER_CSS.replace("PICKER", "SafeSave")

    def __init__(self, folder: Path, title: str, *, file_name: str) -> None:
        super().__init__(folder, title, save_button="Choose", default_file=file_name)
        self._start = folder

    def compose(self) -> ComposeResult:
        """Yield the safe widgets."""
        yield from _safe_parts(super().compose(), self._start)


class SafeOpen(FileOpen):
    """A picker for a file to read."""

    DEFAULT_CSS = _PICKER_CSS.replace("PICKER", "SafeOpen")

    def __init__(self, folder: Path, title: str) -> None:
        super().__init__(folder, title, open_button="Choose")
        self._start = folder

    def compose(self) -> ComposeResult:
        """Yield the safe widgets."""
        yield from _safe_parts(super().compose(), self._start)
