"""The paths of a store's files, and the drivers that have a store below a graph root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from layerstore.errors import StoreAccess, UnusableID

_NAME_MAX = 200  # bytes, so that the name plus the longest suffix fits into the 255 of a file system


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one driver's store below a graph root and a run root (containers/storage, store.go)."""

    graph_root: str
    run_root: str
    driver: str

    @property
    def layers(self) -> str:
        """The folder of the layer records."""
        return os.path.join(self.graph_root, f"{self.driver}-layers")

    @property
    def run_layers(self) -> str:
        """The folder of the records that a reboot clears."""
        return os.path.join(self.run_root, f"{self.driver}-layers")

    @property
    def graph_lock(self) -> str:
        """The lock of the driver's mounts and folders, taken before the layers lock."""
        return os.path.join(self.graph_root, "storage.lock")

    @property
    def layers_lock(self) -> str:
        """The lock of layers.json and volatile-layers.json."""
        return os.path.join(self.layers, "layers.lock")

    @property
    def layers_json(self) -> str:
        """The records of layers that survive a crash."""
        return os.path.join(self.layers, "layers.json")

    @property
    def volatile_json(self) -> str:
        """The records of the writable layers of containers, written without fsync."""
        return os.path.join(self.layers, "volatile-layers.json")

    @property
    def mounts_lock(self) -> str:
        """The lock of mountpoints.json, taken while the layers lock is held."""
        return os.path.join(self.run_layers, "mountpoints.lock")

    @property
    def mounts_json(self) -> str:
        """The mounts of layers and their counts."""
        return os.path.join(self.run_layers, "mountpoints.json")

    def tar_split(self, layer_id: str) -> str:
        """Return the path of a layer's tar-split."""
        return os.path.join(self.layers, f"{file_name(layer_id)}.tar-split.gz")

    def big_data(self, layer_id: str) -> str:
        """Return the folder of a layer's named data items."""
        return os.path.join(self.layers, file_name(layer_id))

    @property
    def layers_aside(self) -> str:
        """The folder to which containers/storage 1.59 and later move the data of a layer before deleting it."""
        return os.path.join(self.layers, "tmp")

    def references(self, kind: str) -> str:
        """Return the folder of the records of "images" or "containers"."""
        return os.path.join(self.graph_root, f"{self.driver}-{kind}")


def file_name(layer_id: str) -> str:
    """Return the ID if it is a valid file name. Records may hold any ID, so every path is built from this.

    Raises:
        UnusableID: It is not.
    """
    bad = not layer_id or layer_id in {".", ".."} or "/" in layer_id or "\0" in layer_id
    if bad or len(os.fsencode(layer_id)) > _NAME_MAX:
        raise UnusableID(layer_id)
    return layer_id


def drivers_in(graph_root: str | Path) -> list[str]:
    """Return the names of all drivers that have a store below `graph_root`, supported or not."""
    try:
        entries = os.listdir(graph_root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise StoreAccess(graph_root, "this user may not list it", "use sudo, or open a store of your own") from error
    suffix = "-layers"
    return sorted(name.removesuffix(suffix) for name in entries if name.endswith(suffix) and name != suffix)
