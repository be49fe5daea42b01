"""The runner: queues, cancelling, progress and errors of jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.message import Message

from layerstore import Cancelled, LayerUnknown
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState


class Target:
    """Records messages, and makes calls immediately."""

    going = False

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.done: list[str] = []

    def post_message(self, message: Message) -> bool:
        self.messages.append(message)
        return True

    def call_later(self, callback: Callable[..., Any], *args: Any) -> bool:
        callback(*args)
        return True


@pytest.fixture
def runner() -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.close()


@pytest.fixture
def target() -> Target:
    return Target()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def job(name: str, body: Callable[[Job[str]], object] = lambda job: None, **options: Any) -> Job[str]:
    """Return a job whose result is its name."""

    def work(job: Job[str]) -> str:
        body(job)
        return name

    return Job(name, work, **options)


def until_stopped(job: Job[str]) -> None:
    while not job.should_stop():
        time.sleep(0.001)
    raise Cancelled


def test_a_job_delivers_its_result(runner: JobRunner, target: Target) -> None:
    one = runner.submit(job("one"), target, target.done.append)
    wait(lambda: runner.idle)
    assert target.done == ["one"]
    assert one.state is JobState.DONE


def test_reads_run_side_by_side(runner: JobRunner, target: Target) -> None:
    barrier = threading.Barrier(3, timeout=5)
    for name in "abc":
        runner.submit(job(name, lambda job: barrier.wait()), target, target.done.append)
    wait(lambda: runner.idle)
    assert sorted(target.done) == ["a", "b", "c"]


def test_writes_run_one_at_a_time_and_in_order(runner: JobRunner, target: Target) -> None:
    running: list[str] = []

    def alone(job: Job[str]) -> None:
        running.append(job.title)
        assert len(running) == 1
        time.sleep(0.005)
        running.remove(job.title)

    names = [str(number) for number in range(8)]
    for name in names:
        runner.submit(job(name, alone, writes=True), target, target.done.append)
    wait(lambda: runner.idle)
    assert target.done == names


def test_an_error_arrives_once(runner: JobRunner, target: Target) -> None:
    def fail(job: Job[str]) -> None:
        raise LayerUnknown("x")

    failed = runner.submit(job("bad", fail), target, target.done.append)
    wait(lambda: runner.idle)
    errors = [message.error for message in target.messages if isinstance(message, JobFailed)]
    assert [type(error) for error in errors] == [LayerUnknown]
    assert failed.state is JobState.FAILED
    assert "not known" in failed.outcome


def test_cancelling_a_running_job(runner: JobRunner, target: Target) -> None:
    running = runner.submit(job("long", until_stopped), target, target.done.append)
    wait(lambda: running.state is JobState.RUNNING)
    runner.cancel(running)
    assert running.stopping or running.state.ended
    wait(lambda: runner.idle)
    assert running.state is JobState.CANCELLED
    assert target.done == []


def test_a_write_that_waits_is_cancelled_at_once(runner: JobRunner, target: Target) -> None:
    first = runner.submit(job("first", until_stopped, writes=True), target, target.done.append)
    second = runner.submit(job("second", writes=True), target, target.done.append)
    runner.cancel(second)
    assert second.state is JobState.CANCELLED
    runner.cancel(first)
    wait(lambda: runner.idle)
    assert target.done == []


def test_a_new_job_cancels_the_previous_one_with_the_same_key(runner: JobRunner, target: Target) -> None:
    old = runner.submit(job("old", until_stopped, key="k"), target, target.done.append)
    wait(lambda: old.state is JobState.RUNNING)
    runner.submit(job("new", key="k"), target, target.done.append)
    wait(lambda: runner.idle)
    assert target.done == ["new"]
    assert old.state is JobState.CANCELLED


def test_a_late_result_of_a_cancelled_look_up_is_dropped(runner: JobRunner, target: Target) -> None:
    def finishes_anyway(job: Job[str]) -> None:
        while not job.should_stop():
            time.sleep(0.001)

    old = runner.submit(job("old", finishes_anyway, key="k"), target, target.done.append)
    wait(lambda: old.state is JobState.RUNNING)
    runner.cancel(old)
    wait(lambda: runner.idle)
    assert target.done == []


def test_progress_is_throttled_and_never_posted_for_quiet_jobs(runner: JobRunner, target: Target) -> None:
    def work(job: Job[str]) -> None:
        for done in range(10_000):
            job.progress(done, 10_000)

    loud = runner.submit(job("loud", work), target, target.done.append)
    wait(lambda: runner.idle)
    told = [message for message in target.messages if isinstance(message, JobChanged)]
    assert 3 <= len(told) < 50
    assert loud.done == 9_999
    target.messages.clear()
    runner.submit(job("quiet", work, quiet=True), target, target.done.append)
    wait(lambda: runner.idle)
    assert target.messages == []
    assert target.done[-1] == "quiet"


def test_closing_stops_all_jobs_and_does_not_wait_for_reads(target: Target) -> None:
    runner = JobRunner()
    stuck = threading.Event()
    runner.submit(job("deaf", lambda job: stuck.wait(30)), target, target.done.append)
    write = runner.submit(job("write", until_stopped, writes=True), target, target.done.append)
    wait(lambda: write.state is JobState.RUNNING)
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 2
    assert write.state is JobState.CANCELLED
    assert runner.submit(job("late"), target, target.done.append).state is JobState.CANCELLED
    stuck.set()


def test_an_error_goes_to_the_handler_of_its_job(runner: JobRunner, target: Target) -> None:
    def fail(job: Job[str]) -> None:
        raise LayerUnknown("x")

    errors: list[Exception] = []
    runner.submit(job("bad", fail), target, target.done.append, errors.append)
    wait(lambda: runner.idle)
    assert [type(error) for error in errors] == [LayerUnknown]
    assert target.done == []
    assert not any(isinstance(message, JobFailed) for message in target.messages)


def test_a_closed_target_gets_nothing(runner: JobRunner, target: Target) -> None:
    def ended(*_: object) -> bool:
        raise RuntimeError("the event loop has ended")

    target.post_message = target.call_later = ended  # type: ignore[method-assign]
    one = runner.submit(job("one"), target, target.done.append)
    wait(lambda: runner.idle)
    assert one.state is JobState.DONE
    assert target.done == []


def test_a_target_that_is_being_closed_gets_no_result_and_no_error(runner: JobRunner, target: Target) -> None:
    def fail(job: Job[str]) -> None:
        raise LayerUnknown("x")

    target.going = True
    errors: list[Exception] = []
    runner.submit(job("one"), target, target.done.append)
    runner.submit(job("bad", fail), target, target.done.append, errors.append)
    wait(lambda: runner.idle)
    assert (target.done, errors) == ([], [])
