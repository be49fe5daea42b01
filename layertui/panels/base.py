"""The base of all panels: `Panel`, its entry in `PANELS`, and the `Browser` that panels and actions use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from textual.containers import Vertical
from textual.widget import Widget

from layertui.keys.actions import Action, Actions, Need
from layertui.keys.sentences import with_keys
from layertui.text.safe import copyable, safe

if TYPE_CHECKING:
    from typing import Protocol

    from textual.screen import Screen

    from layerstore import DiskUsage, LayerStore
    from layertui.jobs.runner import Job, JobRunner
    from layertui.keys.typed_ahead import WholeScreen
    from layertui.model.query import Listing
    from layertui.model.rows import LayerRow
    from layertui.model.view import StoreView
    from layertui.widgets.filter_bar import FilterBar

    class LayerList(Protocol):
        """The part of the list of layers that actions and panels use."""

        now: datetime
        """The time that ages are counted from."""
        base: str
        """The ID of the layer that changes are shown against, "" for the parent of each."""
        marks: frozenset[str]
        """The IDs of the marked layers."""
        listing: Listing | None
        """The rows."""

        @property
        def cursor_row(self) -> LayerRow | None:
            """The layer under the cursor."""
            ...

    class MeasuredSizes(Protocol):
        """The sizes on disk that were measured."""

        def of(self, layer_id: str) -> DiskUsage | None:
            """Return what was measured of a layer."""
            ...

    class Host(Protocol):
        """The part of the main screen that actions navigate."""

        view: StoreView

        @property
        def layer_tree(self) -> LayerList:
            """The list of layers."""
            ...

        @property
        def panel(self) -> Panel:
            """The panel that is shown."""
            ...

        @property
        def running(self) -> list[Job[Any]]:
            """The jobs that the user sees and may cancel, the newest last."""
            ...

        @property
        def filter_has_focus(self) -> bool:
            """Whether keys go to a filter."""
            ...

        def reload(self) -> None:
            """Read the store again, and drop everything that was cached."""
            ...

        def go_to_layer(self, layer_id: str, *, when_listed: bool = False) -> None:
            """Move the cursor to a layer, clearing a filter that hides it."""
            ...

        def show_panel(self, panel_id: str) -> None:
            """Show a panel, or enter it if it is shown already."""
            ...

        def show_layer(self) -> None:
            """Show the layer under the cursor in the panel."""
            ...


class Sign(NamedTuple):
    """A sign that the screen draws, the style it is drawn in, and its meaning."""

    text: str
    style: str
    meaning: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # both would slow down startup
class PanelInfo:
    """A panel of the main screen.

    The panel's widget is imported by `load` only, to keep the first frame fast.

    Attributes:
        id: The panel's ID, also in the settings and the session.
        title: Its title.
        key: The key that shows it.
        help: One sentence for the help.
        load: Imports and returns its widget.
        places: Its actions, by the places in it that can have the focus, the main one first.
        legend: The signs that it draws.
    """

    id: str
    title: str
    key: str
    help: str
    load: Callable[[], type[Panel]]
    places: Mapping[str, tuple[Actions, ...]]
    legend: tuple[Sign, ...] = ()


class Panel(Vertical):
    """Shows one aspect of the layer under the cursor.

    A panel submits its own jobs with itself as the target, and caches what they return. The screen shows an error of a
    job that the panel does not handle itself in a dialog.
    """

    DEFAULT_CSS = """
    Panel {
        height: 1fr;
        & .note {
            width: 1fr;
            height: 1fr;
            padding: 0 2;
            content-align: center middle;
            text-align: center;
            color: $foreground 70%;
        }
    }
    """

    def show(self, browser: Browser) -> None:
        """Show the layer under the cursor.

        The screen calls this while the panel is visible: when it becomes visible, when the cursor rests on another
        layer, and when the store, the sizes or the layer to compare with have changed. A panel that is up to date does
        nothing.
        """
        raise NotImplementedError

    @property
    def going(self) -> bool:
        """Whether the panel is being removed with its screen."""
        return not self.is_attached or bool(getattr(self.screen, "going", False))

    def hide(self) -> None:
        """Cancel running jobs, because the panel is no longer visible or the cursor is on another layer."""

    def forget(self) -> None:
        """Drop everything that is cached. What is visible stays until it is replaced."""

    def forget_changed(self, view: StoreView) -> None:
        """Drop what a write to the store may have changed: everything about layers without a digest.

        `view` is the store as it is now.
        """

    @property
    def running(self) -> Job[Any] | None:
        """A job that takes long enough to be cancelled, if one runs."""
        return None

    @property
    def filter_bar(self) -> FilterBar | None:
        """The bar that filters what the panel shows."""
        return None

    def awaits_filter(self, text: str) -> bool:
        """Return whether the result of this filter is not shown yet."""
        del text
        return False

    @property
    def focus_target(self) -> Widget:
        """The widget that takes the keys when the panel is entered."""
        return next(widget for widget in self.query("*").results(Widget) if widget.focusable)

    def toggle_order(self) -> bool:
        """Sort in the next order, and return whether the panel has more than one."""
        return False

    def back(self) -> bool:
        """Undo one step inside the panel, and return whether there was anything to undo."""
        return False


Severity = Literal["information", "warning", "error"]
Result = TypeVar("Result")

BRIEF = 36
"""The length of a message that can be read at a glance and fits on one line of a narrow terminal."""

_BRIEF_SECONDS = 3.5
_LONGEST = 75  # characters of the longest message about a copied text


class Browser:
    """The store, the layers that are shown, and ways to ask the user, show messages and start jobs."""

    def __init__(self, screen: WholeScreen[None], host: Host, store: LayerStore, jobs: JobRunner) -> None:
        self._screen = screen
        self._host = host
        self.store = store
        self.jobs = jobs
        self.sizes: MeasuredSizes
        self.mount_note = ""
        """Which processes see a mount made from here, "" if all do."""
        self.why_read_only = ""
        """Why this user can only read the store, and how to fix that, or "" if read-only access was requested."""
        self.asking: Job[Any] | None = None
        """The look-up whose result may open a dialog."""

    # What is shown

    @property
    def view(self) -> StoreView:
        """The layers, as they were last read."""
        return self._host.view

    @property
    def row(self) -> LayerRow | None:
        """The layer under the cursor."""
        return self._host.layer_tree.cursor_row

    @property
    def layer(self) -> LayerRow:
        """The layer under the cursor, for actions that need one."""
        row = self.row
        assert row is not None
        return row

    @property
    def now(self) -> datetime:
        """The time that ages are counted from."""
        return self._host.layer_tree.now

    @property
    def rows_shown(self) -> int:
        """The number of rows in the list, folded ones included."""
        listing = self._host.layer_tree.listing
        return 0 if listing is None else len(listing.rows)

    @property
    def marks(self) -> frozenset[str]:
        """The IDs of the marked layers."""
        return self._host.layer_tree.marks

    @property
    def marked(self) -> list[LayerRow]:
        """The marked layers in the order of the store: a layer comes after its parent."""
        rows = [self.view[mark] for mark in self.marks if mark in self.view]
        return sorted(rows, key=lambda row: row.number)

    @property
    def base(self) -> str:
        """The ID of the layer that changes are shown against, "" for the parent of each."""
        return self._host.layer_tree.base

    @base.setter
    def base(self, layer_id: str) -> None:
        self._host.layer_tree.base = layer_id

    @property
    def panel(self) -> Panel:
        """The panel that is shown."""
        return self._host.panel

    @property
    def running(self) -> list[Job[Any]]:
        """The jobs that the user sees and may cancel, the newest last."""
        return self._host.running

    @property
    def filter_has_focus(self) -> bool:
        """Whether keys go to a filter."""
        return self._host.filter_has_focus

    def title_of(self, layer_id: str) -> str:
        """Return a title for a layer: a name, or the beginning of its ID."""
        row = self.view.get(layer_id)
        return row.title if row is not None else layer_id[:12]

    # Refusals

    def refusal(self, action: Action[Browser]) -> str:
        """Return why an action is refused now, "" if it is not."""
        needs, row = action.needs, self.row
        if Need.LAYER in needs and row is None:
            return "There is no layer here"
        if Need.ROWS in needs and not self.rows_shown:
            return "The list is empty"
        if Need.WRITABLE in needs:
            if self.store.read_only:
                return f"The store is open read-only: cannot {action.verb}. {self.why_read_only}".rstrip(". ")
            if Need.LAYER in needs and row is not None and row.layer.image_store:
                return f"The layer is in the additional image store {row.layer.image_store}: cannot {action.verb}"
        if Need.MARKS in needs and not self.marks:
            return with_keys("No layer is marked: {layers.mark} marks one")
        return with_keys(action.refusal(self)) if action.refusal is not None else ""

    def perform(self, action: Action[Browser]) -> None:
        """Run an action, or say why it is refused."""
        refusal = self.refusal(action)
        if refusal:
            self.say(refusal, "warning")
        elif callable(action.run):
            action.run(self)

    # Messages and dialogs

    def notify(self, text: str, title: str, *, timeout: float | None = 10) -> None:
        """Show a message with a title. The text may hold names from disk."""
        self._screen.notify("\n".join(map(safe, text.splitlines())), title=title, markup=False, timeout=timeout)

    def say(self, text: str, severity: Severity = "information") -> None:
        """Show a short message, for less time if it only confirms something. It may hold names from disk."""
        brief = severity == "information" and len(text) <= BRIEF
        self._screen.notify(safe(text), severity=severity, markup=False, timeout=_BRIEF_SECONDS if brief else None)

    def show_error(self, error: BaseException) -> None:
        """Show an error in a dialog."""
        from layertui.dialogs.error import ErrorDialog  # noqa: PLC0415 - late, to keep startup fast

        self._screen.app.push_screen(ErrorDialog(error))

    def ask(self, dialog: Screen[Result], then: Callable[[Result], object] | None = None) -> None:
        """Show a dialog, and call `then` with the decision, unless the dialog is closed without one."""

        def closed(result: Result | None) -> None:
            if result is not None and then is not None:
                then(result)

        self._screen.app.push_screen(dialog, closed)

    def copy(self, text: str, what: str, *, lines: bool = False) -> None:
        """Copy a text to the terminal's clipboard, and confirm it with a message.

        Line ends of names are escaped, unless `lines` says that they are our own.
        """
        self._screen.app.copy_to_clipboard(text if lines else copyable(text))
        message = f"Copied {what}: {text}"
        most = BRIEF if self._screen.has_class("-low") else _LONGEST
        self.say(message if len(message) <= most else f"{message[: most - 1]}…")

    def copy_silently(self, text: str) -> None:
        """Copy a text to the terminal's clipboard."""
        self._screen.app.copy_to_clipboard(copyable(text))

    # Jobs

    def submit(
        self,
        job: Job[Result],
        then: Callable[[Result], object] | None = None,
        failed: Callable[[Exception], object] | None = None,
    ) -> Job[Result]:
        """Start a job for the main screen. `then` takes its result. An error goes to `failed`, or is shown."""
        return self.jobs.submit(job, self._screen, then, failed)

    def cancel(self, job: Job[Any] | None) -> None:
        """Cancel a job, if there is one and it has not ended."""
        if job is not None and not job.state.ended:
            self.jobs.cancel(job)

    def look_up(self, job: Job[Result], then: Callable[[Result], object]) -> None:
        """Start a job whose result may open a dialog, for which keys typed ahead wait a moment."""

        def found(result: Result) -> None:
            self.asking = None
            then(result)

        self.asking = self.submit(job, found)

    # Navigation

    def reload(self) -> None:
        """Read the store again, and drop everything that was cached."""
        self._host.reload()

    def go_to_layer(self, layer_id: str, *, when_listed: bool = False) -> None:
        """Move the cursor to a layer, clearing a filter that hides it.

        With `when_listed`, wait for a layer that is not listed yet.
        """
        self._host.go_to_layer(layer_id, when_listed=when_listed)

    def show_panel(self, panel_id: str) -> None:
        """Show a panel, or enter it if it is shown already."""
        self._host.show_panel(panel_id)

    def show_layer(self) -> None:
        """Show the layer under the cursor in the panel."""
        self._host.show_layer()

    def suspended(self, run: Callable[[bool], str]) -> str:
        """Give the terminal to `run`, take it back, and return the result of `run`, or why that is impossible.

        The argument of `run` is whether colours are off.

        Raises:
            OSError: From `run`.
        """
        from textual.app import SuspendNotSupported  # noqa: PLC0415 - late, to keep startup fast

        app = self._screen.app
        try:
            with app.suspend():
                return run(app.no_color)
        except SuspendNotSupported:
            return "A shell cannot run in this terminal"
