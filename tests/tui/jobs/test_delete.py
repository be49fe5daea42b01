"""Deleting several layers: a job that is cancelled or fails reports how far it got."""

from __future__ import annotations

from typing import Any

import pytest

from layerstore.errors import LayerInUse
from layerstore.store import LayerStore
from layertui.dialogs.explain import explain
from layertui.jobs.read import read_view
from layertui.jobs.runner import Job, JobState
from layertui.jobs.strip import JobsStrip
from layertui.jobs.write import delete_job
from support.browser import Place, browsing


def test_a_cancelled_deletion_reports_how_far_it_got(place: Place, store: LayerStore) -> None:
    view = read_view(store, {})
    rows = [view[store.get(name).id] for name in ("tool", "lone")]
    reported: list[tuple[int, int | None]] = []

    def notify(job: Job[Any]) -> None:
        reported.append((job.done, job.total))
        job.stop_event.set()

    job = delete_job(store, rows, force=False)
    job.notify = notify
    assert job.work(job) == (rows[0].id,)
    assert job.outcome == "1 layer deleted, cancelled before the other 1"
    assert (reported, job.unit) == ([(0, 2)], "layer")
    assert store.exists("lone")


async def test_the_strip_counts_layers_and_not_bytes(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        strip = browser.screen.query_one(JobsStrip)
        job = Job("Delete 5 layers", lambda _: None, unit="layer")
        job.state, job.done, job.total, job.started = JobState.RUNNING, 2, 5, 1.0
        strip.update(job)
        await browser.until(lambda: "40%" in browser.text("JobsStrip"))
        assert "2 of 5 layers" in browser.text("JobsStrip")
        assert "B/s" not in browser.text("JobsStrip")


def test_a_failed_deletion_reports_how_far_it_got(place: Place, store: LayerStore) -> None:
    view = read_view(store, {})
    rows = [view[store.get(name).id] for name in ("tool", "base")]
    job = delete_job(store, rows, force=False)
    with pytest.raises(LayerInUse) as caught:
        job.work(job)
    assert "1 layer of 2 had been deleted before." in explain(caught.value).text
    assert not store.exists("tool")
    assert store.exists("base")
