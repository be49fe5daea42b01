"""The shared core store: layers, as containers/storage keeps them on a host.

Begin with `LayerStore.open`, or with `find_store` to learn where Podman would look. Nothing here knows a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerstore.config import StorePlace, find_store
from layerstore.driverstores import DriverStore, driver_stores
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
    NoSuchFile,
    NotSupported,
    ParentUnknown,
    StoreAccess,
    StoreCorrupt,
    StoreMissing,
    StoreReadOnly,
    TargetExists,
    UnusableFile,
    UnusableID,
)
from layerstore.idmap import IDMappings
from layerstore.model import (
    Change,
    ChangeKind,
    Compression,
    DiskUsage,
    IDMap,
    Layer,
    MountPlace,
    MountPoint,
    MountState,
    Progress,
    ShouldStop,
)
from layerstore.records import Problem
from layerstore.references import References
from layerstore.removal import Dependents
from layerstore.store import LayerStore

if TYPE_CHECKING:
    from layerstore.export import DiffReader
    from layerstore.extract import Extracted
    from layerstore.files import FileEntry, FileKind, LayerFiles
    from layerstore.findings import Finding, Severity
    from layerstore.repair import Outcome, RepairResult, RepairStep
    from layerstore.waste import WasteReport

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
    "DriverStore",
    "DuplicateID",
    "DuplicateName",
    "Extracted",
    "FileEntry",
    "FileKind",
    "Finding",
    "IDMap",
    "IDMappings",
    "Layer",
    "LayerFiles",
    "LayerInUse",
    "LayerStore",
    "LayerStoreError",
    "LayerUnknown",
    "LockTimeout",
    "MountPlace",
    "MountPoint",
    "MountState",
    "NoSuchFile",
    "NotSupported",
    "Outcome",
    "ParentUnknown",
    "Problem",
    "Progress",
    "References",
    "RepairResult",
    "RepairStep",
    "Severity",
    "ShouldStop",
    "StoreAccess",
    "StoreCorrupt",
    "StoreMissing",
    "StorePlace",
    "StoreReadOnly",
    "TargetExists",
    "UnusableFile",
    "UnusableID",
    "WasteReport",
    "driver_stores",
    "find_store",
]


_LATER = {
    "DiffReader": "export",
    "Extracted": "extract",
    "FileEntry": "files",
    "FileKind": "files",
    "Finding": "findings",
    "LayerFiles": "files",
    "Outcome": "repair",
    "RepairResult": "repair",
    "RepairStep": "repair",
    "Severity": "findings",
    "WasteReport": "waste",
}


def __getattr__(name: str) -> Any:
    """Import what few need when it is asked for: compression and threads make up half of the time to start."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(f"layerstore.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
