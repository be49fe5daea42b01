"""Deletes layers, after checking that nothing depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from layerstore.errors import Cancelled, LayerInUse
from layerstore.model import Layer, MountState, ShouldStop
from layerstore.operations.mount import refuse_living, survey, unmount
from layerstore.operations.transaction import Transaction
from layerstore.records.records import Records
from layerstore.records.references import References


@dataclass(frozen=True, slots=True)
class Dependents:
    """Everything that depends on a layer: a snapshot, with the limits of `References` and `MountState`.

    Attributes:
        layer: The ID of the layer.
        children: The IDs of the layers based on it, including those of a store with `transient_store`.
        images: The names of the images that need it.
        containers: The names of the containers that need it.
        mounts: The paths at which it is mounted. Stale mounts are left out.
    """

    layer: str
    children: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()

    def refuse(self, *, force: bool) -> None:
        """Raise `LayerInUse` if anything depends on the layer. `force` overrides everything except children."""
        if self.children or (not force and (self.images or self.containers or self.mounts)):
            raise LayerInUse(
                self.layer,
                children=self.children,
                images=self.images,
                containers=self.containers,
                mounts=self.mounts,
            )


def dependents(records: Records, references: References, mounts: Mapping[str, MountState], layer_id: str) -> Dependents:
    """Return everything that depends on the layer."""
    mount = mounts.get(layer_id)
    return Dependents(
        layer_id,
        (*records.children(layer_id), *references.unlisted_children(layer_id)),
        references.images(layer_id),
        references.containers(layer_id),
        (mount.path,) if mount is not None and not mount.stale else (),
    )


def delete(tx: Transaction, layer: Layer, *, force: bool) -> None:
    """Delete a layer, or raise `LayerInUse` and change nothing.

    With `force` it is unmounted first, unless processes use it or it is mounted in another mount namespace.
    """
    backend = tx.backend
    mounts = survey(backend)
    found = dependents(tx.records, backend.references(tx.records), mounts, layer.id)
    found.refuse(force=force)
    if found.mounts or found.containers:
        refuse_living(backend, layer.id, mounts.get(layer.id))
    unmount(tx, layer.id, force=True)
    tx.remove(layer)


def wipe(tx: Transaction, *, force: bool, should_stop: ShouldStop | None) -> None:
    """Delete all layers, children before parents, or raise `LayerInUse` before any is deleted."""
    backend = tx.backend
    records, mounts = tx.records, survey(backend)
    references = backend.references(records)
    for layer in records.layers:
        found = dependents(records, references, mounts, layer.id)
        replace(found, children=references.unlisted_children(layer.id)).refuse(force=force)  # all other children go too
        if found.mounts or found.containers:
            refuse_living(backend, layer.id, mounts.get(layer.id))
    for layer_id in children_first(records, [layer.id for layer in records.layers]):
        if should_stop is not None and should_stop():
            raise Cancelled("wiping the store", "the remaining layers are intact")
        unmount(tx, layer_id, force=True)
        tx.remove(records.by_id[layer_id])


def children_first(records: Records, ids: list[str]) -> list[str]:
    """Return `ids` sorted so that children come before their parents. Layers in a circle come in any order."""
    wanted = set(ids)
    depth: dict[str, int] = {}
    for layer_id in ids:
        path: dict[str, None] = {}
        node = layer_id
        while node in wanted and node not in depth and node not in path:
            path[node] = None
            node = records.by_id[node].parent
        base = depth.get(node, -1)
        for distance, seen in enumerate(reversed(path), start=1):
            depth[seen] = base + distance
    return sorted(ids, key=depth.__getitem__, reverse=True)
