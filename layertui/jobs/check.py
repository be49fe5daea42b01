"""Jobs that check and repair a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layertui.jobs.runner import TICK, Job
from layertui.text.format import plural

if TYPE_CHECKING:
    from layerstore import Finding, LayerStore, RepairResult, RepairStep

FoundHandler = Callable[[tuple["Finding", ...]], object]
"""A callback that receives findings as they come, in the thread of the job."""


class _Batches:
    """Passes findings on a few times a second, however fast they come."""

    def __init__(self, found: FoundHandler) -> None:
        self._found = found
        self._waiting: list[Finding] = []
        self._passed_on = 0.0

    def add(self, finding: Finding) -> None:
        """Add one finding."""
        self._waiting.append(finding)
        self.flush()

    def flush(self, *, now: bool = False) -> None:
        """Pass on the waiting findings, unless others were passed on a moment ago."""
        if self._waiting and (now or time.monotonic() - self._passed_on >= TICK):
            self._found(tuple(self._waiting))
            self._waiting.clear()
            self._passed_on = time.monotonic()


def check_job(store: LayerStore, found: FoundHandler, *, deep: bool) -> Job[None]:
    """Check the store, and pass findings to `found` as they come."""

    def work(job: Job[None]) -> None:
        batches = _Batches(found)

        def progress(done: int, total: int | None) -> None:
            batches.flush()
            job.progress(done, total)

        try:
            for finding in store.check(deep=deep, progress=progress, should_stop=job.should_stop):
                batches.add(finding)
        finally:
            batches.flush(now=True)

    return Job("Read every layer" if deep else "Check the store", work)


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """A plan to repair findings.

    Attributes:
        findings: The findings to repair.
        steps: The steps of the repair, in order.
        force: Whether layers in use are included.
        measured: Whether the steps include how much disk space they free.
    """

    findings: tuple[Finding, ...]
    steps: tuple[RepairStep, ...]
    force: bool
    measured: bool


def plan_repair_job(
    store: LayerStore, findings: Sequence[Finding], *, force: bool, sizes: bool = False
) -> Job[RepairPlan]:
    """Plan a repair. With `sizes`, also measure what it frees, which takes longer."""

    def work(job: Job[RepairPlan]) -> RepairPlan:
        steps = store.repair_plan(findings, force=force, sizes=sizes, should_stop=job.should_stop)
        return RepairPlan(tuple(findings), tuple(steps), force, sizes)

    return Job("plan the repair", work, quiet=True, key="measure repair" if sizes else "plan repair")


def repair_job(store: LayerStore, steps: Sequence[RepairStep]) -> Job[tuple[RepairResult, ...]]:
    """Carry out the steps of a plan in order. A request to stop takes effect between two steps."""

    def work(job: Job[tuple[RepairResult, ...]]) -> tuple[RepairResult, ...]:
        results = store.repair(steps, progress=job.progress, should_stop=job.should_stop)
        done = sum(result.outcome.value == "done" for result in results)
        job.outcome = f"{done} of {plural(len(results), 'step')} done"
        return tuple(results)

    return Job("Repair the store", work, writes=True, unit="step")
