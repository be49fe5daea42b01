"""One consistent view of a store, read under one lock."""

from __future__ import annotations

from dataclasses import dataclass

from layerstore.model import MountState
from layerstore.operations import mount
from layerstore.operations.transaction import Backend, problems_of
from layerstore.records.records import Problem
from layerstore.records.references import References
from layerstore.records.table import LayerTable


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """A consistent view of a store, safe to pass to another thread.

    No writer that follows the locking rules of containers/storage can change layers or mounts between its parts.

    Attributes:
        layers: All layers.
        mounts: Every mount of a layer.
        problems: The problems of the records and of the image stores.
        references: The images and containers that use the layers.
        stamp: The stamp of the store before it was read: `LayerStore.stamp` differs if the snapshot may be stale.
    """

    layers: LayerTable
    mounts: tuple[MountState, ...]
    problems: tuple[Problem, ...]
    references: References
    stamp: tuple[object, ...]


def take(backend: Backend) -> StoreSnapshot:
    """Return a snapshot of the store (see `LayerStore.read`)."""
    with backend.reading() as records:
        before = stamp(backend)
        images, unread = backend.image_stores.survey()
        references = backend.references(records, images)
        problems = problems_of(records, unread, references)
        mounts = mount.survey(backend).values()
        return StoreSnapshot(records.layers, tuple(mounts), tuple(problems), references, before)


def stamp(backend: Backend) -> tuple[object, ...]:
    """Return a value that changes with every write to the store (see `LayerStore.stamp`)."""
    return (
        backend.layers_lock.peek(),
        backend.record_files.stamp(),
        backend.mounts_lock.peek(),
        backend.mounts_file.stamp(),
        mount.kernel_stamp(backend),
        backend.reference_files.stamp(),
        backend.image_stores.stamp(),
    )
