"""The first screen: the store is being opened, or cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from layertui.dialogs.explain import explain
from layertui.jobs import opening
from layertui.jobs.runner import Job, JobFailed, JobRunner
from layertui.keys.keynames import with_keys
from layertui.keys.typed_ahead import TypedScreen
from layertui.text.safe import safe
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.text import MUTED, safe_lines

if TYPE_CHECKING:
    from layertui.app import LayertuiApp

_SLOW = 0.5  # seconds without a store after which somebody may have it locked
_AGAIN = 1.0


class OpeningScreen(TypedScreen):
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
        open_store: opening.OpenStore,
        jobs: JobRunner,
        choice: opening.DriverChoice | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        graph_root: str = "",
    ) -> None:
        super().__init__()
        self._graph_root = graph_root
        self._slow = False
        self._timer: Timer | None = None
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

    def holds(self, key: str, *, behind: bool) -> bool:
        """Let keys wait for the layers, for which they are meant; the one that quits as soon as it takes long."""
        if self.has_class("-failed"):
            return False
        active = self.active_bindings.get(key)
        quits = active is not None and active.binding.action == "quit"
        return not quits or (behind and not self._slow)

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
            self._job = self._jobs.submit(opening.drivers_job(self._choice.graph_root, if_several=True), self)
        else:
            self._open(self._open_store)

    def on_drivers_found(self, event: opening.DriversFound) -> None:
        """Ask which store to open, if there is more than one."""
        event.stop()
        choice = self._choice
        assert choice is not None
        if sum(store.known for store in event.stores) < 2:
            self._open(self._open_store)
            return
        from layerstore.config.detect import preferred  # noqa: PLC0415 - few have several
        from layertui.dialogs.drivers import DriverDialog  # noqa: PLC0415 - few have several

        def chosen(driver: str | None) -> None:
            if driver is None:
                self._stop()
            else:
                self._open(lambda: choice.open(driver))

        self._forget_typed()
        first = preferred(event.stores, choice.named)
        self.app.push_screen(DriverDialog(choice.graph_root, event.stores, first, self._clock()), chosen)

    def _forget_typed(self) -> None:
        """Drop what was typed for the layers."""
        cast("LayertuiApp", self.app).forget_typed()

    def _stop(self) -> None:
        """Say that no store is open."""
        self._forget_typed()
        self.add_class("-failed")
        self.query_one("#box", Vertical).border_title = "No store is open"
        self._show(
            Content("None of the stores was chosen."),
            way_out=Content(with_keys("→ r shows them again, {app.quit} leaves")),
        )
        self.refresh_bindings()

    def _open(self, open_store: opening.OpenStore) -> None:
        self._slow = False
        if self._timer is not None:
            self._timer.stop()
        self._job = self._jobs.submit(opening.open_job(open_store), self)
        self._timer = self.set_timer(_SLOW, self._still_waiting)

    def on_store_opened(self, event: opening.StoreOpened) -> None:
        """Tell of image stores that could not be read; the app shows the rest."""
        for layer, text in event.listing.view.problems:
            if not layer:
                self.notify(safe(text), title="Image store", severity="warning", markup=False, timeout=10)

    def _still_waiting(self) -> None:
        if self._job is None or self._job.state.ended:
            return
        if not self._slow:
            self._slow = True
            self._wait("It is large, or another process has it locked: waiting for up to ten seconds.")
        if self._graph_root:
            self._jobs.submit(opening.lock_job(self._graph_root), self)
            self._timer = self.set_timer(_AGAIN, self._still_waiting)

    def on_lock_seen(self, event: opening.LockSeen) -> None:
        """Say who keeps the store locked, or that nobody does."""
        if self._job is None or self._job.state.ended:
            return
        if event.path:
            by = ", ".join(event.holders) or "another process"
            lock = os.path.relpath(event.path, self._graph_root)
            self._wait(f"{by} has the store locked ({lock}): waiting for up to ten seconds.")
        else:
            self._wait("It is large, or its disk is slow.")

    def _wait(self, why: str) -> None:
        self._show(Content("Opening the store…"), Content.styled(safe(why), MUTED))

    def on_job_failed(self, event: JobFailed) -> None:
        """Say why, and what to do."""
        if event.job is not self._job:
            return
        self._forget_typed()
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
