"""Runs jobs: the only place where the browser calls the store from threads.

A job is one callable that makes one store call and returns its result. Reads run side by side, a few at a time; writes
run one after another, in the order in which they were submitted. The threads are daemons: a read that hangs on a dead
disk cannot keep the program from ending, and a write is asked to stop and given a moment to do so.

Cancelling is a request: `should_stop` returns True from then on, and the store ends the call with `Cancelled`, leaving
everything as it was before. A job that still waits for its turn ends at once.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from textual.message import Message

from layerstore import Cancelled, LayerStoreError

_log = logging.getLogger(__name__)

READERS = 4
"""How many reads run at a time."""

TICK = 0.1
"""Seconds between two messages about the progress of a job."""

_numbers = itertools.count(1)

Result = TypeVar("Result")


def _ignore(job: Job[Any]) -> None:
    """Ignore progress."""
    del job


class JobState(Enum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job has ended, whatever the outcome."""
        return self not in (JobState.WAITING, JobState.RUNNING)


class Target(Protocol):
    """What submits a job and gets its result: a widget, a screen or the app."""

    def post_message(self, message: Message) -> bool:
        """Queue a message. May be called from any thread."""
        ...

    @property
    def going(self) -> bool:
        """Whether it is being closed, so that parts of it may be missing already."""
        ...

    def call_later(self, callback: Callable[..., Any], *args: Any) -> bool:
        """Queue a call. May be called from any thread."""
        ...


@dataclass(eq=False)
class Job(Generic[Result]):
    """One store call, to be run in a thread.

    Attributes:
        title: What the screen calls the job.
        work: Makes the call and returns its result. It gets the job, for `progress` and `should_stop`.
        writes: Whether the job belongs in the queue of writes.
        quiet: Whether the screen leaves the job out of its list.
        key: A new job cancels the previous one with the same key, and a cancelled job with a key delivers nothing.
        unit: What progress counts, such as "layer", or "" for bytes.
        outcome: One line about what was done, which `work` may set.
    """

    title: str
    work: Callable[[Job[Result]], Result]
    writes: bool = False
    quiet: bool = False
    key: str = ""
    unit: str = ""
    number: int = field(default_factory=lambda: next(_numbers))
    state: JobState = JobState.WAITING
    done: int = 0
    total: int | None = None
    outcome: str = ""
    started: float = 0.0
    ended: float = 0.0
    stop_event: threading.Event = field(default_factory=threading.Event, repr=False)
    notify: Callable[[Job[Any]], None] = field(default=_ignore, repr=False)
    notified: float = 0.0

    def progress(self, done: int, total: int | None) -> None:
        """Record progress, and notify the target a few times a second."""
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self.notified >= TICK:
            self.notified = now
            self.notify(self)

    def should_stop(self) -> bool:
        """Return whether the job was cancelled."""
        return self.stop_event.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the job was cancelled and has not ended yet."""
        return self.stop_event.is_set() and not self.state.ended

    def seconds(self) -> float:
        """Return how long the job has run."""
        if not self.started:
            return 0.0
        return (self.ended or time.monotonic()) - self.started


_ON_ITS_WAY = 3.0  # seconds after the end of a job in which its result is delivered, if it is delivered at all


def to_come(job: Job[Any] | None) -> bool:
    """Return whether the result of a job may still be delivered."""
    if job is None or job.stop_event.is_set() or job.state in (JobState.FAILED, JobState.CANCELLED):
        return False
    return not job.ended or time.monotonic() - job.ended < _ON_ITS_WAY


class JobChanged(Message):
    """A job started, made progress or ended, and must be redrawn."""

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Keep only the newest of several queued messages about one job."""
        return isinstance(message, JobChanged) and message.job is self.job


class JobFailed(Message):
    """A job ended with an error that the user must see."""

    def __init__(self, job: Job[Any], error: Exception) -> None:
        self.job = job
        self.error = error
        super().__init__()


