"""The app: opens the store in a thread, shows it, and restores the terminal."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from rich.console import RenderableType
from textual import events
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

import layertui.screens.actions  # noqa: F401 - declares the actions, for key bar, sentences and help
from layertui.jobs.opening import DriverChoice, drivers_job
from layertui.jobs.runner import JobRunner
from layertui.keys.actions import APP_ACTIONS, bindings
from layertui.keys.keymap import use_keymap
from layertui.keys.sentences import with_keys
from layertui.keys.typed_ahead import KeyQueue, Typed
from layertui.limits import Limits
from layertui.log import log_file
from layertui.screens.opening import OpeningScreen
from layertui.session import Session, StoreState
from layertui.settings import Settings
from layertui.text.safe import safe
from layertui.theme import THEMES, usual_theme
from layertui.widgets.text import typable
from layertui.widgets.textual_private import CrashingApp

if TYPE_CHECKING:
    from textual.command import Provider

    from layerstore import DriverStore, LayerStore
    from layertui.jobs.opening import OpenedStore, OpenStore
    from layertui.screens.main.screen import LayersScreen

_log = logging.getLogger(__name__)

_COLLECT_AFTER = 0.5  # seconds after the first frame of a store
_COLLECT_ANYHOW = 10.0  # seconds, if no store could be opened
_POLL_TERMINAL = 5.0
_NOTICE_SECONDS = 30.0
_SWITCH = 0.0002  # seconds for which a busy thread may delay a key press, each time the GIL changes hands
_HUNG_UP = 129  # the exit status that a shell reports for a program ended by SIGHUP


def _now() -> datetime:
    return datetime.now(UTC)


def _commands() -> type[Provider]:
    from layertui.screens.main.palette import Commands  # noqa: PLC0415 - the first frame does not wait for it

    return Commands


_THRESHOLDS = (20_000, 10, 10)  # while nothing is drawn: more than a frame needs, for threads that allocate a lot
_DUE = (700, 4, 4)  # allocations and younger collections after which a generation is collected after a frame
_WRITTEN = 0.005  # seconds after which a frame has been sent to the terminal


class Collector:
    """Runs Python's garbage collector after a frame, never between a key press and its frame.

    The lines that Textual draws refer to themselves, so only the collector frees them. A page of them takes it a few
    milliseconds, and a full collection 20 to 50. `__main__` turns the collector off while the program starts.
    """

    def __init__(self) -> None:
        self._begun = self._planned = False

    def begin(self) -> None:
        """Exempt the objects that exist by now, which are many and stay, and turn the collector on."""
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
        self._begun = True

    def drawn(self) -> None:
        """Schedule a collection if one is due. Call this on the event loop after each frame."""
        if self._begun and not self._planned and gc.get_count()[0] >= _DUE[0]:
            self._planned = True
            asyncio.get_running_loop().call_later(_WRITTEN, self._collect)

    def _collect(self) -> None:
        self._planned = False
        _, middle, old = gc.get_count()
        gc.collect(2 if old >= _DUE[2] else 1 if middle >= _DUE[1] else 0)


class LayertuiApp(CrashingApp[None]):
    """Browses one store.

    `open_store` is called in a thread, so that there is something to see at once. `choice` is for a graph root that may
    hold stores of several drivers: the user is asked for one, and can open another one later.
    """

    TITLE = "layertui"
    going = False
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]  # noqa: RUF012 - typed so by Textual
    BINDINGS: ClassVar[list[BindingType]] = bindings(APP_ACTIONS)

    def __init__(
        self,
        open_store: OpenStore,
        *,
        choice: DriverChoice | None = None,
        clock: Callable[[], datetime] = _now,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        session: Session | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._session = session
        self._limits = limits
        self._browser: LayersScreen | None = None
        self.jobs = JobRunner()
        self.keys = KeyQueue(self, self._deliver)
        self._open_store = open_store
        self._choice = choice
        self._clock = clock
        self._styled_for = ""
        self._collector = Collector()

    def get_default_screen(self) -> Screen[object]:
        """Apply keys and theme before the first screen parses the styles: another theme would parse them again."""
        use_keymap(self._settings.keymap)
        self._take_theme()
        self.stylesheet.set_variables(self.get_css_variables())
        return super().get_default_screen()

    def refresh_css(self, animate: bool = True) -> None:
        """Parse the styles again, unless they were parsed for this theme."""
        if self.theme != self._styled_for:
            self._styled_for = ""
            super().refresh_css(animate=animate)

    def post_display_hook(self) -> None:
        """Run the garbage collector if it is due."""
        self._collector.drawn()

    def crashed(self, error: Exception) -> str:
        """Log an unexpected error, and return what the terminal shows."""
        _log.critical("the browser crashed", exc_info=error)
        log = log_file()
        where = f" The traceback is in {safe(str(log))}." if log is not None else ""
        what = safe(f"{type(error).__name__}: {error}")
        return f"layertui: unexpected error: {what}\nThis is a bug: please report it.{where}"

    def on_mount(self) -> None:
        """Open the store."""
        self.set_keymap(dict(self._settings.keymap))
        choice = self._choice
        if choice is not None:
            choice = replace(choice, open=partial(self._open_driver, choice)) if choice.ask else None
        self.push_screen(self._opening(self._open, choice))
        if not self.is_headless:
            self.set_interval(_POLL_TERMINAL, self._leave_without_terminal)
            self.set_timer(_COLLECT_ANYHOW, gc.enable)
            sys.setswitchinterval(_SWITCH)
            if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)

    def _opening(self, open_store: OpenStore, choice: DriverChoice | None = None) -> OpeningScreen:
        graph_root = self._choice.graph_root if self._choice is not None else ""
        return OpeningScreen(
            open_store,
            self.jobs,
            self._show_store,
            choice,
            self._clock,
            forget_typed=self.keys.forget,
            graph_root=graph_root,
        )

    def _take_theme(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        if self.no_color:
            for name in [name for name, theme in self.available_themes.items() if theme.ansi]:
                self.unregister_theme(name)  # without colours their text is invisible
        wanted = self._settings.theme
        if self._session is not None:
            wanted = self._session.theme(wanted)
        if wanted not in self.available_themes:
            wanted = usual_theme("" if self.is_headless else self.console.color_system)
        self.theme = self._first_theme = self._styled_for = wanted

    def _open(self) -> LayerStore:
        """Open the store, and import the main screen in this thread, so that the first frame does not wait for it."""
        import_module("layertui.screens.main.screen")
        return self._open_store()

    @staticmethod
    def _open_driver(choice: DriverChoice, driver: str) -> LayerStore:
        import_module("layertui.screens.main.screen")
        return choice.open(driver)

    def _show_store(self, opened: OpenedStore) -> None:
        from layertui.screens.main.screen import LayersScreen  # noqa: PLC0415 - loaded by `_open`

        info = opened.listing.view.info
        past = self._session.store(info.graph_root, info.driver) if self._session is not None else StoreState()
        self._browser = LayersScreen(
            opened.store, opened.listing, self.jobs, self._clock, settings=self._settings, past=past
        )
        if self._limits is not None:
            self._browser.browser.mount_note = with_keys(self._limits.mount_note)
            self._browser.browser.why_read_only = self._limits.read_only_reason(info.driver)
        self.switch_screen(self._browser)
        self.show_notice()
        if not self.is_headless:
            self.set_timer(_COLLECT_AFTER, self._collector.begin)

    def show_notice(self) -> None:
        """Show the limits for this user, if there are any."""
        title, text = self._notice()
        if text:
            self.notify(safe(text), title=title, severity="warning", markup=False, timeout=_NOTICE_SECONDS)

    def _notice(self) -> tuple[str, str]:
        if self._limits is None or self._browser is None:
            return "", ""
        return self._limits.notice(self._browser.view.info.driver)

    def _leave_without_terminal(self) -> None:
        """Exit if the terminal is gone and SIGHUP did not arrive, as behind `su`.

        Textual would wait for its last writes to be drained, which never happens.
        """
        if _terminal_gone():
            self._hang_up()

    def _hang_up(self) -> None:
        """Exit as after a lost connection, but let a write finish first, and save the session."""
        self.jobs.close()
        self._keep_session()
        if self._session is not None:
            with suppress(OSError):
                self._session.save()
        if self._limits is not None:
            self._limits.leave()
        os._exit(_HUNG_UP)

    def _keep_session(self) -> None:
        """Record the state of the view, and the theme if another one was chosen."""
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
        """Save a screenshot in the downloads folder, or in the home folder if there is none, as on a server."""
        from platformdirs import user_downloads_path  # noqa: PLC0415 - late, to keep startup fast

        if path is None and not user_downloads_path().is_dir():
            path = os.path.expanduser("~")
        return super().deliver_screenshot(filename, path, time_format)

    async def on_event(self, event: events.Event) -> None:
        """Queue keys and pasted text, so that each reaches what the key before it opened."""
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            await self.keys.take(event)
        else:
            await super().on_event(event)

    async def _deliver(self, event: Typed) -> None:
        """Deliver a key or pasted text, without control characters if it is pasted into a field."""
        if isinstance(event, events.Paste):
            from textual.widgets import Input  # noqa: PLC0415 - late, to keep startup fast

            if isinstance(self.focused, Input):
                event.text = typable(event.text)
        await super().on_event(event)

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Record the session, and exit."""
        self.keys.close()
        self._keep_session()
        super().exit(result, return_code, message)

    def on_unmount(self) -> None:
        """Ask all jobs to stop, and wait a moment for a write."""
        self.jobs.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the commands of every screen, without Textual's list of keys: the help has them all."""
        for command in super().get_system_commands(screen):
            if command.title not in ("Keys", "Maximize", "Minimize"):
                yield command
        title, _ = self._notice()
        if title:
            yield SystemCommand(f"{title}: why", "Show limits for this user", self.show_notice)
        if self._choice is not None:
            yield SystemCommand(
                "Other driver", "Open the store of another driver in this graph root", self.find_drivers
            )

    def action_find_drivers(self) -> None:
        """Find the stores of this graph root, if there can be more than one."""
        if self._choice is not None:
            self.find_drivers()
        else:
            self.notify("This store is the only one in its graph root", severity="warning", markup=False)

    def action_show_notice(self) -> None:
        """Show the limits for this user, or that there are none."""
        if self._notice()[1]:
            self.show_notice()
        else:
            self.notify("There are no limits for this user", markup=False)

    def find_drivers(self) -> None:
        """Find the stores in this graph root, to choose another one."""
        if self._choice is not None:
            self.jobs.submit(drivers_job(self._choice.graph_root), self, self.choose_driver)

    def choose_driver(self, stores: Sequence[DriverStore]) -> None:
        """Ask which store to open instead, or refuse while jobs run, because they would be lost."""
        from layerstore import preferred_driver as preferred  # noqa: PLC0415 - late, to keep startup fast
        from layertui.dialogs.drivers import DriverDialog  # noqa: PLC0415 - late, to keep startup fast

        choice = self._choice
        assert choice is not None
        if any(not job.quiet for job in self.jobs.jobs):
            self.notify("Wait for the running jobs, or cancel them", severity="warning", markup=False)
            return

        def chosen(driver: str | None) -> None:
            if driver is not None:
                self._keep_session()
                self._browser = None
                self.switch_screen(self._opening(lambda: choice.open(driver)))

        dialog = DriverDialog(choice.graph_root, stores, preferred(stores, choice.named), self._clock())
        self.push_screen(dialog, chosen)

    def action_help(self) -> None:
        """Show all keys."""
        from layertui.dialogs.help import HelpScreen  # noqa: PLC0415
        from layertui.keys.guide import filter_words, help_sections  # noqa: PLC0415 - late, to keep startup fast
        from layertui.screens.legend import legend  # noqa: PLC0415

        keys = help_sections(self.get_key_display, self._settings.keymap)
        self.push_screen(HelpScreen([*keys, filter_words()], legend()))

    async def action_quit(self) -> None:
        """Quit, after asking if a job runs or an edit is not saved."""
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

        questions = ["Your edits are not saved, and would be lost."] if edited else []
        if running:
            titles = "\n".join(job.title for job in running)
            jobs = plural(len(running), "job")
            questions.append(f"{jobs} would be cancelled, and the store would stay as it was before:\n\n{titles}")
        question = "\n\n".join(questions)
        self.push_screen(ConfirmDialog("Quit", question, confirm_label="Quit", danger=True), leave)


def _terminal_gone() -> bool:
    """Return whether the terminal on standard input has hung up."""
    poll = select.poll()
    poll.register(0, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
