"""The private names of Textual that the browser uses.

Each function says why no public name will do. A test fails when one of the names disappears from Textual.
"""

from __future__ import annotations

from rich.text import Text
from textual.app import App, ReturnType
from textual.command import CommandPalette
from textual.css.query import NoMatches
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.worker import WorkerFailed


def update_scrollbars(view: ScrollView, virtual_size: Size) -> None:
    """Update the scroll bars of a view after its virtual size has changed, and lay it out if one appears or disappears.

    The public way is to assign to `virtual_size`, which always lays out the whole screen.
    """
    view._scroll_update(virtual_size)  # noqa: SLF001


class CrashingApp(App[ReturnType]):
    """An app that chooses the text left on the terminal after an unexpected error.

    Textual prints a traceback with the values of all variables, and has no public hook for it.
    """

    def crashed(self, error: Exception) -> str:
        """Record the error, and return what the terminal shows."""
        raise NotImplementedError

    def _handle_exception(self, error: Exception) -> None:
        if self._palette_was_closed(error):
            return
        self._last_words = self.crashed(error)
        super()._handle_exception(error)

    def _palette_was_closed(self, error: Exception) -> bool:
        """Return whether a worker of the palette failed because the palette was closed before the worker started.

        That happens when its text and Enter arrive at once. Textual would end the program.
        """
        return (
            isinstance(error, WorkerFailed)
            and isinstance(error.error, NoMatches)
            and "CommandPalette" in str(error.error)
            and not any(isinstance(screen, CommandPalette) for screen in self.screen_stack[-1:])
        )

    def _fatal_error(self) -> None:
        self.panic(Text(self._last_words))
