"""Jobs of the JSON panel."""

from __future__ import annotations

from dataclasses import dataclass

from layerstore import LayerStore
from layertui.jobs.runner import Job
from layertui.panels.json.model import JsonText, parse_json


@dataclass(frozen=True, slots=True)
class Record:
    """A layer's record, and the bytes of its big data by name, None for a missing blob."""

    text: JsonText
    blobs: dict[str, int | None]


def record_job(store: LayerStore, layer_id: str) -> Job[Record]:
    """Read a layer's record as it is on disk."""

    def work(job: Job[Record]) -> Record:
        del job
        text = store.record(layer_id).decode("utf-8", "surrogateescape")
        return Record(parse_json(text), store.big_data(layer_id))

    return Job("read the record", work, quiet=True, key="record")
