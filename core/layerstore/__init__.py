"""The shared core store: layers, as containers/storage keeps them on a host.

Begin with `LayerStore.open`, or with `find_store` to learn where Podman would look. Nothing here knows a screen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from layerstore.config import StorePlace, find_store
    from layerstore.driverstores import DriverStore, driver_stores
    from layerstore.export import DiffReader
    from layerstore.extract import Extracted
    from layerstore.files import FileEntry, FileKind, LayerFiles
    from layerstore.findings import Finding, Severity
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
    from layerstore.repair import Outcome, RepairResult, RepairStep
    from layerstore.store import LayerStore
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

_PLACES = {
    "config": "StorePlace find_store",
    "driverstores": "DriverStore driver_stores",
    "export": "DiffReader",
    "extract": "Extracted",
    "files": "FileEntry FileKind LayerFiles",
    "findings": "Finding Severity",
    "idmap": "IDMappings",
    "model": "Change ChangeKind Compression DiskUsage IDMap Layer MountPlace MountPoint MountState Progress ShouldStop",
    "records": "Problem",
    "references": "References",
    "removal": "Dependents",
    "repair": "Outcome RepairResult RepairStep",
    "store": "LayerStore",
    "waste": "WasteReport",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a name's module when it is first asked for: threads, locks and compression take long to start up."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"layerstore.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
