"""Jobs of the Summary panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layerstore import LayerStore
from layertui.jobs.runner import Job


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of a layer by the driver's name for each, and the bytes of its big data, None for a missing blob."""

    paths: Mapping[str, Path]
    blobs: Mapping[str, int | None]


def places_job(store: LayerStore, layer_id: str) -> Job[Places]:
    """Find where the driver keeps a layer."""

    def work(job: Job[Places]) -> Places:
        del job
        return Places(store.paths(layer_id), store.big_data(layer_id))

    return Job("find the layer's folders", work, quiet=True, key="paths")
