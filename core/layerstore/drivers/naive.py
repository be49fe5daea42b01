"""Diffs by comparing whole trees, for a driver that keeps no record of what changed."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from layerstore.archive.compare import changes_size, compare_trees
from layerstore.archive.entry import TarEntry
from layerstore.archive.idshift import shifted
from layerstore.archive.pack import pack_changes, pack_tree
from layerstore.archive.unpack import unpack
from layerstore.archive.whiteouts import PlainWhiteouts
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.model import Change, ShouldStop


class NaiveDiffs(ABC):
    """The diffing half of the `Driver` contract, on top of `get` and `put`.

    It follows containers/storage's NaiveDiffDriver (drivers/fsdiff.go), without its wait for the next full second:
    times are compared to the nanosecond here where both trees have them.
    """

    ignore_chown_errors = False
    """Whether files that are unpacked may keep the wrong owner; see `unpack`."""

    @abstractmethod
    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Make the layer's whole file system visible and return where."""

    @abstractmethod
    def put(self, layer_id: str) -> None:
        """End what `get` began."""

    def apply_diff(
        self,
        layer_id: str,
        parent: str,
        entries: Iterable[TarEntry],
        *,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Unpack a diff into the layer; return the bytes of the files in it. On failure the layer is incomplete."""
        del parent  # its files are in the layer already
        with self._visible(layer_id, read_only=False) as root:
            return unpack(
                root,
                shifted(entries, maps) if maps else entries,
                owner=maps.root if maps else None,
                whiteouts=PlainWhiteouts(should_stop),
                ignore_chown_errors=self.ignore_chown_errors,
                should_stop=should_stop,
            )

    def changes(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> list[Change]:
        """Return how `layer_id` differs from `parent`, sorted by path; without a parent all its files are new."""
        with self._visible(layer_id) as root, self._below(parent) as below:
            return compare_trees(root, below, new_maps=maps, old_maps=parent_maps, should_stop=should_stop)

    def diff(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> Generator[bytes]:
        """Yield a tar of the changes, with whiteouts for what was deleted, in pieces of up to 1 MiB.

        The layers stay visible until the iterator ends or is closed.
        """
        with self._visible(layer_id) as root:
            if not parent:
                yield from pack_tree(root, maps=maps, should_stop=should_stop)
                return
            with self._below(parent) as below:
                changes = compare_trees(root, below, new_maps=maps, old_maps=parent_maps, should_stop=should_stop)
            yield from pack_changes(root, changes, maps=maps, should_stop=should_stop)

    def diff_size(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Return the bytes of the files that `changes` adds or modifies, hard links counted once."""
        with self._visible(layer_id) as root:
            changes = self.changes(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
            return changes_size(root, changes, should_stop=should_stop)

    @contextlib.contextmanager
    def _visible(self, layer_id: str, *, read_only: bool = True) -> Iterator[Path]:
        """Have a layer's file system at hand for the length of a block."""
        path = self.get(layer_id, read_only=read_only)
        try:
            yield path
        finally:
            self.put(layer_id)

    @contextlib.contextmanager
    def _below(self, parent: str) -> Iterator[Path | None]:
        """Have the parent's file system at hand; None stands for the emptiness below a first layer."""
        if not parent:
            yield None
            return
        with self._visible(parent) as path:
            yield path
