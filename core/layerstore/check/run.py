"""The integrity check: whether a store is consistent and, on request, whether its layers match their tars.

Cheap checks run first: the records, the names of files, and on request the contents of files. Checking a store changes
nothing. The check finds everything that containers/storage (check.go) finds. It also finds faults of the driver's
links, leftovers, and whether the content or only the time of a file has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore.check.files import (
    check_data,
    check_folder,
    check_layer,
    check_link,
    check_temporary,
    data_names,
)
from layerstore.check.findings import Finding, Kind, Severity, unreadable
from layerstore.check.records import check_records
from layerstore.check.scene import Scene
from layerstore.errors import Cancelled, StoreCorrupt
from layerstore.model import Layer, Progress, ShouldStop
from layerstore.operations.transaction import Backend
from layerstore.records.image_stores import PROBLEM

if TYPE_CHECKING:
    from layerstore.check.content import Told

_TRIES = 3


def check(
    backend: Backend,
    *,
    deep: bool = False,
    refs: Iterable[str] | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with a store (see `LayerStore.check`)."""
    chosen: frozenset[str] | None = None
    try:
        if refs is not None:
            with backend.reading() as records:
                chosen = frozenset(records.find(ref).id for ref in refs)
        findings, layers = _quick(backend, chosen, should_stop)
    except StoreCorrupt as error:  # nothing can be checked without records
        yield unreadable(error)
        return
    yield from findings
    if deep:
        yield from _deep(backend, layers, progress, should_stop)


def _quick(
    backend: Backend, chosen: frozenset[str] | None, should_stop: ShouldStop | None
) -> tuple[list[Finding], list[Layer]]:
    """Return what can be found without reading files, and the layers to read. The lock makes this a snapshot."""
    with backend.reading() as records:
        scene = Scene(backend, records)
        found = [one for one in _all_quick(scene, chosen, should_stop) if chosen is None or one.layer in chosen]
        layers = [layer for layer in records.layers if chosen is None or layer.id in chosen]
        return [*(scene.trouble if chosen is None else ()), *found], layers


def _all_quick(scene: Scene, chosen: frozenset[str] | None, should_stop: ShouldStop | None) -> Iterator[Finding]:
    if chosen is None:
        for problem in scene.backend.problems():
            if problem.kind == PROBLEM:
                yield Finding(Kind.IMAGE_STORE, "", Severity.DAMAGE, problem.text)
    yield from check_records(scene)
    for layer in scene.records.layers:
        _check_stop(should_stop)
        if chosen is None or layer.id in chosen:
            yield from check_layer(scene, layer)
    if chosen is not None:
        return
    for look, names in (
        (check_folder, sorted(scene.orphans)),
        (check_link, scene.survey.links()),
        (check_data, data_names(scene)),
    ):
        for name in names:
            _check_stop(should_stop)
            finding = look(scene, name)
            if finding is not None:
                yield finding
    yield from check_temporary(scene)


def _deep(
    backend: Backend, layers: list[Layer], progress: Progress | None, should_stop: ShouldStop | None
) -> Iterator[Finding]:
    """Read the layers one by one, without holding a lock that writers would wait for."""
    from layerstore.check.content import can_check  # late, because it imports compression and hashing

    work = [layer for layer in layers if can_check(backend, layer)]
    total = sum(max(layer.diff_size, 0) for layer in work)
    done = 0
    for layer in work:

        def told(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, max(total, before + count))

        yield from _one_deep(backend, layer, told, should_stop)
        done += max(layer.diff_size, 0)
        if progress is not None:
            progress(done, total)


def _one_deep(backend: Backend, layer: Layer, told: Told, should_stop: ShouldStop | None) -> list[Finding]:
    """Return what is wrong inside a layer, checking again if the layer was changed in the meantime."""
    from layerstore.check.content import can_check, check_content

    found: list[Finding] = []
    for _ in range(_TRIES):
        _check_stop(should_stop)
        found = check_content(backend, layer, told=told, should_stop=should_stop)
        if not found:
            return []
        with backend.reading() as records:
            now = records.by_id.get(layer.id)
        if now == layer:
            images, containers = _users(backend, layer)
            return [replace(finding, images=images, containers=containers) for finding in found]
        if now is None or not can_check(backend, now):
            return []
        layer = now
    return found


def _users(backend: Backend, layer: Layer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        with backend.reading() as records:
            references = backend.references(records)
    except StoreCorrupt:  # already reported
        return (), ()
    return references.images(layer.id), references.containers(layer.id)


def _check_stop(should_stop: ShouldStop | None) -> None:
    if should_stop is not None and should_stop():
        raise Cancelled("the check", "the findings so far are valid")
