"""Jobs that change the store. They run one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerstore import Layer, LayerStore
from layertui.jobs.read import several
from layertui.jobs.runner import Job
from layertui.model.rows import LayerRow
from layertui.text.format import plural, size_text


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A layer to create: empty if `tar` is None, a base layer if `parent` is "", with a random ID if `id` is None."""

    tar: Path | None
    parent: str
    names: tuple[str, ...]
    id: str | None


def create_job(store: LayerStore, request: CreateRequest) -> Job[Layer]:
    """Create a layer, empty or from a tar."""

    def work(job: Job[Layer]) -> Layer:
        how: dict[str, Any] = {"id": request.id, "parent": request.parent or None, "names": request.names}
        try:
            if request.tar is None:
                layer = store.create(**how)
            else:
                with request.tar.open("rb") as tar:
                    layer, _ = store.put(tar, progress=job.progress, should_stop=job.should_stop, **how)
        except Exception as error:
            error.add_note("No layer was created, and the store is as it was before.")
            raise
        made = f", {size_text(layer.diff_size)}, {layer.diff_digest}" if request.tar is not None else ", empty"
        job.outcome = f"{layer.id[:12]}{made}"
        return layer

    title = "Create a layer" if request.tar is None else f"Create from {request.tar.name}"
    return Job(title, work, writes=True)


def apply_job(store: LayerStore, row: LayerRow, tar_path: Path) -> Job[Layer]:
    """Apply a tar to a layer, and return the new layer."""

    def work(job: Job[Layer]) -> Layer:
        try:
            with tar_path.open("rb") as tar:
                store.apply_diff(row.id, tar, progress=job.progress, should_stop=job.should_stop)
        except Exception as error:
            error.add_note("The layer is as it was before.")
            raise
        layer = store.get(row.id)
        job.outcome = f"{size_text(layer.diff_size)}, {layer.diff_digest}"
        return layer

    return Job(f"Apply to {row.title}", work, writes=True)


def delete_job(store: LayerStore, rows: Sequence[LayerRow], *, force: bool) -> Job[tuple[str, ...]]:
    """Delete layers in the given order, children first, and return the IDs of those that were deleted.

    A request to stop takes effect between two layers.
    """

    def work(job: Job[tuple[str, ...]]) -> tuple[str, ...]:
        gone: list[str] = []
        for row in rows:
            if job.should_stop():
                break
            job.progress(len(gone), len(rows))
            try:
                store.delete(row.id, force=force)
            except Exception as error:
                if gone:
                    error.add_note(f"{plural(len(gone), 'layer')} of {len(rows):,} had been deleted before.")
                raise
            gone.append(row.id)
        kept = len(rows) - len(gone)
        job.outcome = plural(len(gone), "layer") + " deleted" + (f", cancelled before the other {kept:,}" * bool(kept))
        return tuple(gone)

    return Job(f"Delete {several(rows)}", work, writes=True, unit="layer")


# Records


def names_job(store: LayerStore, row: LayerRow, names: Sequence[str]) -> Job[None]:
    """Replace the names of a layer."""

    def work(job: Job[None]) -> None:
        store.set_names(row.id, names)
        job.outcome = plural(len(names), "name")

    return Job(f"Name {row.title}", work, writes=True)


def flags_job(store: LayerStore, row: LayerRow, values: Mapping[str, Any], cleared: Sequence[str]) -> Job[None]:
    """Set and clear flags of a layer."""

    def work(job: Job[None]) -> None:
        for flag, value in values.items():
            store.set_flag(row.id, flag, value)
        for flag in cleared:
            store.clear_flag(row.id, flag)
        job.outcome = plural(len(values) + len(cleared), "flag") + " changed"

    return Job(f"Flags of {row.title}", work, writes=True)


def metadata_job(store: LayerStore, row: LayerRow, text: str) -> Job[None]:
    """Replace the metadata of a layer."""

    def work(job: Job[None]) -> None:
        store.set_metadata(row.id, text)
        job.outcome = f"{size_text(len(text.encode('utf-8', 'surrogatepass')))} of metadata"

    return Job(f"Metadata of {row.title}", work, writes=True)


# Mounts


def mount_job(store: LayerStore, row: LayerRow) -> Job[Path]:
    """Mount a layer, and return the mount point."""

    def work(job: Job[Path]) -> Path:
        del job
        return store.mount(row.id)

    return Job(f"Mount {row.title}", work, writes=True)


@dataclass(frozen=True, slots=True)
class ShellMount:
    """A layer that is mounted for a shell: the mount point, and whether it was mounted before."""

    path: Path
    mounted_before: bool


def mount_for_shell_job(store: LayerStore, row: LayerRow) -> Job[ShellMount]:
    """Mount a layer for a shell. If it is mounted already, this raises the mount count."""

    def work(job: Job[ShellMount]) -> ShellMount:
        del job
        before = any(state.id == row.id and not state.stale for state in store.mounts())
        return ShellMount(store.mount(row.id), before)

    return Job(f"Mount {row.title}", work, writes=True)


def unmount_job(store: LayerStore, rows: Sequence[LayerRow], *, force: bool = False) -> Job[int]:
    """Unmount layers once each, or completely with `force`, and return how many are still mounted."""

    def work(job: Job[int]) -> int:
        still = 0
        for row in rows:
            if job.should_stop():
                break
            still += store.unmount(row.id, force=force)
        return still

    return Job(f"Unmount {several(rows)}", work, writes=True)


def clear_stale_job(store: LayerStore, layer_id: str | None = None) -> Job[int]:
    """Clear the record of one stale mount, or of all, and return how many were cleared."""

    def work(job: Job[int]) -> int:
        cleared = store.clear_stale_mounts(layer_id)
        job.outcome = plural(len(cleared), "record") + " cleared"
        return len(cleared)

    return Job("Clear stale mounts", work, writes=True)
