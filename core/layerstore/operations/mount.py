"""Mounts and unmounts layers.

mountpoints.json counts the users of each mount, so that the first one to unmount does not break it for the others. The
file records what was requested, the kernel's mount table what exists. `survey` compares the two.
"""

from __future__ import annotations

import os
from collections import ChainMap
from dataclasses import dataclass
from pathlib import Path

from layerstore.errors import LayerInUse, LayerUnknown
from layerstore.linux.mounttable import Process, command_of, processes_in
from layerstore.model import Layer, MountPlace, MountPoint, MountState
from layerstore.operations.transaction import Backend, Transaction
from layerstore.records.mountpoints import MountTable
from layerstore.records.references import References, chain
from layerstore.records.table import Parents

_ENTER = "run layertui in it (podman unshare, nsenter), or stop what uses it (podman stop, podman unmount)"


@dataclass(frozen=True, slots=True)
class MountUsers:
    """The users of a layer's mount.

    Attributes:
        state: The mount, or None if the layer is not mounted.
        containers: The names of the containers whose own layer it is.
        processes: The processes that use its files, as far as this user may see them.
    """

    state: MountState | None
    containers: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()


def mount(tx: Transaction, layer: Layer, mount_label: str) -> Path:
    """Mount the layer, or count one more user of its mount (Mount).

    Raises:
        LayerInUse: It is mounted in another mount namespace. A second mount there would damage its files.
    """
    backend = tx.backend
    with backend.mounts_lock.write() as held:
        present = backend.mounts_file.load().by_id.get(layer.id)
        mounted = tx.driver.is_mounted(layer.id)
        if present is not None and mounted:
            backend.mounts_file.save(held, [MountPoint(layer.id, present.path, present.count + 1)])
            return Path(present.path)
        if not mounted:
            _refuse_elsewhere(backend, layer.id, "a second mount could damage its files")
        # Overwrite a stale entry, for example after a reboot.
        path = tx.driver.get(layer.id, mount_label=mount_label or layer.mount_label, volatile=layer.volatile)
        try:
            backend.mounts_file.save(held, [MountPoint(layer.id, os.path.normpath(path), 1)])
        except BaseException:
            tx.driver.put(layer.id)
            raise
        return path


def unmount(tx: Transaction, ref_or_path: str, *, force: bool) -> bool:
    """Count one user fewer, unmount after the last one or with `force`, and return whether the layer is still mounted.

    Unmounting a layer that is not mounted is not an error. A stale entry is removed.

    Raises:
        LayerUnknown: This is neither a layer nor the path of a mount.
        LayerInUse: Processes use it, or it is mounted in another mount namespace. Nothing was changed.
    """
    backend = tx.backend
    with backend.mounts_lock.write() as held:
        table = backend.mounts_file.load()
        layer_id = _find(tx, table, ref_or_path)
        present = table.by_id.get(layer_id)
        mounted = tx.driver.is_mounted(layer_id)
        if present is not None and present.count > 1 and not force and (mounted or _away(backend, layer_id)):
            backend.mounts_file.save(held, [MountPoint(layer_id, present.path, present.count - 1)])
            return True
        if present is not None and not mounted:
            _refuse_elsewhere(backend, layer_id, "it cannot be unmounted from this one")
        try:
            tx.driver.put(layer_id)
        except LayerInUse as error:
            raise _with_processes(backend, error) from error
        if present is not None:
            backend.mounts_file.save(held, [MountPoint(layer_id, present.path, 0)])
        return False


def survey(backend: Backend) -> dict[str, MountState]:
    """Return every mount that mountpoints.json or the kernel lists, by layer ID.

    Other mount namespaces are searched only if an entry has no mount in this one. For a driver without mounts (vfs), an
    entry is valid as long as the layer's folder exists.
    """
    lines, driver = backend.mounts().by_id, backend.driver
    if not driver.takes_mounts:
        return {line.id: _state(line, os.path.isdir(line.path)) for line in lines.values()}
    here = driver.kernel_mounts()
    away = driver.mounted_elsewhere(lines.keys() - here.keys())
    found = {line.id: _state(line, line.id in here, away.get(line.id, 0)) for line in lines.values()}
    for layer_id, kernel in here.items():
        if layer_id not in lines:
            found[layer_id] = MountState(layer_id, kernel.point, 0, MountPlace.HERE)
    return found


