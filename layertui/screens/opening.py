"""The first screen, shown while the store is being opened or if it cannot be opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from layertui.dialogs.explain import explain
from layertui.jobs.opening import BusyLock, DriverChoice, OpenedStore, OpenStore, drivers_job, lock_job, open_job
from layertui.jobs.runner import Job, JobRunner
from layertui.keys.sentences import with_keys
from layertui.keys.typed_ahead import TypedScreen
from layertui.text.safe import safe
from layertui.widgets.key_bar import KeyBar
from layertui.widgets.text import MUTED, safe_lines

if TYPE_CHECKING:
    from layerstore import DriverStore

_SLOW = 0.5  # seconds before the screen explains the delay
_AGAIN = 1.0  # seconds between two checks of the lock


class OpeningScreen(TypedScreen):
    """Opens the store in a thread. If that fails, shows why and what to do, and offers to try again.

    With a `choice`, it first finds the drivers that have a store in the graph root, and asks which one to open if there
    are several. `opened` takes the open store. `forget_typed` drops keys that were typed ahead for the main screen.
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
        open_store: OpenStore,
        jobs: JobRunner,
        opened: Callable[[OpenedStore], object],
        choice: DriverChoice | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        forget_typed: Callable[[], object] = lambda: None,
        graph_root: str = "",
    ) -> None:
        super().__init__()
        self._graph_root = graph_root
        self._slow = False
        self._timer: Timer | None = None
        self._open_store = open_store
        self._jobs = jobs
        self._opened = opened
        self._forget_typed = forget_typed
        self._choice = choice
        self._clock = clock
        self._job: Job[Any] | None = None

    def compose(self) -> ComposeResult:
        """Yield the box."""
        with Vertical(id="box"):
            yield Static("Opening the store…", id="what", markup=False)
            yield Static("", id="facts", markup=False)
            yield Static("", id="way-out", markup=False)
        yield KeyBar(self.refusal)

    def on_mount(self) -> None:
        """Start after the first frame is drawn: imports in a thread block the event loop."""
        self.call_after_refresh(self.action_retry)

    def holds(self, key: str, *, behind: bool) -> bool:
        """Delay keys until the main screen opens, except the one that quits once opening takes long."""
        if self.has_class("-failed"):
            return False
        active = self.active_bindings.get(key)
        quits = active is not None and active.binding.action == "quit"
        return not quits or (behind and not self._slow)

    def refusal(self, action_id: str) -> str:
        """Return why an action is not possible now, "" if it is."""
        return "" if action_id != "opening.retry" or self.has_class("-failed") else "The store is being opened"

    def action_retry(self) -> None:
        """Open the store."""
        if self._job is not None and not self._job.state.ended:
            return
        self.remove_class("-failed")
        self._show(Content("Opening the store…"))
        if self._choice is not None:
            job = drivers_job(self._choice.graph_root, if_several=True)
            self._job = self._jobs.submit(job, self, self._choose, self._fail)
        else:
            self._open(self._open_store)

    def _choose(self, stores: Sequence[DriverStore]) -> None:
        """Ask which store to open if there are several."""
        choice = self._choice
        assert choice is not None
        if sum(store.known for store in stores) < 2:
            self._open(self._open_store)
            return
        from layerstore import preferred_driver as preferred  # noqa: PLC0415 - late, because it is rarely needed
        from layertui.dialogs.drivers import DriverDialog  # noqa: PLC0415 - late, because it is rarely needed

        def chosen(driver: str | None) -> None:
            if driver is None:
                self._stop()
            else:
                self._open(lambda: choice.open(driver))

        self._forget_typed()
        first = preferred(stores, choice.named)
        self.app.push_screen(DriverDialog(choice.graph_root, stores, first, self._clock()), chosen)

    def _stop(self) -> None:
        """Show that no store is open."""
        self._forget_typed()
        self.add_class("-failed")
        self.query_one("#box", Vertical).border_title = "No store is open"
        self._show(
            Content("No store was chosen."),
            way_out=Content(with_keys("→ Press r to choose again, {app.quit} to quit")),
        )
        self.refresh_bindings()

    def _open(self, open_store: OpenStore) -> None:
        self._slow = False
        if self._timer is not None:
            self._timer.stop()
        self._job = self._jobs.submit(open_job(open_store), self, self._report_opened, self._fail)
        self._timer = self.set_timer(_SLOW, self._still_waiting)

    def _report_opened(self, opened: OpenedStore) -> None:
        """Report image stores that could not be read, and pass the store on."""
        for layer, text in opened.listing.view.problems:
            if not layer:
                self.notify(safe(text), title="Image store", severity="warning", markup=False, timeout=10)
        self._opened(opened)

    def _still_waiting(self) -> None:
        if self._job is None or self._job.state.ended:
            return
        if not self._slow:
            self._slow = True
            self._wait("The store is large or locked by another process. Waiting up to 10 seconds for the lock.")
        if self._graph_root:
            self._jobs.submit(lock_job(self._graph_root), self, self._show_lock)
            self._timer = self.set_timer(_AGAIN, self._still_waiting)

    def _show_lock(self, busy: BusyLock) -> None:
        """Show which processes hold the lock of the store, or that none does."""
        if self._job is None or self._job.state.ended:
            return
        if busy.path:
            by = ", ".join(busy.holders) or "another process"
            lock = os.path.relpath(busy.path, self._graph_root)
            self._wait(f"{by} has the store locked ({lock}). Waiting up to 10 seconds.")
        else:
            self._wait("The store is large, or its disk is slow.")

    def _wait(self, why: str) -> None:
        self._show(Content("Opening the store…"), Content.styled(safe(why), MUTED))

    def _fail(self, error: Exception) -> None:
        """Show why the store cannot be opened, and what to do."""
        self._forget_typed()
        explained = explain(error)
        self.add_class("-failed")
        self.query_one("#box", Vertical).border_title = Content(safe(explained.headline))
        facts = [Content.assemble((f"{label:<11}", MUTED), safe(value)) for label, value in explained.facts]
        way_out = (
            Content.assemble(("→ ", "bold $text-success"), safe(explained.way_out))
            if explained.way_out
            else Content("")
        )
        self._show(safe_lines(explained.text), Content("\n").join(facts), way_out)
        self.refresh_bindings()

    def _show(self, what: Content, facts: Content = Content(""), way_out: Content = Content("")) -> None:  # noqa: B008
        for name, content in (("what", what), ("facts", facts), ("way-out", way_out)):
            widget = self.query_one(f"#{name}", Static)
            widget.update(content)
            widget.display = bool(content.plain)
        if not self.has_class("-failed"):
            self.query_one("#box", Vertical).border_title = ""
        self.query_one(KeyBar).refresh()
