"""Type-ahead: each key waits until whatever the key before it opens is there.

Textual itself sends keys to the old focus until the action of an earlier key has run. If `/web` arrives in one go, the
list would treat `w`, `e` and `b` as commands.
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

_POLL = 0.02  # seconds between two checks of whether the screen accepts keys again
_LOST = 3.0  # seconds after which an unfinished key stops delaying others

Typed = events.Key | events.Paste


class WholeScreen(Screen[ScreenResultType], Generic[ScreenResultType]):
    """A screen whose `Mount` and `Resize` handlers can rely on the widgets that it composes.

    Textual mounts no widgets if the screen is closed, or the program ends, while the screen is being composed. It still
    sends both events.
    """

    @property
    def going(self) -> bool:
        """Whether the screen is being closed, or the program is ending."""
        return not (self.display and self.is_attached)  # `display` is False while a widget is being removed

    async def on_event(self, event: events.Event) -> None:
        """Handle an event, except those two while the screen is being closed."""
        if not (self.going and isinstance(event, (events.Mount, events.Resize))):
            await super().on_event(event)


class TypedScreen(WholeScreen[None]):
    """A screen that can delay keys until it is ready for them."""

    def holds(self, key: str, *, behind: bool) -> bool:
        """Return whether a key, or pasted text (""), must wait. `behind` is True if earlier keys wait already."""
        del key, behind
        return False


class KeyQueue:
    """Delivers keys and pasted text to the app one by one. All of it runs in the message loop of the app.

    Textual passes a key from the widget in focus up to the app, which runs the action. A callback follows the key
    through the same queues. When it arrives, the focus has moved and any new screen is composed.
    """

    def __init__(self, app: App[None], deliver: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: deque[Typed] = deque()
        self._under_way: Typed | None = None
        self._since = 0.0
        self._polling = False
        self._closed = False

    def forget(self) -> None:
        """Drop all waiting keys, because the screen that they were meant for will not open."""
        self._waiting.clear()

    def close(self) -> None:
        """Stop accepting keys, because the program is ending."""
        self._closed = True
        self.forget()

    async def take(self, event: Typed) -> None:
        """Deliver a key or pasted text, now or after those that wait."""
        if self._closed:
            return
        if self._passes_all(event):
            self.forget()  # the key ends what they were meant for
            await self._deliver(event)
            return
        self._waiting.append(event)
        await self._next()

    def _passes_all(self, event: Typed) -> bool:
        """Return whether a key overtakes those that the screen delays, because it ends what they wait for."""
        return self._held and not self._screen_holds(event, behind=True)

    @property
    def _held(self) -> bool:
        """Whether the screen still delays the first waiting key."""
        return bool(self._waiting) and self._screen_holds(self._waiting[0], behind=False)

    def _screen_holds(self, event: Typed, *, behind: bool) -> bool:
        screen = self._app.screen
        key = event.key if isinstance(event, events.Key) else ""
        return isinstance(screen, TypedScreen) and screen.holds(key, behind=behind)

    async def _next(self) -> None:
        """Deliver the first waiting key, unless an earlier one is in progress or the screen is not ready."""
        if self._under_way is not None and monotonic() - self._since < _LOST:
            return
        if not self._waiting:
            return
        if self._held:
            if not self._polling:
                self._polling = True
                self._app.set_timer(_POLL, self._poll)
            return
        event = self._under_way = self._waiting.popleft()
        self._since = monotonic()
        screen, node = self._app.screen, self._app.focused or self._app.screen
        await self._deliver(event)
        self._follow(event, node if event.is_forwarded else self._app, screen)

    async def _poll(self) -> None:
        self._polling = False
        if self._held:
            self._drop_before_exit()
        await self._next()

    def _drop_before_exit(self) -> None:
        """Drop the keys before one that may now end what they wait for, unless that one may be a letter of a text."""
        for number, event in enumerate(self._waiting):
            letter = not isinstance(event, events.Key) or event.is_printable
            if not letter and not self._screen_holds(event, behind=True):
                for _ in range(number):
                    self._waiting.popleft()
                return

    def _follow(self, event: Typed, node: DOMNode, screen: Screen[object]) -> None:
        """Follow a key from the widget that received it up to the app."""

        def behind() -> None:
            if node.parent is None:
                self._acted(event, screen)
            else:
                self._follow(event, node.parent, screen)

        if not node.call_later(behind):  # the widget is being removed
            self._acted(event, screen)

    def _acted(self, event: Typed, screen: Screen[object]) -> None:
        """Wait for what the action queued: `Widget.focus` calls the app, and a new screen composes in its own loop."""
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
