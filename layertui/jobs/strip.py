"""The list of running jobs and recent results, one line each. It is hidden while it is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from layertui.jobs.runner import Job, JobState
from layertui.text.format import duration_text, plural, rate_text, size_text
from layertui.text.safe import safe
from layertui.widgets.cells import Line, base_style, cut, layered

_BAR = 20
_MOST = 4
_TITLE = 36
_GRACE = 0.2  # seconds before a job is shown; one that ends sooner without an outcome never is
_LINGER = 12.0  # seconds that a result is shown
_SLOW = 0.3  # seconds; a result of a slower job includes the time it took


class JobsStrip(Widget):
    """Shows jobs while they run, the newest last, and their results for a while."""

    DEFAULT_CSS = """
    JobsStrip {
        height: auto;
        display: none;
        background: $surface;
        &.-busy { display: block; }
        & .jobs--bar { color: $accent; }
        & .jobs--rest { color: $foreground 25%; }
        & .jobs--dim { color: $foreground 60%; }
        & .jobs--done { color: $text-success; text-style: bold; }
        & .jobs--failed { color: $text-error; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"jobs--bar", "jobs--rest", "jobs--dim", "jobs--done", "jobs--failed"}

    class CancelWanted(Message):
        """A job's ✕ was clicked."""

        def __init__(self, strip: JobsStrip, job: Job[Any]) -> None:
            self.strip = strip
            self.job = job
            super().__init__()

        @property
        def control(self) -> JobsStrip:
            """The strip."""
            return self.strip

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._jobs: list[Job[Any]] = []
        self._known: set[Job[Any]] = set()
        self._timer: Timer | None = None

    @property
    def running(self) -> list[Job[Any]]:
        """The jobs that have not ended, the newest last."""
        return sorted((job for job in self._known if not job.state.ended), key=lambda job: job.number)

    def update(self, job: Job[Any]) -> None:
        """Show that a job started, made progress or ended."""
        if job not in self._known:
            self._known.add(job)
            self.set_timer(_GRACE, lambda: self._admit(job))
        if job.state.ended:
            self._known.discard(job)
            if job.outcome or (job.state is JobState.CANCELLED and job in self._jobs):
                self._admit(job, ended=True)
                self.set_timer(_LINGER, lambda: self.drop(job))
            else:
                self.drop(job)
        self._show()

    def _admit(self, job: Job[Any], *, ended: bool = False) -> None:
        """Add the line of a job, unless it has ended or, with `ended`, still runs."""
        if job not in self._jobs and job.state.ended is ended:
            self._jobs.append(job)
            self._show()

    def drop(self, job: Job[Any]) -> None:
        """Remove the line of a job."""
        if job in self._jobs:
            self._jobs.remove(job)
            self._show()

    def clear_ended(self) -> bool:
        """Remove all results. Return False if there were none."""
        ended = [job for job in self._jobs if job.state.ended]
        for job in ended:
            self.drop(job)
        return bool(ended)

    def _show(self) -> None:
        self.set_class(bool(self._jobs), "-busy")
        if self.running and self._timer is None:
            self._timer = self.set_interval(0.5, self.refresh)
        elif not self.running and self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - as in Textual
        """Return one line for each job, up to a maximum."""
        return min(len(self._jobs), _MOST)

    def render_line(self, y: int) -> Strip:
        """Draw a job."""
        shown = self._jobs[-_MOST:]
        base = base_style(self)
        line = Line(self.size.width)
        if y < len(shown):
            self._draw(line, shown[y], base)
        line.fill_to(line.width, base)
        return Strip(line.segments, line.used)

    def on_click(self, event: events.Click) -> None:
        """Ask to cancel the job whose ✕ was clicked."""
        shown = self._jobs[-_MOST:]
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < len(shown) and offset.x < 3 and not shown[offset.y].state.ended:
            self.post_message(self.CancelWanted(self, shown[offset.y]))

    def _draw(self, line: Line, job: Job[Any], base: Style) -> None:
        def style(name: str) -> Style:
            return base + layered(self, name)

        if job.state.ended:
            self._draw_ended(line, job, base, style)
            return
        line.put(" ✕ ", style("jobs--dim"))
        line.put(self._title(job), base)
        if job.stopping or job.state is JobState.WAITING:
            line.put("stopping…" if job.stopping else "waiting for another write", style("jobs--dim"))
            return
        if job.total:
            share = min(job.done / job.total, 1.0)
            full = round(_BAR * share)
            line.put("━" * full, style("jobs--bar"))
            line.put("━" * (_BAR - full), style("jobs--rest"))
            line.put(f" {share:4.0%}", base)
        line.put("  " + "  ".join(_numbers(job)), style("jobs--dim"))

    def _title(self, job: Job[Any]) -> str:
        """Return the title, padded to the width of the longest title."""
        room = min(_TITLE, max(cell_len(safe(other.title)) for other in self._jobs))
        title = cut(safe(job.title), room)
        return title + " " * (room - cell_len(title) + 2)

    def _draw_ended(self, line: Line, job: Job[Any], base: Style, style: Callable[[str], Style]) -> None:
        sign, name = {
            JobState.DONE: ("✓", "jobs--done"),
            JobState.FAILED: ("✗", "jobs--failed"),
        }.get(job.state, ("–", "jobs--dim"))
        line.put(f" {sign} ", style(name))
        line.put(self._title(job), base)
        if job.seconds() >= _SLOW:
            line.put(f"{duration_text(job.seconds())}  ", style("jobs--dim"))
        line.put("cancelled" if job.state is JobState.CANCELLED else safe(job.outcome), style("jobs--dim"))


def _numbers(job: Job[Any]) -> list[str]:
    seconds = job.seconds()
    if not job.done:
        return [duration_text(seconds)]
    if job.unit:
        return [f"{job.done:,} of {plural(job.total, job.unit)}" if job.total else plural(job.done, job.unit)]
    numbers = [f"{size_text(job.done)} of {size_text(job.total)}" if job.total else size_text(job.done)]
    rate = rate_text(job.done, seconds)
    if rate:
        numbers.append(rate)
        if job.total and job.total > job.done:
            numbers.append(f"{duration_text((job.total - job.done) * seconds / job.done)} left")
    return numbers
