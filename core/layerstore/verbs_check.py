"""The store's verbs that check and repair it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from layerstore.model import DiskUsage, Progress, ShouldStop
from layerstore.operations.transaction import Backend
from layerstore.records.records import Problem

if TYPE_CHECKING:
    from layerstore.check.findings import Finding
    from layerstore.check.repair import RepairResult, RepairStep, StepProgress


class CheckVerbs:
    """The part of `LayerStore` that looks for damage and mends it."""

    _backend: Backend

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records: parents that are gone, circles, doubled IDs, incomplete layers.

        Image stores that cannot be read come first; their problems are about no layer (""). Layers that images or
        containers need, and that have no record, come last; they are not told where a store cannot be read.
        """
        return self._backend.problems()

    def check(
        self,
        *,
        deep: bool = False,
        refs: Iterable[str] | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[Finding]:
        """Yield what is wrong with the store, as it is found; changes nothing.

        The quick part (records, names and links of files) is one moment's truth. With `deep` every layer that came in
        as a tar is read through and compared with it, layer by layer and without a lock, so that writers need not
        wait; what somebody changed meanwhile is looked at again. `refs` restricts the check to these layers.
        `progress` hears of the bytes of the deep part. A file that does not parse is a finding and no error.

        Raises:
            LayerUnknown, Cancelled, LockTimeout, StoreAccess: from the iterator; what it gave until then holds.
        """
        from layerstore.check.run import check

        return check(self._backend, deep=deep, refs=refs, progress=progress, should_stop=should_stop)

    def repair_plan(
        self,
        findings: Iterable[Finding],
        *,
        force: bool = False,
        sizes: bool = False,
        should_stop: ShouldStop | None = None,
    ) -> list[RepairStep]:
        """Return what `repair` would do about these findings, in the order in which it must be done; changes nothing.

        What images, containers or other layers need is only removed with `force`; each step says what is lost. With
        `sizes` what each step frees is measured, which looks at every file that it would delete.
        """
        from layerstore.check.repair import plan

        return plan(self._backend, findings, force=force, sizes=sizes, should_stop=should_stop)

    def repair_frees(self, step: RepairStep, *, should_stop: ShouldStop | None = None) -> DiskUsage | None:
        """Return what a step would give back on disk, None where it deletes nothing. Looks at every file, no lock."""
        from layerstore.check.repair import freed

        return freed(self._backend, step, should_stop=should_stop)

    def repair(
        self,
        steps: Iterable[RepairStep],
        *,
        progress: StepProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[RepairResult]:
        """Do these steps and nothing else; return what became of each, in their order.

        Each step takes the write lock for itself and is done only if what it is about is found again then. One that
        fails does not keep the others from being done; after `should_stop` says so those left are skipped.

        Raises:
            StoreReadOnly: the store was opened so.
        """
        from layerstore.check.repair import repair

        return repair(self._backend, steps, progress=progress, should_stop=should_stop)
