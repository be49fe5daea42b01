"""The only place where threads start.

A job is one callable that makes one store call and returns one message. Reads run side by side, a few at a time;
writes run one after another, in the order they came. The threads are daemons: a read that hangs on a dead disk
cannot keep the program from ending, and a write is asked to stop and given a moment to do so.

Cancelling is a request: `should_stop` starts to say True, and the store ends the call with `Cancelled`, as it was
before. A job that is still waiting for its turn ends at once.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from textual.message import Message

from layerstore.errors import Cancelled

READERS = 4
"""How many reads run at a time."""

TICK = 0.1
"""Seconds between two messages about the progress of a job."""

_numbers = itertools.count(1)


def _nobody(job: Job) -> None:
    """Tell nobody."""
    del job


class JobState(Enum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when nothing more will come of the job."""
        return self not in (JobState.WAITING, JobState.RUNNING)


class Target(Protocol):
    """Who hears of a job: a screen or the app."""

    def post_message(self, message: Message) -> bool:
        """Queue a message; may be called from any thread."""
        ...


@dataclass(eq=False)
class Job:
    """One call of the store, to be run in a thread.

    `writes` puts it in the queue of writes. A `quiet` job is not listed on the screen. A job cancels the one before it
    that has the same `key`. `work` gets the job, for `progress` and `should_stop`; progress counts `unit`s, such as
    "layer", or bytes without one.
    """

    title: str
    work: Callable[[Job], Message]
    writes: bool = False
    quiet: bool = False
    key: str = ""
    unit: str = ""
    number: int = field(default_factory=lambda: next(_numbers))
    state: JobState = JobState.WAITING
    done: int = 0
    total: int | None = None
    result: str = ""
    started: float = 0.0
    ended: float = 0.0
    stop_event: threading.Event = field(default_factory=threading.Event, repr=False)
    tell: Callable[[Job], None] = field(default=_nobody, repr=False)
    told: float = 0.0

    def progress(self, done: int, total: int | None) -> None:
        """Take note of how far the work is; the screen hears of it a few times a second."""
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self.told >= TICK:
            self.told = now
            self.tell(self)

    def should_stop(self) -> bool:
        """Tell whether somebody cancelled the job."""
        return self.stop_event.is_set()

    @property
    def stopping(self) -> bool:
        """True between a request to stop and the end."""
        return self.stop_event.is_set() and not self.state.ended

    def seconds(self) -> float:
        """Return how long the job has run."""
        if not self.started:
            return 0.0
        return (self.ended or time.monotonic()) - self.started


class JobChanged(Message):
    """A job started, moved on or ended: what is drawn of it is no longer true."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Of several in the queue one is enough."""
        return isinstance(message, JobChanged) and message.job is self.job


class JobFailed(Message):
    """A job ended with an error that somebody must see."""

    def __init__(self, job: Job, error: Exception) -> None:
        self.job = job
        self.error = error
        super().__init__()


class JobRunner:
    """Runs jobs and tells their targets. Use from the event loop; close before the loop ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Job] = {}
        self._readers = threading.BoundedSemaphore(READERS)
        self._writes: queue.SimpleQueue[tuple[Job, Target] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False

    @property
    def jobs(self) -> list[Job]:
        """The jobs that wait or run, in the order they came."""
        with self._lock:
            return list(self._running.values())

    @property
    def idle(self) -> bool:
        """True when nothing waits or runs."""
        return not self._running

    def submit(self, job: Job, target: Target) -> Job:
        """Start `job`, or queue it if it writes; `target` hears of it and gets its message."""
        if self._closed:
            job.state = JobState.CANCELLED
            return job
        if job.key:
            self.cancel_key(job.key)
        if not job.quiet:
            job.tell = lambda moved: _post(target, JobChanged(moved))
        with self._lock:
            self._running[job.number] = job
        job.tell(job)
        if job.writes:
            self._start_writer()
            self._writes.put((job, target))
        else:
            threading.Thread(target=self._read, args=(job, target), name=f"read: {job.title}", daemon=True).start()
        return job

    def cancel(self, job: Job) -> None:
        """Ask `job` to stop; one that has not started ends here."""
        job.stop_event.set()
        with self._lock:
            waiting = job.state is JobState.WAITING
            if waiting:
                job.state = JobState.CANCELLED
                self._running.pop(job.number, None)
        job.tell(job)

    def cancel_key(self, key: str) -> None:
        """Ask all jobs with this key to stop."""
        for job in self.jobs:
            if job.key == key:
                self.cancel(job)

    def close(self, patience: float = 5.0) -> None:
        """Ask all jobs to stop and wait for the write that runs, at most `patience` seconds."""
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
        while (item := self._writes.get()) is not None:
            self._run(*item)

    def _read(self, job: Job, target: Target) -> None:
        with self._readers:
            self._run(job, target)

    def _run(self, job: Job, target: Target) -> None:
        with self._lock:
            if job.state is not JobState.WAITING:
                return
            job.state = JobState.RUNNING
        job.started = time.monotonic()
        job.tell(job)
        message: Message | None = None
        try:
            message = job.work(job)
            job.state = JobState.DONE
        except Cancelled:
            job.state = JobState.CANCELLED
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a thread must reach the screen
            job.state = JobState.FAILED
            job.result = str(error)
            message = JobFailed(job, error)
        job.ended = time.monotonic()
        if message is not None and not (job.key and job.should_stop()):
            _post(target, message)
        with self._lock:
            self._running.pop(job.number, None)
        job.tell(job)


def _post(target: Target, message: Message) -> None:
    try:
        target.post_message(message)
    except RuntimeError:  # the event loop has ended between the check and the call
        return
