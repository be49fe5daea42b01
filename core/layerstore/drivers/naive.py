"""Diffs that compare whole trees, for a driver that keeps no record of what a layer changed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore.drivers.base import Driver
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.model import Change, ShouldStop

if TYPE_CHECKING:
    from layerstore.archive.entry import TarEntry


class NaiveDiffs(Driver):
    """A driver whose diffs are made from what `get` shows.

    It follows containers/storage's NaiveDiffDriver (drivers/fsdiff.go). Unlike that, it does not wait for
    the next full second, because it compares times to the nanosecond if both trees have them.
    """

    ignore_chown_errors = False
    """Whether unpacked files may keep the wrong owner (see `unpack`)."""

    def apply_diff(
        self,
        layer_id: str,
        parent: str,
        entries: Iterable[TarEntry],
        *,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Unpack a diff into the layer and return the bytes of its files. A failure leaves the layer incomplete."""
        from layerstore.archive.idshift import shifted
        from layerstore.archive.unpack import unpack
        from layerstore.archive.whiteouts import PlainWhiteouts

        del parent  # the layer already has its files
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
        """Return how `layer_id` differs from `parent`, sorted by path. Without a parent, all files are added."""
        from layerstore.archive.compare import compare_trees

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
        """Yield a tar of the changes, in pieces of up to 1 MiB. It has whiteouts for deleted files.

        The layers stay visible until the iterator ends or is closed.
        """
        from layerstore.archive.compare import compare_trees
        from layerstore.archive.pack import pack_changes, pack_tree

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
        """Return the size in bytes of the files that `changes` adds or modifies. Hard links count once."""
        from layerstore.archive.compare import changes_size

        with self._visible(layer_id) as root:
            changes = self.changes(layer_id, parent, maps=maps, parent_maps=parent_maps, should_stop=should_stop)
            return changes_size(root, changes, should_stop=should_stop)

    @contextlib.contextmanager
    def _visible(self, layer_id: str, *, read_only: bool = True) -> Iterator[Path]:
        """Make a layer's file system visible until the block ends."""
        path = self.get(layer_id, read_only=read_only)
        try:
            yield path
        finally:
            self.put(layer_id)

    @contextlib.contextmanager
    def _below(self, parent: str) -> Iterator[Path | None]:
        """Make the parent's file system visible until the block ends, or yield None if there is no parent."""
        if not parent:
            yield None
            return
        with self._visible(parent) as path:
            yield path
