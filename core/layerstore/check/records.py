"""Checks of the records: whether they fit together, and whether images, containers and mounts have their layers."""

from __future__ import annotations

from collections.abc import Iterator

from layerstore.check.findings import Finding, Kind, Severity, short
from layerstore.check.scene import Scene
from layerstore.records.references import UsersOfLayers


def check_records(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the records of layers, images and containers, and with mountpoints.json."""
    scene.look_for_users()
    for problem in scene.records.problems():
        kind = Kind(problem.kind)
        if kind is not Kind.INCOMPLETE or scene.records.by_id[problem.layer].image_store == "":
            yield broken_record(scene, kind, problem.layer, problem.text)
    for layer_id in sorted(scene.records.stolen_names):
        yield name_twice(layer_id)
    yield from _users_without_layers(scene, scene.images, "image")
    yield from _users_without_layers(scene, scene.containers, "container")
    yield from stale_mounts(scene)


def broken_record(scene: Scene, kind: Kind, layer_id: str, text: str) -> Finding:
    """Return the finding for a layer that is unusable because of its record, or the record of a layer below."""
    images, containers = scene.users(layer_id)
    severity, repair = Severity.DAMAGE, removal(scene, layer_id)
    if kind is Kind.DUPLICATE:
        repair = None
    elif kind is Kind.INCOMPLETE and not scene.records.children(layer_id):
        severity = Severity.LEFTOVER
    return Finding(kind, layer_id, severity, text, "", images, containers, repair)


def removal(scene: Scene, layer_id: str) -> str | None:
    """Return what the removal of an unusable layer would do, None for a layer of an image store."""
    if scene.records.by_id[layer_id].image_store:
        return None
    text, above = "remove the layer", len(with_descendants(scene, layer_id)) - 1
    if above:
        text += f" and {above} {'layer' if above == 1 else 'layers'} based on it"
    return f"{text}; only with force, because it is in use" if any(scene.users(layer_id)) else text


def with_descendants(scene: Scene, layer_id: str) -> list[str]:
    """Return the layer and all layers based on it, children first."""
    found, seen = [layer_id], {layer_id}
    for parent in found:
        for child in scene.records.children(parent):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found[::-1]


def name_twice(layer_id: str) -> Finding:
    """Return the finding for a layer whose name a later layer has too."""
    text = f"layer {short(layer_id)} has a name in its record that a later layer has too; the later layer keeps it"
    repair = "remove the name from the earlier record"
    return Finding(Kind.NAME_TWICE, layer_id, Severity.LEFTOVER, text, repair=repair)


def _users_without_layers(scene: Scene, users: UsersOfLayers, what: str) -> Iterator[Finding]:
    """Yield the images or containers whose top layer, or a layer below it, has no record."""
    kind = Kind.IMAGE_LAYER if what == "image" else Kind.CONTAINER_LAYER
    for user in users:
        label = user.labels[0]
        images, containers = (user.labels, ()) if what == "image" else ((), user.labels)
        for top in dict.fromkeys(filter(None, user.layers)):
            if not scene.recorded(top):
                there = ", although its folder exists" if scene.has_folder(top) else ""
                text = f"{what} {label} needs layer {short(top)}, which has no record{there}"
                yield Finding(kind, top, Severity.DAMAGE, text, user.id, images, containers)
            elif what == "image" and (gap := _gap(scene, top)):
                below, missing = gap
                text = f"image {label} needs layer {short(missing)} below layer {short(below)}, which has no record"
                yield Finding(Kind.IMAGE_CHAIN, below, Severity.DAMAGE, text, user.id, images, containers)


def _gap(scene: Scene, layer_id: str) -> tuple[str, str] | None:
    """Return the layer of a chain whose parent has no record, and that parent."""
    table = scene.records.layers
    seen: set[int] = set()
    position = table.positions.get(layer_id, -1)
    while position >= 0 and position not in seen:
        seen.add(position)
        if position in table.lost_parents:
            return table.ids[position], table.lost_parents[position]
        position = table.parents[position]
    return None


def stale_mounts(scene: Scene) -> Iterator[Finding]:
    """Yield the entries of mountpoints.json that the kernel's mount table does not confirm."""
    for state in scene.mounts.values():
        if state.stale:
            text = f"mountpoints.json has layer {short(state.id)} mounted at {state.path}, but nothing is mounted there"
            yield Finding(Kind.STALE_MOUNT, state.id, Severity.LEFTOVER, text, state.path, repair="remove the entry")
