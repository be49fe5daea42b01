"""The app: opens the store in a thread, then shows it."""

from __future__ import annotations

import gc
import os
import select
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from layerstore.store import LayerStore
from layertui import messages
from layertui.format import plural
from layertui.jobs import JobRunner
from layertui.keys import APP_BINDINGS
from layertui.operations import OpenStore
from layertui.screens.opening import OpeningScreen
from layertui.theme import THEMES

_FREEZE_AFTER = 0.5
_LOOK_FOR_TERMINAL = 5.0
_HUNG_UP = 129  # what a shell says of a program that SIGHUP has ended


def _now() -> datetime:
    return datetime.now(UTC)


class LayertuiApp(App[None]):
    """Browses one store. `open_store` is called in a thread, so that there is something to see at once."""

    TITLE = "layertui"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*APP_BINDINGS]

    def __init__(self, open_store: OpenStore, *, clock: Callable[[], datetime] = _now) -> None:
        super().__init__()
        self.jobs = JobRunner()
        self._open_store = open_store
        self._clock = clock

    def on_mount(self) -> None:
        """Take the theme and open the store."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.push_screen(OpeningScreen(self._open, self.jobs))
        if not self.is_headless:
            self.set_interval(_LOOK_FOR_TERMINAL, self._leave_without_terminal)

    def _open(self) -> LayerStore:
        """Open the store, and load the code of the browser meanwhile: the first frame does not wait for it."""
        import_module("layertui.screens.layers")
        return self._open_store()

    def on_store_opened(self, event: messages.StoreOpened) -> None:
        """Show the store."""
        from layertui.screens.layers import LayersScreen  # noqa: PLC0415 - loaded by `_open`

        self.switch_screen(LayersScreen(event.store, event.listing, self.jobs, self._clock))
        if not self.is_headless:
            self.set_timer(_FREEZE_AFTER, _freeze)

    def _leave_without_terminal(self) -> None:
        """End when the terminal has gone and the signal that says so did not reach us, as behind `su`.

        Textual would first wait for its last writes to arrive, which they never do; what matters is the store.
        """
        if _terminal_gone():
            self.jobs.close()
            os._exit(_HUNG_UP)

    def on_unmount(self) -> None:
        """Ask everything that runs to stop, and wait a moment for a write."""
        self.jobs.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield what the palette offers on every screen, without Textual's own list of keys: there is a help."""
        for command in super().get_system_commands(screen):
            if command.title not in ("Keys", "Maximize", "Minimize"):
                yield command

    def action_help(self) -> None:
        """Show all keys."""
        from layertui.guide import help_sections, legend  # noqa: PLC0415 - late, as the screens that need it
        from layertui.screens.help import HelpScreen  # noqa: PLC0415

        self.push_screen(HelpScreen(help_sections(self.get_key_display), legend()))

    async def action_quit(self) -> None:
        """Leave; ask first while something is being written."""
        running = [job for job in self.jobs.jobs if not job.quiet]
        if not running:
            self.exit()
            return

        from layertui.screens.confirm import ConfirmDialog  # noqa: PLC0415

        def leave(sure: bool | None) -> None:
            if sure:
                self.exit()

        titles = "\n".join(job.title for job in running)
        question = f"{plural(len(running), 'job')} would be cancelled, and the store left as it was before:\n\n{titles}"
        self.push_screen(ConfirmDialog("Quit", question, confirm_label="Quit", danger=True), leave)


def _terminal_gone() -> bool:
    """Tell whether the other side of standard input has hung up."""
    poll = select.poll()
    poll.register(0, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _freeze() -> None:
    """Take what is there by now out of the garbage collector's sight: it is here to stay, and large."""
    gc.collect()
    gc.freeze()