def kernel_stamp(backend: Backend) -> object:
    """Return a stamp that changes when any process mounts or unmounts a layer in this mount namespace."""
    return tuple(backend.driver.kernel_mounts())


def clear_stale(tx: Transaction, ref_or_path: str | None) -> list[MountState]:
    """Remove the stale entries of one layer, or of all if None, and return them.

    Raises:
        LayerUnknown: This is neither a layer nor the ID or path of an entry.
    """
    backend = tx.backend
    with backend.mounts_lock.write() as held:
        table = backend.mounts_file.load()
        layer_id = _find(tx, table, ref_or_path) if ref_or_path is not None else None
        chosen = [state for state in survey(backend).values() if state.stale and layer_id in (None, state.id)]
        if chosen:
            backend.mounts_file.save(held, [MountPoint(state.id, state.path, 0) for state in chosen])
    return chosen


def users(backend: Backend, layer_id: str, references: References) -> MountUsers:
    """Return who uses a layer's mount. Examines all processes that this user may see."""
    state = survey(backend).get(layer_id)
    containers = tuple(label for label, tops in references.container_tops if layer_id in tops)
    return MountUsers(state, containers, tuple(processes_in(backend.driver.place_of(layer_id))))


def refuse_living(backend: Backend, layer_id: str, state: MountState | None) -> None:
    """Raise `LayerInUse` if processes use a layer, or if it is mounted in another mount namespace.

    Neither can be overridden with force.
    """
    if state is None or state.place is not MountPlace.HERE:
        _refuse_elsewhere(backend, layer_id, "it cannot be unmounted from this one")
    place = backend.driver.place_of(layer_id)
    processes = processes_in(place)
    if processes:
        hint = "stop them first (podman stop), or leave the folder and close its files"
        raise LayerInUse(layer_id, mounts=(place.path,), processes=tuple(map(str, processes)), hint=hint)


def refuse_under_mounts(tx: Transaction, layer_id: str) -> None:
    """Raise `LayerInUse` if replacing the layer's folder would take files away from a mount or a process.

    An overlay mount whose lower folder is replaced shows an empty folder. With vfs, only processes that use the layer's
    own folder are affected.
    """
    backend, mounts = tx.backend, survey(tx.backend)
    if backend.driver.copies_lower:
        if layer_id in mounts:
            refuse_living(backend, layer_id, mounts[layer_id])
        return
    parents = ChainMap(backend.reference_files.load_transient().parents, Parents(tx.records.layers))  # type: ignore[arg-type]
    seen = [state.path for state in mounts.values() if not state.stale and layer_id in chain(parents, state.id)]
    if seen:
        hint = "these mounts would become empty; unmount them first (podman stop, podman unmount)"
        raise LayerInUse(layer_id, mounts=seen, hint=hint)


def _find(tx: Transaction, table: MountTable, ref_or_path: str) -> str:
    """Return the ID of a layer, or of an entry by path or ID, since the layer's record may be gone."""
    try:
        return tx.records.find(ref_or_path).id
    except LayerUnknown:
        line = table.by_id.get(ref_or_path) or table.at(ref_or_path)
        if line is None:
            raise
        return line.id


def _state(line: MountPoint, here: bool, pid: int = 0) -> MountState:
    place = MountPlace.HERE if here else MountPlace.ELSEWHERE if pid else MountPlace.STALE
    return MountState(line.id, line.path, line.count, place, pid)


def _away(backend: Backend, layer_id: str) -> int:
    """Return a process in another mount namespace in which the layer is mounted, or 0."""
    return backend.driver.mounted_elsewhere({layer_id}).get(layer_id, 0)


def _refuse_elsewhere(backend: Backend, layer_id: str, consequence: str) -> None:
    pid = _away(backend, layer_id)
    if pid:
        hint = f"it is mounted in another mount namespace, so {consequence}; {_ENTER}"
        holder = str(Process(pid, command_of(pid), "root"))
        raise LayerInUse(layer_id, mounts=(backend.driver.place_of(layer_id).path,), processes=(holder,), hint=hint)


def _with_processes(backend: Backend, error: LayerInUse) -> LayerInUse:
    processes = tuple(str(process) for process in processes_in(backend.driver.place_of(error.layer)))
    hint = "leave the folder and close its files, then try again" if processes else ""
    return LayerInUse(error.layer, mounts=error.mounts, processes=processes, hint=hint)
