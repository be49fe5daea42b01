"""The shared core store: layers, as containers/storage keeps them on a host.

Begin with `LayerStore.open`, or with `find_store` to learn where Podman would look. Nothing here knows a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerstore.config import StorePlace, find_store
from layerstore.errors import (
    BadArchive,
    Cancelled,
    DamagedLayer,
    DuplicateID,
    DuplicateName,
    LayerInUse,
    LayerStoreError,
    LayerUnknown,
    LockTimeout,
    NotSupported,
    ParentUnknown,
    StoreAccess,
    StoreCorrupt,
    StoreMissing,
    StoreReadOnly,
    UnusableID,
)
from layerstore.model import (
    Change,
    ChangeKind,
    Compression,
    DiskUsage,
    IDMap,
    Layer,
    MountPoint,
    Progress,
    ShouldStop,
)
from layerstore.records import Problem
from layerstore.references import References
from layerstore.removal import Dependents
from layerstore.store import LayerStore

if TYPE_CHECKING:
    from layerstore.export import DiffReader

__all__ = [
    "BadArchive",
    "Cancelled",
    "Change",
    "ChangeKind",
    "Compression",
    "DamagedLayer",
    "Dependents",
    "DiffReader",
    "DiskUsage",
    "DuplicateID",
    "DuplicateName",
    "IDMap",
    "Layer",
    "LayerInUse",
    "LayerStore",
    "LayerStoreError",
    "LayerUnknown",
    "LockTimeout",
    "MountPoint",
    "NotSupported",
    "ParentUnknown",
    "Problem",
    "Progress",
    "References",
    "ShouldStop",
    "StoreAccess",
    "StoreCorrupt",
    "StoreMissing",
    "StorePlace",
    "StoreReadOnly",
    "UnusableID",
    "find_store",
]


def __getattr__(name: str) -> Any:
    """Import what few need when it is asked for: compression and threads make up half of the time to start."""
    if name == "DiffReader":
        from layerstore.export import DiffReader

        return DiffReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
