"""The first screen: the store is being opened, or cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from layertui import opening_jobs
from layertui.explain import explain
from layertui.jobs import Job, JobFailed, JobRunner
from layertui.safe import safe
from layertui.screens.text import MUTED, safe_lines
from layertui.widgets.key_bar import KeyBar

_SLOW = 1.0


class OpeningScreen(Screen[None]):
    """Opens the store in a thread; when that fails, says why and what to do, and offers to try again.

    With a `choice` it first looks which drivers have a store there, and asks for one if there are several.
    """

    DEFAULT_CSS = """
    OpeningScreen {
        align: center middle;
        & #box { width: 84; max-width: 100%; height: auto; max-height: 1fr; padding: 1 3; }
        &.-failed #box { border: round $error; border-title-color: $text-error; border-title-style: bold; }
        & Static { height: auto; margin-bottom: 1; }
        & KeyBar { dock: bottom; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again", tooltip="Open the store again", id="opening.retry"),
    ]

    def __init__(
        self,
        open_store: opening_jobs.OpenStore,
        jobs: JobRunner,
        choice: opening_jobs.DriverChoice | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._open_store = open_store
        self._jobs = jobs
        self._choice = choice
        self._clock = clock
        self._job: Job | None = None

    def compose(self) -> ComposeResult:
        """Yield the box."""
        with Vertical(id="box"):
            yield Static("Opening the store…", id="what", markup=False)
            yield Static("", id="facts", markup=False)
            yield Static("", id="way-out", markup=False)
        yield KeyBar(self.refusal)

    def on_mount(self) -> None:
        """Start, once there is something to see: what a thread imports meanwhile keeps this one waiting."""
        self.call_after_refresh(self.action_retry)

    def refusal(self, action: str) -> str:
        """Return why an action makes no sense now: trying again does only after a failure."""
        return "" if action != "retry" or self.has_class("-failed") else "The store is being opened"

    def action_retry(self) -> None:
        """Open the store."""
        if self._job is not None and not self._job.state.ended:
            return
        self.remove_class("-failed")
        self._show(Content("Opening the store…"))
        if self._choice is not None:
            self._job = self._jobs.submit(opening_jobs.drivers_job(self._choice.graph_root), self)
        else:
            self._open(self._open_store)

    def on_drivers_found(self, event: opening_jobs.DriversFound) -> None:
        """Ask which store to open, if there is more than one."""
        event.stop()
        choice = self._choice
        assert choice is not None
        if sum(store.known for store in event.stores) < 2:
            self._open(self._open_store)
            return
        from layerstore.driverstores import preferred  # noqa: PLC0415 - few have several
        from layertui.screens.drivers import DriverDialog  # noqa: PLC0415 - few have several

        def chosen(driver: str | None) -> None:
            if driver is None:
                self._stop()
            else:
                self._open(lambda: choice.open(driver))

        first = preferred(event.stores, choice.named)
        self.app.push_screen(DriverDialog(choice.graph_root, event.stores, first, self._clock()), chosen)

    def _stop(self) -> None:
        """Say that no store is open."""
        self.add_class("-failed")
        self.query_one("#box", Vertical).border_title = "No store is open"
        self._show(Content("None of the stores was chosen."), way_out=Content("→ r shows them again, q leaves"))
        self.refresh_bindings()

    def _open(self, open_store: opening_jobs.OpenStore) -> None:
        self._job = self._jobs.submit(opening_jobs.open_job(open_store), self)
        self.set_timer(_SLOW, self._still_waiting)

    def on_store_opened(self, event: opening_jobs.StoreOpened) -> None:
        """Tell of image stores that could not be read; the app shows the rest."""
        for layer, text in event.listing.view.problems:
            if not layer:
                self.notify(safe(text), title="Image store", severity="warning", markup=False, timeout=10)

    def _still_waiting(self) -> None:
        if self._job is not None and not self._job.state.ended:
            waiting = Content.styled(
                "It is large, or another process has it locked: waiting for up to ten seconds.", MUTED
            )
            self._show(Content("Opening the store…"), waiting)
            self.set_timer(_SLOW, self._still_waiting)

    def on_job_failed(self, event: JobFailed) -> None:
        """Say why, and what to do."""
        told = explain(event.error)
        self.add_class("-failed")
        self.query_one("#box", Vertical).border_title = Content(safe(told.headline))
        facts = [Content.assemble((f"{label:<11}", MUTED), safe(value)) for label, value in told.facts]
        way_out = Content.assemble(("→ ", "bold $text-success"), safe(told.way_out)) if told.way_out else Content("")
        self._show(safe_lines(told.text), Content("\n").join(facts), way_out)
        self.refresh_bindings()

    def _show(self, what: Content, facts: Content = Content(""), way_out: Content = Content("")) -> None:  # noqa: B008
        for name, content in (("what", what), ("facts", facts), ("way-out", way_out)):
            widget = self.query_one(f"#{name}", Static)
            widget.update(content)
            widget.display = bool(content.plain)
        if not self.has_class("-failed"):
            self.query_one("#box", Vertical).border_title = ""
        self.query_one(KeyBar).refresh()
