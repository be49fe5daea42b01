"""What the store asks of a driver.

The contract follows containers/storage's drivers.Driver, cut down to what the store needs. A driver takes full layer
IDs only, takes no lock (the store holds the write lock for `create`, `remove`, `apply_diff`, and the mounts lock for
`get` and `put`), and raises `LayerStoreError` or the `OSError` of the file it could not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from layerstore.archive.entry import TarEntry
from layerstore.drivers.stack import Stack
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.model import Change, DiskUsage, Progress, ShouldStop


@runtime_checkable
class Driver(Protocol):
    """How layers lie on disk. `parent` is "" for a layer without one."""

    @property
    def name(self) -> str:
        """The name that stands in the store's paths, such as "vfs"."""
        ...

    def create(
        self,
        layer_id: str,
        parent: str,
        *,
        writable: bool = True,
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> None:
        """Make an empty diff on top of `parent`. On any failure nothing of the layer is left behind.

        `maps` are the layer's own, and those of its parent, too, if there is one.
        """
        ...

    def remove(self, layer_id: str) -> None:
        """Delete the layer's files; a layer without files is no error.

        They are renamed aside first, so a crash leaves either the whole layer or none of it, and what is left over
        aside is removed later. Only on a disk with no room for that a crash leaves a part: mark the layer before.
        """
        ...

    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Make the layer's whole file system visible and return where.

        `volatile` allows what is written there to be lost when the machine crashes.
        """
        ...

    def is_mounted(self, layer_id: str) -> bool:
        """Tell whether what `get` returned is still there to be used."""
        ...

    def put(self, layer_id: str) -> None:
        """End what `get` began; a layer that is not mounted is no error."""
        ...

    def exists(self, layer_id: str) -> bool:
        """Tell whether there are files of this layer."""
        ...

    def list_layers(self) -> list[str]:
        """Return the IDs that there are files of, with a record or without."""
        ...

    def apply_diff(
        self,
        layer_id: str,
        parent: str,
        entries: Iterable[TarEntry],
        *,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Unpack a diff into the layer; return the bytes of the files in it. On failure the layer is incomplete.

        The entries' owners are those that containers see, the files' those that `maps` has for them on disk.
        """
        ...

    def changes(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> list[Change]:
        """Return how `layer_id`, whose owners are mapped by `maps`, differs from `parent`, sorted by path."""
        ...

    def diff(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[bytes]:
        """Yield a tar of the changes, with whiteouts for what was deleted, in pieces of up to 1 MiB.

        Owners in it are those that containers see.
        """
        ...

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
        ...

    def diff_root(self, layer_id: str) -> Path:
        """Return the folder that holds the layer's own files."""
        ...

    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the folders in which to look for a file that a tar-split of this layer names, in this order."""
        ...

    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return what the layer's own files take on disk, without its parents where they are kept apart."""
        ...

    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return the folders that make up the layer, by the driver's own word for each."""
        ...

    def stack(self, layer_id: str) -> Stack:
        """Return the folders whose union is the layer's file system, without mounting anything."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver for people."""
        ...

    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside. The store calls it with the write lock held."""
        ...

    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Make a second layer with the same parent and the same content. On any failure nothing of it is left."""
        ...

    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the files of two layers in one step: each then holds what the other held."""
        ...
