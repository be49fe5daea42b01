"""Where a store keeps its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from layerstore.errors import StoreAccess, UnusableID

_NAME_MAX = 200  # the longest suffix of a file named by an ID fits into the file system's 255, too


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one driver's store below a graph root and a run root (containers/storage, store.go)."""

    graph_root: str
    run_root: str
    driver: str

    @property
    def layers(self) -> str:
        """The folder of the layers' records."""
        return os.path.join(self.graph_root, f"{self.driver}-layers")

    @property
    def run_layers(self) -> str:
        """The folder of what does not outlive a boot."""
        return os.path.join(self.run_root, f"{self.driver}-layers")

    @property
    def graph_lock(self) -> str:
        """The lock over the driver's own mounts and folders, taken before the layers lock."""
        return os.path.join(self.graph_root, "storage.lock")

    @property
    def layers_lock(self) -> str:
        """The lock over both files of records."""
        return os.path.join(self.layers, "layers.lock")

    @property
    def layers_json(self) -> str:
        """The records of layers that outlive a crash."""
        return os.path.join(self.layers, "layers.json")

    @property
    def volatile_json(self) -> str:
        """The records of containers' writable layers, written without fsync."""
        return os.path.join(self.layers, "volatile-layers.json")

    @property
    def mounts_lock(self) -> str:
        """The lock over mountpoints.json, taken inside the layers lock."""
        return os.path.join(self.run_layers, "mountpoints.lock")

    @property
    def mounts_json(self) -> str:
        """Which layers are mounted, where, and how many times."""
        return os.path.join(self.run_layers, "mountpoints.json")

    def tar_split(self, layer_id: str) -> str:
        """The tar-split data of a layer."""
        return os.path.join(self.layers, f"{file_name(layer_id)}.tar-split.gz")

    def big_data(self, layer_id: str) -> str:
        """The folder of a layer's named blobs."""
        return os.path.join(self.layers, file_name(layer_id))

    @property
    def layers_aside(self) -> str:
        """Where containers/storage, since 1.59, moves tar-split and big data of a layer that it deletes."""
        return os.path.join(self.layers, "tmp")

    def references(self, kind: str) -> str:
        """The folder of the images' or containers' records; `kind` is "images" or "containers"."""
        return os.path.join(self.graph_root, f"{self.driver}-{kind}")


def file_name(layer_id: str) -> str:
    """Return the ID if it can be a file's name. An ID from a record may be anything; no path is made of others.

    Raises:
        UnusableID: it cannot.
    """
    bad = not layer_id or layer_id in {".", ".."} or "/" in layer_id or "\0" in layer_id
    if bad or len(os.fsencode(layer_id)) > _NAME_MAX:
        raise UnusableID(layer_id)
    return layer_id


def drivers_in(graph_root: str | Path) -> list[str]:
    """Return the names of all drivers that have a store below `graph_root`, known to this package or not."""
    try:
        entries = os.listdir(graph_root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise StoreAccess(graph_root, "this user may not look into it", "use sudo, or a store of your own") from error
    suffix = "-layers"
    return sorted(name.removesuffix(suffix) for name in entries if name.endswith(suffix) and name != suffix)
