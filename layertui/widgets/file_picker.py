"""A file picker that shows nothing a terminal would obey. Import it late: it takes as long as half of the browser."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.visual import VisualType
from textual_fspicker import FileOpen, FileSave
from textual_fspicker.parts import CurrentDirectory, DirectoryNavigation

from layertui.text.safe import safe


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
