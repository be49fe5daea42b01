"""The jobs that check a store and mend it: one call of the store each, as in `operations`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.message import Message

from layertui.jobs import messages
from layertui.jobs.runner import TICK, Job
from layertui.text.format import plural

if TYPE_CHECKING:
    from layerstore.check.findings import Finding
    from layerstore.check.repair import RepairStep
    from layerstore.store import LayerStore


class _Batches:
    """Hands findings on a few times a second, however fast they come."""

    def __init__(self, post: Callable[[Message], object], run: int) -> None:
        self._post = post
        self._run = run
        self._waiting: list[Finding] = []
        self._told = 0.0
        self.count = 0

    def add(self, finding: Finding) -> None:
        """Take one finding."""
        self._waiting.append(finding)
        self.count += 1
        self.tell()

    def tell(self, *, now: bool = False) -> None:
        """Hand on what waits, unless that was done just now."""
        if self._waiting and (now or time.monotonic() - self._told >= TICK):
            self._post(messages.FindingsFound(self._run, tuple(self._waiting)))
            self._waiting.clear()
            self._told = time.monotonic()


def check_job(store: LayerStore, post: Callable[[Message], object], run: int, *, deep: bool) -> Job:
    """Check the store; what is found goes to `post` as it comes, with the number of this run."""

    def work(job: Job) -> Message:
        batches = _Batches(post, run)

        def progress(done: int, total: int | None) -> None:
            batches.tell()
            job.progress(done, total)

        try:
            for finding in store.check(deep=deep, progress=progress, should_stop=job.should_stop):
                batches.add(finding)
        finally:
            batches.tell(now=True)
        return messages.CheckEnded(run)

    return Job("Read every layer" if deep else "Check the store", work)


def plan_repair_job(store: LayerStore, findings: Sequence[Finding], *, force: bool, sizes: bool = False) -> Job:
    """Work out what a repair would do; with `sizes` also what it frees, which takes longer."""

    def work(job: Job) -> Message:
        steps = store.repair_plan(findings, force=force, sizes=sizes, should_stop=job.should_stop)
        return messages.RepairPlanned(tuple(findings), tuple(steps), force, sizes)

    return Job("plan the repair", work, quiet=True, key="measure repair" if sizes else "plan repair")


def repair_job(store: LayerStore, steps: Sequence[RepairStep]) -> Job:
    """Do the steps, one after the other; stops between two of them."""

    def work(job: Job) -> Message:
        results = store.repair(steps, progress=job.progress, should_stop=job.should_stop)
        done = sum(result.outcome.value == "done" for result in results)
        job.result = f"{done} of {plural(len(results), 'step')} done"
        return messages.Repaired(tuple(results))

    return Job("Repair the store", work, writes=True, unit="step")
