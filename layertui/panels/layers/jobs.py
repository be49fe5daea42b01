"""Jobs of the list of layers."""

from __future__ import annotations

from layerstore import DiskUsage, LayerStore
from layertui.jobs.runner import Job


def measure_job(store: LayerStore, layer_id: str) -> Job[DiskUsage]:
    """Measure the bytes that a layer uses on disk."""

    def work(job: Job[DiskUsage]) -> DiskUsage:
        return store.usage(layer_id, should_stop=job.should_stop)

    return Job("measure the layer", work, quiet=True, key="measure")
