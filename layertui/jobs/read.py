"""Jobs that read the store for the list of layers and for dialogs. The jobs of a panel are in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore import Cancelled, Compression, LayerStore, LayerStoreError
from layertui.jobs.newfile import NewFile
from layertui.jobs.runner import Job
from layertui.model.order import Order
from layertui.model.query import Listing, build_listing
from layertui.model.rows import LayerRow
from layertui.model.view import StoreInfo, StoreView, build_view
from layertui.text.format import plural, size_text

if TYPE_CHECKING:
    from layerstore import MountUsers

Sizes = Mapping[str, int]
"""Bytes on disk by layer ID."""

SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash", "/bin/busybox")
"""Paths at which a layer may have a shell, the best first."""


def read_view(store: LayerStore, measured: Sizes) -> StoreView:
    """Read everything that the list shows, as one consistent snapshot."""
    read = store.read()
    info = StoreInfo(store.graph_root, store.run_root, store.driver_name, store.read_only, store.image_stores)
    problems = [(problem.layer, problem.text) for problem in read.problems]
    return build_view(
        info,
        read.layers,
        read.references,
        measured=measured,
        mounts=read.mounts,
        problems=problems,
        stamp=read.stamp,
    )


def load_job(store: LayerStore, text: str, order: Order, measured: Sizes) -> Job[Listing]:
    """Read the store again, even if its stamp has not changed."""

    def work(job: Job[Listing]) -> Listing:
        view = read_view(store, measured)
        return build_listing(view, text, order, should_stop=job.should_stop)

    return Job("read the store", work, quiet=True, key="load")


def follow_job(store: LayerStore, view: StoreView, text: str, order: Order, measured: Sizes) -> Job[Listing | None]:
    """Read the store again if it changed since `view` was read, or return None."""

    def work(job: Job[Listing | None]) -> Listing | None:
        view.get_ready()
        if store.stamp() == view.stamp:
            return None
        fresh = read_view(store, measured)
        return build_listing(fresh, text, order, should_stop=job.should_stop)

    return Job("follow the store", work, quiet=True, key="follow")


def list_job(view: StoreView, text: str, order: Order) -> Job[Listing]:
    """Filter and sort the rows of a view."""

    def work(job: Job[Listing]) -> Listing:
        return build_listing(view, text, order, should_stop=job.should_stop)

    return Job("filter the layers", work, quiet=True, key="list")


# For dialogs


def measure_plan_job(store: LayerStore, layer_ids: tuple[str, ...]) -> Job[int]:
    """Measure the bytes that layers take on disk, which can exceed their diffs: a layer may be a full copy."""

    def work(job: Job[int]) -> int:
        return sum(store.usage(layer_id, should_stop=job.should_stop).size for layer_id in layer_ids)

    return Job("measure the layers", work, quiet=True, key="measure plan")


Inhabitants = tuple[tuple[str, str], ...]
"""Processes in mounted layers: the layer's ID and the process, such as "sleep 300 (PID 812)"."""


def inhabitants_job(store: LayerStore, layer_ids: tuple[str, ...]) -> Job[Inhabitants]:
    """Find the processes in layers, which keep the layers from being deleted."""

    def work(job: Job[Inhabitants]) -> Inhabitants:
        mounted = {state.id for state in store.mounts() if not state.stale}
        living = []
        for layer_id in layer_ids:
            if layer_id in mounted and not job.should_stop():
                living += [(layer_id, str(process)) for process in store.mount_users(layer_id).processes]
        return tuple(living)

    return Job("find processes in the layers", work, quiet=True, key="inhabitants")


def mount_users_job(store: LayerStore, rows: Sequence[LayerRow]) -> Job[Mapping[str, MountUsers]]:
    """Find the users of the mounts of layers, by layer ID."""

    def work(job: Job[Mapping[str, MountUsers]]) -> Mapping[str, MountUsers]:
        del job
        return {row.id: store.mount_users(row.id) for row in rows}

    return Job("find the users of the mount", work, quiet=True, key="mount users")


def find_shell_job(store: LayerStore, layer_id: str) -> Job[str]:
    """Find the path of a shell inside a layer, "" if it has none, without mounting it."""

    def work(job: Job[str]) -> str:
        del job
        try:
            files = store.files(layer_id)
        except (LayerStoreError, OSError):  # mounting the layer reports why
            return ""
        for path in SHELLS:
            with suppress(LayerStoreError):
                if files.stat(path, follow=True).mode & 0o111:
                    return path
        return ""

    return Job("look for a shell", work, quiet=True, key="shell")


# Export


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported tar: its path, its bytes before compression, their digest, and whether that digest was expected."""

    path: Path
    size: int
    digest: str
    verified: bool


def export_job(
    store: LayerStore, row: LayerRow, from_id: str | None, compression: Compression, path: Path, *, overwrite: bool
) -> Job[Exported]:
    """Write a layer's diff to a file, or nothing. The job only reads the store, so it does not wait for writes."""

    def work(job: Job[Exported]) -> Exported:
        with (
            store.diff(
                row.id, from_id, compression=compression, progress=job.progress, should_stop=job.should_stop
            ) as diff,
            NewFile(path, overwrite=overwrite) as pending,
        ):
            diff.copy_to(pending.file)
            if job.should_stop():
                raise Cancelled("the export")
            pending.commit()
            checked = "" if diff.verified else ", not verified against a digest,"
            job.outcome = f"{size_text(diff.size)}{checked} in {path}, {diff.digest}"
            return Exported(path, diff.size, diff.digest, diff.verified)

    return Job(f"Export {row.title}", work)


def several(rows: Sequence[LayerRow]) -> str:
    """Return the title of one layer, or the number of several."""
    return rows[0].title if len(rows) == 1 else plural(len(rows), "layer")
