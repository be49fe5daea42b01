"""What is typed, in the order it was typed: a key waits until all that the key before it opens is there.

Textual gives the next keys to the old focus as long as an action that opens something has not run. Of `/web`, written
in one go, `w`, `e` and `b` would be commands to the list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Generic

from textual import events
from textual.dom import DOMNode
from textual.screen import Screen, ScreenResultType

if TYPE_CHECKING:
    from textual.app import App

_LOOK = 0.02  # seconds between two looks whether a screen takes keys again
_LOST = 3.0  # seconds after which a key that never came back no longer keeps others waiting

Typed = events.Key | events.Paste


class WholeScreen(Screen[ScreenResultType], Generic[ScreenResultType]):
    """A screen whose handlers can rely on everything that it composes.

    If a screen is closed, or the program ends, while the screen is still being composed, Textual mounts nothing more
    but sends `Mount` and `Resize` all the same.
    """

    @property
    def going(self) -> bool:
        """Whether the screen is being closed, or the program ends."""
        return not (self.display and self.is_attached)  # `display` is False while a widget is being removed

    async def on_event(self, event: events.Event) -> None:
        """Handle an event, except those two while the screen is going."""
        if not (self.going and isinstance(event, (events.Mount, events.Resize))):
            await super().on_event(event)


class TypedScreen(WholeScreen[None]):
    """A screen that may let keys wait until it is ready for them."""

    def holds(self, key: str, *, behind: bool) -> bool:
        """Tell whether a key must wait; "" is pasted text. `behind` is True when others wait already."""
        del key, behind
        return False


class KeyQueue:
    """Hands keys and pasted text to the app one by one. Everything in it runs in the app's own loop of messages.

    A key goes the way that Textual sends it: from the widget in focus up to the app, which runs the action. A callback
    follows it through the same queues; behind it the focus has moved and a new screen is composed.
    """

    def __init__(self, app: App[None], deliver: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: deque[Typed] = deque()
        self._under_way: Typed | None = None
        self._since = 0.0
        self._looking = False
        self._closed = False

    def forget(self) -> None:
        """Drop what waits: it was meant for a screen that does not come."""
        self._waiting.clear()

    def close(self) -> None:
        """Take nothing more: the screens are going."""
        self._closed = True
        self.forget()

    async def take(self, event: Typed) -> None:
        """Deliver what was typed, now or in its turn."""
        if self._closed:
            return
        if self._passes_all(event):
            self.forget()  # it ends what they were meant for
            await self._deliver(event)
            return
        self._waiting.append(event)
        await self._next()

    def _passes_all(self, event: Typed) -> bool:
        """Tell whether a key overtakes those that a screen holds, as one that ends what they wait for may."""
        return self._held and not self._screen_holds(event, behind=True)

    @property
    def _held(self) -> bool:
        """Whether the screen lets the first that waits wait on."""
        return bool(self._waiting) and self._screen_holds(self._waiting[0], behind=False)

    def _screen_holds(self, event: Typed, *, behind: bool) -> bool:
        screen = self._app.screen
        key = event.key if isinstance(event, events.Key) else ""
        return isinstance(screen, TypedScreen) and screen.holds(key, behind=behind)

    async def _next(self) -> None:
        """Deliver the first that waits, unless the one before it is under way or the screen is not ready."""
        if self._under_way is not None and monotonic() - self._since < _LOST:
            return
        if not self._waiting:
            return
        if self._held:
            if not self._looking:
                self._looking = True
                self._app.set_timer(_LOOK, self._look)
            return
        event = self._under_way = self._waiting.popleft()
        self._since = monotonic()
        screen, node = self._app.screen, self._app.focused or self._app.screen
        await self._deliver(event)
        self._follow(event, node if event.is_forwarded else self._app, screen)

    async def _look(self) -> None:
        self._looking = False
        if self._held:
            self._drop_before_way_out()
        await self._next()

    def _drop_before_way_out(self) -> None:
        """Let a key come first that now ends what the others wait for; not one that may be a letter of a text."""
        for number, event in enumerate(self._waiting):
            letter = not isinstance(event, events.Key) or event.is_printable
            if not letter and not self._screen_holds(event, behind=True):
                for _ in range(number):
                    self._waiting.popleft()
                return

    def _follow(self, event: Typed, node: DOMNode, screen: Screen[object]) -> None:
        """Go behind a key, from the widget that got it up to the app."""

        def behind() -> None:
            if node.parent is None:
                self._acted(event, screen)
            else:
                self._follow(event, node.parent, screen)

        if not node.call_later(behind):  # the widget is going
            self._acted(event, screen)

    def _acted(self, event: Typed, screen: Screen[object]) -> None:
        """Wait for what the action left to do: `Widget.focus` asks the app, a new screen composes in its own loop."""
        app = self._app

        def settle() -> None:
            top = app.screen
            if top is screen or not top.call_after_refresh(app.call_later, self._done, event):
                app.call_later(self._done, event)

        app.call_later(settle)

    async def _done(self, event: Typed) -> None:
        if self._under_way is event:
            self._under_way = None
            await self._next()
