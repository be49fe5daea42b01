"""Jobs of the Lineage panel."""

from __future__ import annotations

from layertui.jobs.runner import Job
from layertui.model.query import Listing, build_lineage
from layertui.model.view import StoreView


def lineage_job(view: StoreView, layer_id: str) -> Job[Listing]:
    """Find the ancestors and descendants of a layer."""

    def work(job: Job[Listing]) -> Listing:
        del job
        return build_lineage(view, layer_id)

    return Job("find the lineage", work, quiet=True, key="lineage")
