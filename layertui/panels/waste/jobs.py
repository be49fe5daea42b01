"""Jobs of the Waste panel."""

from __future__ import annotations

from layerstore import Cancelled, LayerStore
from layertui.jobs.runner import Job
from layertui.panels.waste.model import WasteTable, by_path


def waste_job(store: LayerStore, layer_id: str) -> Job[WasteTable]:
    """Find the bytes that a layer and its ancestors waste."""

    def work(job: Job[WasteTable]) -> WasteTable:
        report = store.waste(layer_id, progress=job.progress, should_stop=job.should_stop)
        if job.should_stop():
            raise Cancelled("looking for waste")
        return by_path(report)

    return Job("look for waste", work, quiet=True, key="waste")
