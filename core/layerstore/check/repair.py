"""Repair of what a check found: first a plan that says what it will do, then the steps that somebody chose of it.

A step is done under the write lock, after the very thing that it is about was found again; what is not in a plan is not
touched, and no file that does not parse is written. A step leaves all or nothing, as `delete` does.
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
    STAGING_LOCK,
    TAR_SPLIT_SUFFIX,
    chain_of,
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
from layerstore.drivers.overlay.mounted import elsewhere
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
"""Hears how many steps are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One thing that a repair will do.

    `finding` is what it is about, `layer` the one that it changes (which may be one based on the finding's). `text`
    says what will be done and `loses` what is lost by it, "" for nothing. `frees` is what it gives back on disk, None
    where that was not measured. With `forced` it is done although images or containers need the layer.
    """

    finding: Finding
    layer: str
    text: str
    loses: str = ""
    frees: DiskUsage | None = None
    forced: bool = False

    @property
    def destructive(self) -> bool:
        """True where something is lost."""
        return self.loses != ""


class Outcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    GONE = "gone"  # what it was about is not there any more
    FAILED = "failed"
    SKIPPED = "skipped"  # the repair was stopped before it


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What became of a step, and why if it was not done."""

    step: RepairStep
    outcome: Outcome
    text: str = ""


_CHAIN: Final = frozenset({Kind.NO_PARENT, Kind.CIRCLE, Kind.INCOMPLETE, Kind.NO_FOLDER, Kind.NO_DIFF})
"""What only the removal of the layer, and of all that is based on it, can end."""


def plan(
    backend: Backend,
    findings: Iterable[Finding],
    *,
    force: bool = False,
    sizes: bool = False,
    should_stop: ShouldStop | None = None,
) -> list[RepairStep]:
    """Return what a repair would do, in the order in which it must be done; see `LayerStore.repair_plan`."""
    with backend.reading() as records:
        scene = Scene(backend, records)
        steps = [step for finding in findings for step in _steps(scene, finding, force=force)]
        scene.look_for_users()
        if scene.trouble:  # who needs what cannot be told
            steps = [step for step in steps if not step.destructive]
    unique = _in_order(steps)
    if sizes:
        unique = [replace(step, frees=freed(backend, step, should_stop=should_stop)) for step in unique]
    return unique


def _in_order(steps: list[RepairStep]) -> list[RepairStep]:
    """Sort the steps and drop what comes twice: a layer is removed once, whatever the reasons."""
    seen: set[object] = set()
    unique = []
    for step in sorted(steps, key=lambda step: _ORDER[step.finding.kind]):
        key = step.layer if step.finding.kind in _CHAIN else step.finding.key
        if key not in seen:
            seen.add(key)
            unique.append(step)
    return unique


def freed(backend: Backend, step: RepairStep, *, should_stop: ShouldStop | None = None) -> DiskUsage | None:
    """Measure what a step gives back on disk; None where it deletes nothing. Looks at every file, without a lock.

    Raises:
        Cancelled: `should_stop` said so.
    """
    path = step.finding.path
    if step.finding.kind in _CHAIN:
        driver = backend.layout.driver
        parts = (driver, step.layer) if driver == "overlay" else (driver, "dir", step.layer)
        path = os.path.join(backend.layout.graph_root, *parts)
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
    """Do the steps, each under its own write lock; see `LayerStore.repair`."""
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
            if scene.trouble and (now is None or step.destructive):  # who needs the layer cannot be told
                return RepairResult(step, Outcome.FAILED, scene.trouble[0].text)
            if now is None:
                return RepairResult(step, Outcome.GONE)
            _ACTIONS[step.finding.kind](tx, scene, step, now)
    except (LayerStoreError, OSError) as error:
        return RepairResult(step, Outcome.FAILED, str(error))
    return RepairResult(step, Outcome.DONE)


# What to do


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
        loses = "what is in the folder" if finding.kind is Kind.ORPHAN_FOLDER else "what is in it"
        if needed:
            who = ", ".join(finding.users) or f"layer {short(scene.bases.get(finding.layer, '(unknown)'))}"
            loses += f", which is or may be needed by {who}"
        yield RepairStep(finding, finding.layer, f"delete {finding.path}", loses, forced=needed)


def _chain_steps(scene: Scene, finding: Finding, *, force: bool) -> Iterator[RepairStep]:
    """Yield a step for each layer that goes, those without layers on top first; none if one is needed."""
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
        loses = "what is left of the layer" if nothing_there else "the layer's files"
        if who:
            loses += f"; it is needed by {', '.join(who)}"
        yield RepairStep(finding, layer_id, f"remove layer {short(layer_id)}{why}", loses, forced=bool(who))


# Finding it again


def _again(scene: Scene, step: RepairStep) -> Finding | None:
    """Return the finding as it is now, None if it is gone."""
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
    """Look again at the layer that the finding is about, and whether the step's layer is still based on it."""
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


# Doing it


def _remove_layer(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    layer = tx.records.find(step.layer)
    if now.kind is Kind.CIRCLE:
        _remove_from_circle(tx, scene, layer, now, forced=step.forced)
    else:
        remove.delete(tx, layer, force=step.forced)


def _remove_from_circle(tx: Transaction, scene: Scene, layer: Layer, now: Finding, *, forced: bool) -> None:
    """Remove a layer whose children are its ancestors, too; what is based on it otherwise stands in the way."""
    del now
    ring = {problem.layer for problem in tx.records.problems() if problem.kind == Kind.CIRCLE}
    found = remove.dependents(tx.records, scene.references, scene.mounts, layer.id)
    replace(found, children=tuple(child for child in found.children if child not in ring)).refuse(force=forced)
    mounting.refuse_living(tx.backend, layer.id, scene.mounts.get(layer.id))
    tx.remove(layer)


def _delete_folder(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    _refuse_needed(scene, step, now)
    if scene.layout.driver != "overlay":
        mounting.refuse_living(tx.backend, now.layer, scene.mounts.get(now.layer))
    elif pid := elsewhere(os.path.realpath(scene.home), {now.layer}).get(now.layer):
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
    """Tell whether what has no record is needed, or, for data, may be by a layer that nothing here tells of."""
    if finding.kind is Kind.ORPHAN_DATA and scene.incoherent:
        return True
    return bool(finding.images or finding.containers or finding.layer in scene.bases)


def _refuse_needed(scene: Scene, step: RepairStep, now: Finding) -> None:
    """Refuse to delete what somebody came to need since the plan was made."""
    if _needed(scene, now) and not step.forced:
        children = (scene.bases[now.layer],) if now.layer in scene.bases else ()
        hint = "" if children or now.users else "other layers have lost their records"
        raise LayerInUse(now.layer, children=children, images=now.images, containers=now.containers, hint=hint)


def _delete_file(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, scene, step
    remove_path(now.path)


def _write_name(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, step
    scene.links.write_name(now.layer, scene.records.children(now.layer))


def _make_link(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, step
    scene.links.point(now.layer)


def _write_lower(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    mount = scene.mounts.get(now.layer)
    if mount is not None and not mount.stale:
        raise LayerInUse(step.layer, mounts=(mount.path,))
    chain, _ = chain_of(scene, tx.records.by_id[now.layer])
    scene.links.write_chain(now.layer, chain or [])


def _make_work(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del scene, step
    like = os.stat(tx.driver.diff_root(now.layer))
    os.mkdir(now.path, 0o700)
    if os.geteuid() == 0:
        os.chown(now.path, like.st_uid, like.st_gid)


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


def _delete_staging(tx: Transaction, scene: Scene, step: RepairStep, now: Finding) -> None:
    del tx, scene, step
    with staging.hold(Path(now.path, STAGING_LOCK)) as free:
        if not free:
            raise LayerStoreError(f"{now.path} is in use")
        remove_path(now.path)


_ACTIONS: Final[dict[Kind, Callable[[Transaction, Scene, RepairStep, Finding], None]]] = {
    Kind.STALE_MOUNT: _clear_mount,
    Kind.NAME_TWICE: _drop_name,
    Kind.LINK_FILE: _write_name,
    Kind.LINK_LOST: _make_link,
    Kind.LOWER: _write_lower,
    Kind.WORK_FOLDER: _make_work,
    Kind.INCOMPLETE: _remove_layer,
    Kind.NO_PARENT: _remove_layer,
    Kind.CIRCLE: _remove_layer,
    Kind.NO_FOLDER: _remove_layer,
    Kind.NO_DIFF: _remove_layer,
    Kind.ORPHAN_FOLDER: _delete_folder,
    Kind.ORPHAN_DATA: _delete_data,
    Kind.STRAY_BIG_DATA: _delete_file,
    Kind.LINK_STRAY: _delete_file,
    Kind.TEMPORARY: _clean_up,
    Kind.STAGING: _delete_staging,
}
"""In the order in which steps of several kinds are done: names before the lists made of them, links last."""

_ORDER: Final = {kind: place for place, kind in enumerate(_ACTIONS)}
