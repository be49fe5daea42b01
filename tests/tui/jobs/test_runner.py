from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from textual.message import Message

from layerstore import Cancelled, LayerUnknown
from layertui.jobs.runner import Job, JobChanged, JobFailed, JobRunner, JobState


@dataclass
class Done(Message):
    name: str


class Target:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def post_message(self, message: Message) -> bool:
        self.messages.append(message)
        return True

    @property
    def done(self) -> list[str]:
        return [message.name for message in self.messages if isinstance(message, Done)]


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


def job(name: str, body: Callable[[Job], object] = lambda job: None, **options: bool | str) -> Job:
    def work(job: Job) -> Message:
        body(job)
        return Done(name)

    return Job(name, work, **options)  # type: ignore[arg-type]


def until_stopped(job: Job) -> None:
    while not job.should_stop():
        time.sleep(0.001)
    raise Cancelled


def test_a_job_posts_its_message(runner: JobRunner, target: Target) -> None:
    one = runner.submit(job("one"), target)
    wait(lambda: runner.idle)
    assert target.done == ["one"]
    assert one.state is JobState.DONE


def test_reads_run_side_by_side(runner: JobRunner, target: Target) -> None:
    barrier = threading.Barrier(3, timeout=5)
    for name in "abc":
        runner.submit(job(name, lambda job: barrier.wait()), target)
    wait(lambda: runner.idle)
    assert sorted(target.done) == ["a", "b", "c"]


def test_writes_run_one_at_a_time_and_in_order(runner: JobRunner, target: Target) -> None:
    running: list[str] = []

    def alone(job: Job) -> None:
        running.append(job.title)
        assert len(running) == 1
        time.sleep(0.005)
        running.remove(job.title)

    names = [str(number) for number in range(8)]
    for name in names:
        runner.submit(job(name, alone, writes=True), target)
    wait(lambda: runner.idle)
    assert target.done == names


def test_an_error_arrives_once(runner: JobRunner, target: Target) -> None:
    def fail(job: Job) -> None:
        raise LayerUnknown("x")

    failed = runner.submit(job("bad", fail), target)
    wait(lambda: runner.idle)
    errors = [message.error for message in target.messages if isinstance(message, JobFailed)]
    assert [type(error) for error in errors] == [LayerUnknown]
    assert failed.state is JobState.FAILED
    assert "not known" in failed.result


def test_cancelling_a_running_job(runner: JobRunner, target: Target) -> None:
    running = runner.submit(job("long", until_stopped), target)
    wait(lambda: running.state is JobState.RUNNING)
    runner.cancel(running)
    assert running.stopping or running.state.ended
    wait(lambda: runner.idle)
    assert running.state is JobState.CANCELLED
    assert target.done == []


def test_a_write_that_waits_is_cancelled_at_once(runner: JobRunner, target: Target) -> None:
    first = runner.submit(job("first", until_stopped, writes=True), target)
    second = runner.submit(job("second", writes=True), target)
    runner.cancel(second)
    assert second.state is JobState.CANCELLED
    runner.cancel(first)
    wait(lambda: runner.idle)
    assert target.done == []


def test_the_next_job_with_the_same_key_stops_the_one_before(runner: JobRunner, target: Target) -> None:
    old = runner.submit(job("old", until_stopped, key="k"), target)
    wait(lambda: old.state is JobState.RUNNING)
    runner.submit(job("new", key="k"), target)
    wait(lambda: runner.idle)
    assert target.done == ["new"]
    assert old.state is JobState.CANCELLED


def test_a_late_result_of_a_cancelled_look_up_is_dropped(runner: JobRunner, target: Target) -> None:
    def finishes_anyway(job: Job) -> None:
        while not job.should_stop():
            time.sleep(0.001)

    old = runner.submit(job("old", finishes_anyway, key="k"), target)
    wait(lambda: old.state is JobState.RUNNING)
    runner.cancel(old)
    wait(lambda: runner.idle)
    assert target.done == []


def test_progress_is_told_now_and_then_and_never_for_quiet_jobs(runner: JobRunner, target: Target) -> None:
    def work(job: Job) -> None:
        for done in range(10_000):
            job.progress(done, 10_000)

    loud = runner.submit(job("loud", work), target)
    wait(lambda: runner.idle)
    told = [message for message in target.messages if isinstance(message, JobChanged)]
    assert 3 <= len(told) < 50
    assert loud.done == 9_999
    target.messages.clear()
    runner.submit(job("quiet", work, quiet=True), target)
    wait(lambda: runner.idle)
    assert [type(message) for message in target.messages] == [Done]


def test_closing_stops_everything_and_does_not_hang_on_a_read(target: Target) -> None:
    runner = JobRunner()
    stuck = threading.Event()
    runner.submit(job("deaf", lambda job: stuck.wait(30)), target)
    write = runner.submit(job("write", until_stopped, writes=True), target)
    wait(lambda: write.state is JobState.RUNNING)
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 2
    assert write.state is JobState.CANCELLED
    assert runner.submit(job("late"), target).state is JobState.CANCELLED
    stuck.set()
