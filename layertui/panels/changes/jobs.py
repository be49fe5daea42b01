"""Jobs of the Changes panel."""

from __future__ import annotations

from layerstore import LayerStore
from layertui.jobs.runner import Job
from layertui.panels.changes.model import ChangeFilter, ChangeTree, build_change_tree, filter_changes


def changes_job(store: LayerStore, layer_id: str, base: str, wanted: ChangeFilter) -> Job[ChangeTree]:
    """Compare a layer with another layer, or with its parent if `base` is ""."""

    def work(job: Job[ChangeTree]) -> ChangeTree:
        changes = store.changes(layer_id, base or None, should_stop=job.should_stop)
        tree = build_change_tree(changes, wanted, should_stop=job.should_stop)
        _ = tree.whole.folded_names  # computed here, so that the first letter of a filter does not wait for it
        return tree

    return Job("compare layers", work, quiet=True, key="changes")


def filter_changes_job(tree: ChangeTree, wanted: ChangeFilter) -> Job[ChangeTree]:
    """Apply another filter or order to the changes of a tree."""

    def work(job: Job[ChangeTree]) -> ChangeTree:
        return filter_changes(tree.whole, wanted, should_stop=job.should_stop)

    return Job("filter the changes", work, quiet=True, key="changes")
