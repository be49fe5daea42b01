"""The jobs: each is one call of the store in a thread, and one message. Nothing else calls a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.message import Message

from layerstore.errors import Cancelled
from layerstore.model import Compression
from layerstore.store import LayerStore
from layertui.jobs import messages
from layertui.jobs.pending import PendingFile
from layertui.jobs.runner import Job
from layertui.model.order import Order
from layertui.model.query import build_lineage, build_listing
from layertui.model.rows import LayerRow
from layertui.model.view import StoreInfo, StoreView, build_view
from layertui.panels.changes.model import ChangeFilter, ChangeTree, build_change_tree, filter_changes
from layertui.text.format import plural, size_text

Sizes = Mapping[str, int]


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


# Reads


def load_job(store: LayerStore, text: str, order: Order, measured: Sizes) -> Job:
    """Read the store again, whatever its stamp."""

    def work(job: Job) -> Message:
        view = read_view(store, measured)
        return messages.ViewLoaded(build_listing(view, text, order, should_stop=job.should_stop))

    return Job("read the store", work, quiet=True, key="load")


def follow_job(store: LayerStore, view: StoreView, text: str, order: Order, measured: Sizes) -> Job:
    """Read the store again if somebody wrote to it since `view` was made."""

    def work(job: Job) -> Message:
        view.get_ready()
        if store.stamp() == view.stamp:
            return messages.NothingChanged()
        fresh = read_view(store, measured)
        return messages.ViewLoaded(build_listing(fresh, text, order, should_stop=job.should_stop))

    return Job("follow the store", work, quiet=True, key="follow")


def list_job(view: StoreView, text: str, order: Order) -> Job:
    """Filter and sort the rows of a view."""

    def work(job: Job) -> Message:
        return messages.ListingMade(build_listing(view, text, order, should_stop=job.should_stop))

    return Job("filter the layers", work, quiet=True, key="list")


def lineage_job(view: StoreView, layer_id: str) -> Job:
    """Find what a layer is built on and what is built on it."""

    def work(job: Job) -> Message:
        del job
        return messages.LineageFound(layer_id, build_lineage(view, layer_id))

    return Job("find the lineage", work, quiet=True, key="lineage")


def changes_job(store: LayerStore, layer_id: str, base: str, wanted: ChangeFilter) -> Job:
    """Compare a layer with its parent (`base` is "") or with another layer."""

    def work(job: Job) -> Message:
        changes = store.changes(layer_id, base or None, should_stop=job.should_stop)
        tree = build_change_tree(changes, wanted, should_stop=job.should_stop)
        _ = tree.whole.folded_names  # so that the first letter of a filter does not wait for them
        return messages.ChangesLoaded(layer_id, base, tree)

    return Job("compare layers", work, quiet=True, key="changes")


def filter_changes_job(tree: ChangeTree, layer_id: str, base: str, wanted: ChangeFilter) -> Job:
    """Show the changes of a tree with another filter or order."""

    def work(job: Job) -> Message:
        return messages.ChangesLoaded(layer_id, base, filter_changes(tree.whole, wanted, should_stop=job.should_stop))

    return Job("filter the changes", work, quiet=True, key="changes")


def paths_job(store: LayerStore, layer_id: str) -> Job:
    """Ask the driver where it keeps a layer."""

    def work(job: Job) -> Message:
        del job
        return messages.PathsFound(layer_id, store.paths(layer_id), store.big_data(layer_id))

    return Job("find the layer's folders", work, quiet=True, key="paths")


def measure_job(store: LayerStore, layer_id: str) -> Job:
    """Add up what a layer takes on disk."""

    def work(job: Job) -> Message:
        usage = store.usage(layer_id, should_stop=job.should_stop)
        return messages.LayerMeasured(layer_id, usage.size, usage.inodes)

    return Job("measure the layer", work, quiet=True, key="measure")


def measure_plan_job(store: LayerStore, layer_ids: tuple[str, ...]) -> Job:
    """Add up what layers take on disk, which is not what their diffs weigh: a vfs layer is a full copy."""

    def work(job: Job) -> Message:
        size = sum(store.usage(layer_id, should_stop=job.should_stop).size for layer_id in layer_ids)
        return messages.PlanMeasured(layer_ids, size)

    return Job("measure the layers", work, quiet=True, key="measure plan")


def inhabitants_job(store: LayerStore, layer_ids: tuple[str, ...]) -> Job:
    """Find the processes that live in layers, which keep them from being deleted."""

    def work(job: Job) -> Message:
        mounted = {state.id for state in store.mounts() if not state.stale}
        living = []
        for layer_id in layer_ids:
            if layer_id in mounted and not job.should_stop():
                living += [(layer_id, str(process)) for process in store.mount_users(layer_id).processes]
        return messages.PlanInhabited(layer_ids, tuple(living))

    return Job("look who lives in the layers", work, quiet=True, key="inhabitants")


# Writes


def mount_job(store: LayerStore, row: LayerRow) -> Job:
    """Mount a layer."""

    def work(job: Job) -> Message:
        del job
        path = store.mount(row.id)
        return messages.Mounted(row.id, path)

    return Job(f"Mount {row.title}", work, writes=True)


def mount_users_job(store: LayerStore, rows: Sequence[LayerRow], *, force: bool) -> Job:
    """Find who would notice if these mounts ended: `force` is remembered for when they are to end."""

    def work(job: Job) -> Message:
        del job
        return messages.MountUsersFound({row.id: store.mount_users(row.id) for row in rows}, force)

    return Job("look who uses the mount", work, quiet=True, key="mount users")


def clear_stale_job(store: LayerStore, layer_id: str | None = None) -> Job:
    """Clear the record of one mount that is not there, or of all."""

    def work(job: Job) -> Message:
        cleared = store.clear_stale_mounts(layer_id)
        job.result = plural(len(cleared), "record") + " cleared"
        return messages.StaleCleared(tuple(state.id for state in cleared))

    return Job("Clear stale mounts", work, writes=True)


def unmount_job(store: LayerStore, rows: Sequence[LayerRow], *, force: bool = False) -> Job:
    """Unmount layers, each once, or all its mounts with `force`."""

    def work(job: Job) -> Message:
        still = 0
        for row in rows:
            if job.should_stop():
                break
            still += store.unmount(row.id, force=force)
        return messages.Unmounted(tuple(row.id for row in rows), still)

    return Job(f"Unmount {_several(rows)}", work, writes=True)


def delete_job(store: LayerStore, rows: Sequence[LayerRow], *, force: bool) -> Job:
    """Delete layers in the order given, children first; stops between two of them."""

    def work(job: Job) -> Message:
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
        job.result = plural(len(gone), "layer") + " deleted" + (f", cancelled before the other {kept:,}" * bool(kept))
        return messages.Deleted(tuple(gone))

    return Job(f"Delete {_several(rows)}", work, writes=True, unit="layer")


def names_job(store: LayerStore, row: LayerRow, names: Sequence[str]) -> Job:
    """Give a layer these names and no others."""

    def work(job: Job) -> Message:
        store.set_names(row.id, names)
        job.result = plural(len(names), "name")
        return messages.LayerChanged(row.id, "names")

    return Job(f"Name {row.title}", work, writes=True)


def flags_job(store: LayerStore, row: LayerRow, values: Mapping[str, Any], cleared: Sequence[str]) -> Job:
    """Set and clear flags of a layer."""

    def work(job: Job) -> Message:
        for flag, value in values.items():
            store.set_flag(row.id, flag, value)
        for flag in cleared:
            store.clear_flag(row.id, flag)
        job.result = plural(len(values) + len(cleared), "flag") + " changed"
        return messages.LayerChanged(row.id, "flags")

    return Job(f"Flags of {row.title}", work, writes=True)


# Export


def export_job(
    store: LayerStore, row: LayerRow, from_id: str | None, compression: Compression, path: Path, *, overwrite: bool
) -> Job:
    """Write a layer's diff to a file, complete or not at all. It only reads the store, so it holds up no write."""

    def work(job: Job) -> Message:
        with (
            store.diff(
                row.id, from_id, compression=compression, progress=job.progress, should_stop=job.should_stop
            ) as diff,
            PendingFile(path, overwrite=overwrite) as pending,
        ):
            diff.copy_to(pending.file)
            if job.should_stop():
                raise Cancelled("the export")
            pending.commit()
            checked = "" if diff.verified else ", not verified against a digest,"
            job.result = f"{size_text(diff.size)}{checked} in {path}, {diff.digest}"
            return messages.Exported(path, diff.size, diff.digest, diff.verified)

    return Job(f"Export {row.title}", work)


def _several(rows: Sequence[LayerRow]) -> str:
    return rows[0].title if len(rows) == 1 else plural(len(rows), "layer")
