"""Repair what a check found: first make a plan that says what will be done, then run the chosen steps.

Each step takes the write lock and finds its fault again before it changes something. Nothing outside the plan is
changed, and a file that cannot be parsed is never written. A step is atomic, as `delete` is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from layerstore.check.files import (
    TAR_SPLIT_SUFFIX,
    check_data,
    check_folder,
    check_layer,
    check_link,
    check_staging,
    check_temporary,
)
from layerstore.check.findings import Finding, Kind, short
from layerstore.check.records import broken_record, name_twice, stale_mounts, with_descendants
from layerstore.check.scene import Scene
from layerstore.drivers import staging
from layerstore.drivers.survey import FaultKind
from layerstore.errors import LayerInUse, LayerStoreError, StoreReadOnly
from layerstore.linux.folders import FolderStack, remove_path
from layerstore.linux.mounttable import command_of
from layerstore.linux.usage import measure
from layerstore.model import DiskUsage, Layer, ShouldStop
from layerstore.operations import mount as mounting
from layerstore.operations import remove
from layerstore.operations.transaction import Backend, Transaction
from layerstore.records.records import Edit

StepProgress = Callable[[int, int], None]
"""Called with the number of steps that are done, and the number of all steps."""


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One step of a repair.

    `finding` is what it repairs. `layer` is the layer that it changes, which may be based on the finding's. `text` says
    what it will do, and `loses` the loss, "" for none. `frees` is the disk space that it frees, None if that
    was not measured. A `forced` step is done although images or containers need the layer.
    """

    finding: Finding
    layer: str
    text: str
    loses: str = ""
    frees: DiskUsage | None = None
    forced: bool = False

    @property
    def destructive(self) -> bool:
        """Whether something is lost."""
        return self.loses != ""


class Outcome(StrEnum):
    """The outcome of a step."""

    DONE = "done"
    GONE = "gone"  # the fault no longer exists
    FAILED = "failed"
    SKIPPED = "skipped"  # the repair was stopped before this step


@dataclass(frozen=True, slots=True)
class RepairResult:
    """The outcome of a step, and why it was not done."""

    step: RepairStep
    outcome: Outcome
    text: str = ""


_CHAIN: Final = frozenset({Kind.NO_PARENT, Kind.CIRCLE, Kind.INCOMPLETE, Kind.NO_FOLDER, Kind.NO_DIFF})
"""Faults that only the removal of the layer, and of all layers based on it, can fix."""


def plan(
    backend: Backend,
    findings: Iterable[Finding],
    *,
    force: bool = False,
    sizes: bool = False,
    should_stop: ShouldStop | None = None,
) -> list[RepairStep]:
    """Return the steps of a repair in the order in which to run them (see `LayerStore.repair_plan`)."""
    with backend.reading() as records:
        scene = Scene(backend, records)
        steps = [step for finding in findings for step in _steps(scene, finding, force=force)]
        scene.look_for_users()
        if scene.trouble:  # it is unknown who needs which layers
            steps = [step for step in steps if not step.destructive]
    unique = _in_order(steps)
    if sizes:
        unique = [replace(step, frees=freed(backend, step, should_stop=should_stop)) for step in unique]
    return unique


def _in_order(steps: list[RepairStep]) -> list[RepairStep]:
    """Sort the steps and drop duplicates. A layer with several faults is removed once."""
    seen: set[object] = set()
    unique = []
    for step in sorted(steps, key=lambda step: _ORDER[step.finding.kind]):
        key = step.layer if step.finding.kind in _CHAIN else step.finding.key
        if key not in seen:
            seen.add(key)
            unique.append(step)
    return unique


def freed(backend: Backend, step: RepairStep, *, should_stop: ShouldStop | None = None) -> DiskUsage | None:
    """Return the disk space that a step frees, None if it deletes nothing. Visits every file, without a lock.

    Raises:
        Cancelled: `should_stop` returned True.
    """
    path = step.finding.path
    if step.finding.kind in _CHAIN:
        path = os.path.join(backend.driver.layers_folder, step.layer)
    elif step.finding.kind not in {Kind.ORPHAN_FOLDER, Kind.TEMPORARY, Kind.STAGING, Kind.ORPHAN_DATA}:
        return None
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            with FolderStack(path) as stack:
                return DiskUsage(*measure(stack, None, should_stop))
        return DiskUsage(os.lstat(path).st_blocks * 512, 1)
    except OSError:
        return None


