"""Screens that may be left at any moment."""

from __future__ import annotations

from typing import Generic

from textual import events
from textual.screen import Screen, ScreenResultType


class WholeScreen(Screen[ScreenResultType], Generic[ScreenResultType]):
    """A screen whose handlers find all that it is composed of.

    When a screen is closed, or the program left, while it is still being composed, Textual mounts nothing more, and
    sends `Mount` and `Resize` all the same.
    """

    @property
    def going(self) -> bool:
        """Whether the screen is being closed, or the program left."""
        return not (self.display and self.is_attached)  # `display` is False while a widget is being removed

    async def on_event(self, event: events.Event) -> None:
        """Take an event, but for those two when the screen is going."""
        if not (self.going and isinstance(event, (events.Mount, events.Resize))):
            await super().on_event(event)
