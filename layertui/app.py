"""The app: opens the store in a thread, then shows it."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from rich.console import RenderableType
from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from layertui.collector import Collector
from layertui.jobs.opening import DriverChoice, drivers_job
from layertui.jobs.runner import JobRunner
from layertui.keys.actions import APP_BINDINGS
from layertui.keys.keynames import use_keymap, with_keys
from layertui.keys.typed_ahead import KeyQueue, Typed
from layertui.limits import Limits
from layertui.screens.opening import OpeningScreen
from layertui.session import Session, StoreState
from layertui.settings import Settings
from layertui.text.safe import safe
from layertui.theme import THEMES, usual_theme
from layertui.widgets.text import typable

if TYPE_CHECKING:
    from layerstore.store import LayerStore
    from layertui.jobs.opening import DriversFound, OpenStore, StoreOpened
    from layertui.screens.main.screen import LayersScreen

_COLLECT_AFTER = 0.5  # seconds from the first picture of a store on
_COLLECT_ANYHOW = 10.0  # when none could be opened
_LOOK_FOR_TERMINAL = 5.0
_NOTICE_SECONDS = 30.0
_SWITCH = 0.0002  # seconds that a thread which works keeps a key press waiting, each time that one has to wait
_HUNG_UP = 129  # what a shell says of a program that SIGHUP has ended


def _now() -> datetime:
    return datetime.now(UTC)


class LayertuiApp(App[None]):
    """Browses one store. `open_store` is called in a thread, so that there is something to see at once.

    `choice` is for a root that may have the stores of several drivers: then the user is asked, and can change his mind.
    """

    TITLE = "layertui"
    CSS_PATH = "app.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]  # noqa: RUF012 - Textual types it so
    BINDINGS: ClassVar[list[BindingType]] = [*APP_BINDINGS]

    def __init__(
        self,
        open_store: OpenStore,
        *,
        choice: DriverChoice | None = None,
        clock: Callable[[], datetime] = _now,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        session: Session | None = None,
        footing: Limits | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._session = session
        self._footing = footing
        self._browser: LayersScreen | None = None
        self.jobs = JobRunner()
        self.keys = KeyQueue(self, self._deliver)
        self._open_store = open_store
        self._choice = choice
        self._clock = clock
        self._styled_for = ""
        self._collector = Collector()

    def get_default_screen(self) -> Screen[object]:
        """Take keys and theme: with the first screen the styles are read, and with another theme all once more."""
        use_keymap(self._settings.keymap)
        self._take_theme()
        self.stylesheet.set_variables(self.get_css_variables())
        return super().get_default_screen()

    def refresh_css(self, animate: bool = True) -> None:
        """Read the styles anew, unless it is for the theme that they were read with at first."""
        if self.theme != self._styled_for:
            self._styled_for = ""
            super().refresh_css(animate=animate)

    def post_display_hook(self) -> None:
        """Let the collector work when it is due."""
        self._collector.drawn()

    def on_mount(self) -> None:
        """Open the store."""
        self.set_keymap(dict(self._settings.keymap))
        choice = self._choice
        if choice is not None:
            choice = replace(choice, open=partial(self._open_driver, choice)) if choice.ask else None
        self.push_screen(OpeningScreen(self._open, self.jobs, choice, self._clock, graph_root=self._graph_root))
        if not self.is_headless:
            self.set_interval(_LOOK_FOR_TERMINAL, self._leave_without_terminal)
            self.set_timer(_COLLECT_ANYHOW, gc.enable)
            sys.setswitchinterval(_SWITCH)
            if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)

    @property
    def _graph_root(self) -> str:
        return self._choice.graph_root if self._choice is not None else ""

    def _take_theme(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        if self.no_color:
            for name in [name for name, theme in self.available_themes.items() if theme.ansi]:
                self.unregister_theme(name)  # without colours their text is not to be seen
        wanted = self._settings.theme
        if self._session is not None:
            wanted = self._session.theme(wanted)
        if wanted not in self.available_themes:
            wanted = usual_theme("" if self.is_headless else self.console.color_system)
        self.theme = self._first_theme = self._styled_for = wanted

    def _open(self) -> LayerStore:
        """Open the store, and load the code of the browser meanwhile: the first frame does not wait for it."""
        import_module("layertui.screens.main.screen")
        return self._open_store()

    @staticmethod
    def _open_driver(choice: DriverChoice, driver: str) -> LayerStore:
        import_module("layertui.screens.main.screen")
        return choice.open(driver)

    def on_store_opened(self, event: StoreOpened) -> None:
        """Show the store."""
        from layertui.screens.main.screen import LayersScreen  # noqa: PLC0415 - loaded by `_open`

        info = event.listing.view.info
        past = self._session.store(info.graph_root, info.driver) if self._session is not None else StoreState()
        self._browser = LayersScreen(
            event.store, event.listing, self.jobs, self._clock, settings=self._settings, past=past
        )
        if self._footing is not None:
            self._browser.mount_note = with_keys(self._footing.mount_note)
            self._browser.why_read_only = self._footing.read_only_reason(info.driver)
        self.switch_screen(self._browser)
        self.show_notice()
        if not self.is_headless:
            self.set_timer(_COLLECT_AFTER, self._collector.begin)

    def show_notice(self) -> None:
        """Say what does not go as usual for this user and why, if something does."""
        title, text = self._notice()
        if text:
            self.notify(safe(text), title=title, severity="warning", markup=False, timeout=_NOTICE_SECONDS)

    def _notice(self) -> tuple[str, str]:
        if self._footing is None or self._browser is None:
            return "", ""
        return self._footing.notice(self._browser.view.info.driver)

    def _leave_without_terminal(self) -> None:
        """End when the terminal has gone and the signal that says so did not reach us, as behind `su`.

        Textual would first wait for its last writes to arrive, which they never do; what matters is the store.
        """
        if _terminal_gone():
            self._hang_up()

    def _hang_up(self) -> None:
        """End as a lost connection ends programs, but let a write end first and remember the session."""
        self.jobs.close()
        self._keep_session()
        if self._session is not None:
            with suppress(OSError):
                self._session.save()
        if self._footing is not None:
            self._footing.leave()
        os._exit(_HUNG_UP)

    def _keep_session(self) -> None:
        """Note how the store is being looked at, and the theme if another one was chosen."""
        if self._session is None:
            return
        if self.theme != self._first_theme:
            self._session.keep_theme(self.theme, self._settings.theme)
        if self._browser is not None:
            info = self._browser.view.info
            self._session.keep_store(info.graph_root, info.driver, self._browser.state)

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Save a picture in the folder of downloads, or where there is none, as on a server, at home."""
        from platformdirs import user_downloads_path  # noqa: PLC0415 - late, as the screens that need it

        if path is None and not user_downloads_path().is_dir():
            path = os.path.expanduser("~")
        return super().deliver_screenshot(filename, path, time_format)

    async def on_event(self, event: events.Event) -> None:
        """Take what is typed one by one, each where the one before it has led to."""
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            await self.keys.take(event)
        else:
            await super().on_event(event)

    def forget_typed(self) -> None:
        """Drop what was typed while a store was being opened: it does not come."""
        self.keys.forget()

    async def _deliver(self, event: Typed) -> None:
        """Let every field, of the palette and the file picker too, take of what is pasted only what may be shown."""
        if isinstance(event, events.Paste):
            from textual.widgets import Input  # noqa: PLC0415 - late: starting up does not wait for it

            if isinstance(self.focused, Input):
                event.text = typable(event.text)
        await super().on_event(event)

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Note how things are left, and leave."""
        self.keys.close()
        self._keep_session()
        super().exit(result, return_code, message)

    def on_unmount(self) -> None:
        """Ask everything that runs to stop, and wait a moment for a write."""
        self.jobs.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield what the palette offers on every screen, without Textual's own list of keys: there is a help."""
        for command in super().get_system_commands(screen):
            if command.title not in ("Keys", "Maximize", "Minimize"):
                yield command
        title, _ = self._notice()
        if title:
            yield SystemCommand(f"{title}: why", "Show what does not go as usual for this user", self.show_notice)
        if self._choice is not None:
            yield SystemCommand("Other driver", "Open the store of another driver in this root", self.find_drivers)

    def action_find_drivers(self) -> None:
        """Do so where there may be another one."""
        if self._choice is not None:
            self.find_drivers()
        else:
            self.notify("This store was opened as the only one of its root", severity="warning", markup=False)

    def action_show_notice(self) -> None:
        """Say it again, or that there is nothing to say."""
        if self._notice()[1]:
            self.show_notice()
        else:
            self.notify("Everything goes as usual for this user", markup=False)

    def find_drivers(self) -> None:
        """Look which stores there are in this root, to choose another one."""
        if self._choice is not None:
            self.jobs.submit(drivers_job(self._choice.graph_root), self.screen)

    def on_drivers_found(self, event: DriversFound) -> None:
        """Ask which store to open in place of the one that is shown; nothing that runs may be lost by it."""
        from layerstore.config.detect import preferred  # noqa: PLC0415 - late, as the screens that need it
        from layertui.dialogs.drivers import DriverDialog  # noqa: PLC0415 - late, as the screens that need it

        choice = self._choice
        assert choice is not None
        if any(not job.quiet for job in self.jobs.jobs):
            self.notify("Wait for the jobs that run, or cancel them", severity="warning", markup=False)
            return

        def chosen(driver: str | None) -> None:
            if driver is not None:
                self._keep_session()
                self._browser = None
                self.switch_screen(OpeningScreen(lambda: choice.open(driver), self.jobs, graph_root=choice.graph_root))

        dialog = DriverDialog(choice.graph_root, event.stores, preferred(event.stores, choice.named), self._clock())
        self.push_screen(dialog, chosen)

    def action_help(self) -> None:
        """Show all keys."""
        from layertui.dialogs.help import HelpScreen  # noqa: PLC0415
        from layertui.keys.guide import filter_words, help_sections, legend  # noqa: PLC0415 - late, as the screens that need it

        keys = help_sections(self.get_key_display, self._settings.keymap)
        self.push_screen(HelpScreen([*keys, filter_words()], legend()))

    async def action_quit(self) -> None:
        """Leave; ask first while something is being written."""
        running = [job for job in self.jobs.jobs if not job.quiet]
        edited = any(getattr(screen, "edited", False) for screen in self.screen_stack)
        if not running and not edited:
            self.exit()
            return

        from layertui.dialogs.confirm import ConfirmDialog  # noqa: PLC0415
        from layertui.text.format import plural  # noqa: PLC0415

        def leave(sure: bool | None) -> None:
            if sure:
                self.exit()

        questions = ["What was edited here is not saved yet, and would be lost."] if edited else []
        if running:
            titles = "\n".join(job.title for job in running)
            jobs = plural(len(running), "job")
            questions.append(f"{jobs} would be cancelled, and the store left as it was before:\n\n{titles}")
        question = "\n\n".join(questions)
        self.push_screen(ConfirmDialog("Quit", question, confirm_label="Quit", danger=True), leave)


def _terminal_gone() -> bool:
    """Tell whether the other side of standard input has hung up."""
    poll = select.poll()
    poll.register(0, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