class JobRunner:
    """Runs jobs and delivers their results. Use it from the event loop, and close it before the loop ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Job[Any]] = {}
        self._readers = threading.BoundedSemaphore(READERS)
        self._writes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False

    @property
    def jobs(self) -> list[Job[Any]]:
        """The jobs that wait or run, in the order in which they were submitted."""
        with self._lock:
            return list(self._running.values())

    @property
    def idle(self) -> bool:
        """Whether no job waits or runs."""
        return not self._running

    def submit(
        self,
        job: Job[Result],
        target: Target,
        then: Callable[[Result], object] | None = None,
        failed: Callable[[Exception], object] | None = None,
    ) -> Job[Result]:
        """Start a job, or queue it if it writes.

        Args:
            job: The job.
            target: What the result is for. `then` and `failed` are called in its message loop, and not at all once it
                is closed. `JobChanged` is also posted to it, unless the job is quiet.
            then: Takes the result.
            failed: Takes the error. By default, `JobFailed` is posted to `target`.

        Returns:
            The job, which is cancelled if the runner is closed.
        """
        if self._closed:
            job.state = JobState.CANCELLED
            return job
        if job.key:
            self.cancel_key(job.key)
        if not job.quiet:
            job.notify = lambda moved: _deliver(target.post_message, JobChanged(moved))
        with self._lock:
            self._running[job.number] = job
        job.notify(job)

        def run() -> None:
            self._run(job, target, then, failed)

        if job.writes:
            self._start_writer()
            self._writes.put(run)
        else:
            threading.Thread(target=self._read, args=(run,), name=f"read: {job.title}", daemon=True).start()
        return job

    def cancel(self, job: Job[Any]) -> None:
        """Ask a job to stop. One that has not started yet ends at once."""
        job.stop_event.set()
        with self._lock:
            waiting = job.state is JobState.WAITING
            if waiting:
                job.state = JobState.CANCELLED
                self._running.pop(job.number, None)
        job.notify(job)

    def cancel_key(self, key: str) -> None:
        """Ask all jobs with this key to stop."""
        for job in self.jobs:
            if job.key == key:
                self.cancel(job)

    def close(self, patience: float = 5.0) -> None:
        """Ask all jobs to stop, and wait up to `patience` seconds for the write that runs."""
        self._closed = True
        for job in self.jobs:
            self.cancel(job)
        if self._writer is not None:
            self._writes.put(None)
            self._writer.join(patience)

    def _start_writer(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="writes", daemon=True)
            self._writer.start()

    def _write_all(self) -> None:
        while (run := self._writes.get()) is not None:
            run()

    def _read(self, run: Callable[[], None]) -> None:
        with self._readers:
            run()

    def _run(
        self,
        job: Job[Result],
        target: Target,
        then: Callable[[Result], object] | None,
        failed: Callable[[Exception], object] | None,
    ) -> None:
        with self._lock:
            if job.state is not JobState.WAITING:
                return
            job.state = JobState.RUNNING
        job.started = time.monotonic()
        job.notify(job)
        deliver: Callable[[], object] | None = None
        try:
            result = job.work(job)
            job.state = JobState.DONE
            if then is not None:
                deliver = lambda: target.call_later(_hand_over, target, then, result)  # noqa: E731 - runs after the state is set
        except Cancelled:
            job.state = JobState.CANCELLED
        except Exception as error:  # noqa: BLE001 - any error of a thread must reach the screen
            job.state = JobState.FAILED
            job.outcome = str(error)
            _record(job, error)
            deliver = _failure(job, target, error, failed)
        job.ended = time.monotonic()
        if deliver is not None and not (job.key and job.should_stop()):
            _deliver(deliver)
        with self._lock:
            self._running.pop(job.number, None)
        job.notify(job)


def _failure(
    job: Job[Any], target: Target, error: Exception, failed: Callable[[Exception], object] | None
) -> Callable[[], object]:
    if failed is None:
        return lambda: target.post_message(JobFailed(job, error))
    return lambda: target.call_later(_hand_over, target, failed, error)


def _hand_over(target: Target, take: Callable[[Result], object], value: Result) -> None:
    """Pass a result to the target, unless it was closed since the result was sent."""
    if not target.going:
        take(value)


def _record(job: Job[Any], error: Exception) -> None:
    """Log an error, with its traceback if it is a bug: neither an error of the store nor of the operating system."""
    if isinstance(error, (LayerStoreError, OSError)):
        _log.info("%s failed: %s", job.title, error)
    else:
        _log.error("%s failed unexpectedly", job.title, exc_info=error)


def _deliver(call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except RuntimeError:  # the event loop has ended between the check and the call
        return