def repair(
    backend: Backend,
    steps: Iterable[RepairStep],
    *,
    progress: StepProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[RepairResult]:
    """Run the steps, each under its own write lock (see `LayerStore.repair`)."""
    if backend.read_only:
        raise StoreReadOnly(backend.layout.graph_root, "repair it")
    wanted = list(steps)
    results: list[RepairResult] = []
    stopped = False
    for step in wanted:
        stopped = stopped or (should_stop is not None and should_stop())
        results.append(RepairResult(step, Outcome.SKIPPED) if stopped else _one(backend, step))
        if progress is not None:
            progress(len(results), len(wanted))
    return results


def _one(backend: Backend, step: RepairStep) -> RepairResult:
    try:
        with backend.writing("repair the store") as tx:
            scene = Scene(backend, tx.all_records)
            now = _again(scene, step)
            if scene.trouble and (now is None or step.destructive):  # it is unknown who needs the layer
                return RepairResult(step, Outcome.FAILED, scene.trouble[0].text)
            if now is None:
                return RepairResult(step, Outcome.GONE)
            _ACTIONS[step.finding.kind](tx, scene, step, now)
    except (LayerStoreError, OSError) as error:
        return RepairResult(step, Outcome.FAILED, str(error))
    return RepairResult(step, Outcome.DONE)


# Planning


def _steps(scene: Scene, finding: Finding, *, force: bool) -> Iterator[RepairStep]:
    if finding.repair is None:
        return
    if finding.kind in _CHAIN:
        yield from _chain_steps(scene, finding, force=force)
        return
    needed = _needed(scene, finding)
    if finding.kind not in {Kind.ORPHAN_FOLDER, Kind.ORPHAN_DATA}:
        loses = "a data item that no record names" if finding.kind is Kind.STRAY_BIG_DATA else ""
        yield RepairStep(finding, finding.layer, f"{finding.repair} ({finding.path or short(finding.layer)})", loses)
    elif not needed or force:
        loses = "its content"
        if needed:
            who = ", ".join(finding.users) or f"layer {short(scene.bases.get(finding.layer, '(unknown)'))}"
            loses += f", which may be needed by {who}"
        yield RepairStep(finding, finding.layer, f"delete {finding.path}", loses, forced=needed)


def _chain_steps(scene: Scene, finding: Finding, *, force: bool) -> Iterator[RepairStep]:
    """Yield a step for each layer to remove, children first, or none if one of them is needed."""
    if finding.layer not in scene.records.by_id:
        return
    doomed = with_descendants(scene, finding.layer)
    used = {layer_id: scene.users(layer_id) for layer_id in doomed}
    if any(images or containers for images, containers in used.values()) and not force:
        return
    for layer_id in doomed:
        images, containers = used[layer_id]
        who = [*(f"image {name}" for name in images), *(f"container {name}" for name in containers)]
        why = "" if layer_id == finding.layer else f", which is based on {short(finding.layer)}"
        nothing_there = finding.kind is Kind.INCOMPLETE and layer_id == finding.layer
        loses = "the incomplete files of the layer" if nothing_there else "the layer's files"
        if who:
            loses += f"; it is needed by {', '.join(who)}"
        yield RepairStep(finding, layer_id, f"remove layer {short(layer_id)}{why}", loses, forced=bool(who))


# Checking that the finding still exists


def _again(scene: Scene, step: RepairStep) -> Finding | None:
    """Check again for the finding of a step, and return it as it is now, or None if it is gone."""
    finding = step.finding
    kind, name = finding.kind, os.path.basename(finding.path)
    if kind in _CHAIN:
        return _broken_again(scene, step)
    if kind is Kind.NAME_TWICE:
        return name_twice(finding.layer) if finding.layer in scene.records.stolen_names else None
    found: Iterable[Finding | None]
    if kind is Kind.ORPHAN_FOLDER:
        found = [check_folder(scene, name)]
    elif kind is Kind.LINK_STRAY:
        found = [check_link(scene, name)]
    elif kind is Kind.ORPHAN_DATA:
        found = [check_data(scene, name)]
    elif kind is Kind.STAGING:
        found = [check_staging(scene, name)]
    elif kind is Kind.TEMPORARY:
        found = check_temporary(scene)
    elif kind is Kind.STALE_MOUNT:
        found = stale_mounts(scene)
    else:
        layer = scene.records.by_id.get(finding.layer)
        found = check_layer(scene, layer) if layer is not None else ()
    return next((now for now in found if now is not None and now.key == finding.key), None)


def _broken_again(scene: Scene, step: RepairStep) -> Finding | None:
    """Return the finding as it is now if the step's layer is still the finding's layer, or based on it."""
    finding, records = step.finding, scene.records
    root = records.by_id.get(finding.layer)
    if root is None or root.image_store or step.layer not in with_descendants(scene, finding.layer):
        return None
    if finding.kind in {Kind.NO_FOLDER, Kind.NO_DIFF}:
        return next((now for now in check_layer(scene, root) if now.kind is finding.kind), None)
    for problem in records.problems():
        if problem.layer == finding.layer and problem.kind == finding.kind:
            return broken_record(scene, finding.kind, finding.layer, problem.text)
    return None


# Repairing


def _remove_layer(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    layer = tx.records.find(step.layer)
    if now.kind is Kind.CIRCLE:
        _remove_from_circle(tx, scene, layer, now, forced=step.forced)
    else:
        remove.delete(tx, layer, force=step.forced)


def _remove_from_circle(tx: Transaction, scene: Scene, layer: Layer, now: Finding, *, forced: bool) -> None:
    """Remove a layer whose child is its ancestor too. Its other children prevent the removal."""
    del now
    ring = {problem.layer for problem in tx.records.problems() if problem.kind == Kind.CIRCLE}
    found = remove.dependents(tx.records, scene.references, scene.mounts, layer.id)
    replace(found, children=tuple(child for child in found.children if child not in ring)).refuse(force=forced)
    mounting.refuse_living(tx.backend, layer.id, scene.mounts.get(layer.id))
    tx.remove(layer)


def _delete_folder(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    _refuse_needed(scene, step, now)
    if not scene.driver.takes_mounts:
        mounting.refuse_living(tx.backend, now.layer, scene.mounts.get(now.layer))
    elif pid := scene.driver.mounted_elsewhere({now.layer}).get(now.layer):
        process = f"{command_of(pid)} (PID {pid})"
        raise LayerInUse(now.layer, processes=(process,), hint="it is mounted in another mount namespace")
    tx.driver.remove(now.layer)


def _delete_data(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx
    _refuse_needed(scene, step, now)
    if now.path.endswith(TAR_SPLIT_SUFFIX):
        os.unlink(now.path)
    else:
        shutil.rmtree(now.path)


def _needed(scene: Scene, finding: Finding) -> bool:
    """Return whether something without a record is needed, or may be needed by a layer that has lost its record."""
    if finding.kind is Kind.ORPHAN_DATA and scene.incoherent:
        return True
    return bool(finding.images or finding.containers or finding.layer in scene.bases)


def _refuse_needed(scene: Scene, step: RepairStep, now: Finding) -> None:
    """Refuse to delete what has come into use since the plan was made."""
    if _needed(scene, now) and not step.forced:
        children = (scene.bases[now.layer],) if now.layer in scene.bases else ()
        hint = "" if children or now.users else "records of other layers are missing"
        raise LayerInUse(now.layer, children=children, images=now.images, containers=now.containers, hint=hint)


def _delete_file(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, scene, step
    remove_path(now.path)


def _repair_folder(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    mount = scene.mounts.get(now.layer)
    if now.kind is Kind.LOWER and mount is not None and not mount.stale:
        raise LayerInUse(step.layer, mounts=(mount.path,))
    below, children = scene.below(tx.records.by_id[now.layer]), scene.records.children(now.layer)
    scene.survey.repair(FaultKind(now.kind), now.layer, below, children)


def _discard(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, step
    scene.survey.discard(FaultKind(now.kind), now.path)


def _clear_mount(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del scene, step
    mounting.clear_stale(tx, now.layer)


def _drop_name(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del scene, step
    tx.save({now.layer: Edit({"names": tx.records.stolen_names[now.layer] or None})})


def _clean_up(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del scene, step
    if now.path == tx.backend.layout.layers_aside:
        staging.recover(Path(now.path))
    else:
        tx.driver.cleanup()


_ACTIONS: Final[dict[Kind, Callable[[Transaction, Scene, RepairStep, Finding], None]]] = {
    Kind.STALE_MOUNT: _clear_mount,
    Kind.NAME_TWICE: _drop_name,
    Kind.LINK_FILE: _repair_folder,
    Kind.LINK_LOST: _repair_folder,
    Kind.LOWER: _repair_folder,
    Kind.WORK_FOLDER: _repair_folder,
    Kind.INCOMPLETE: _remove_layer,
    Kind.NO_PARENT: _remove_layer,
    Kind.CIRCLE: _remove_layer,
    Kind.NO_FOLDER: _remove_layer,
    Kind.NO_DIFF: _remove_layer,
    Kind.ORPHAN_FOLDER: _delete_folder,
    Kind.ORPHAN_DATA: _delete_data,
    Kind.STRAY_BIG_DATA: _delete_file,
    Kind.LINK_STRAY: _discard,
    Kind.TEMPORARY: _clean_up,
    Kind.STAGING: _discard,
}
"""How to repair each kind, in the order of the steps: names before the lists made of them, links last."""

_ORDER: Final = {kind: place for place, kind in enumerate(_ACTIONS)}
