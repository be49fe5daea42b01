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
    from layerstore.check.findings import Finding, Severity
    from layerstore.check.repair import Outcome, RepairResult, RepairStep
    from layerstore.config.detect import DriverStore, driver_stores
    from layerstore.config.find import StorePlace, find_store
    from layerstore.content.diff import DiffReader
    from layerstore.content.extract import Extracted
    from layerstore.content.files import FileEntry, FileKind, LayerFiles
    from layerstore.content.waste import WasteReport
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
    from layerstore.operations.remove import Dependents
    from layerstore.records.records import Problem
    from layerstore.records.references import References
    from layerstore.store import LayerStore

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
    "check.findings": "Finding Severity",
    "check.repair": "Outcome RepairResult RepairStep",
    "config.detect": "DriverStore driver_stores",
    "config.find": "StorePlace find_store",
    "content.diff": "DiffReader",
    "content.extract": "Extracted",
    "content.files": "FileEntry FileKind LayerFiles",
    "content.waste": "WasteReport",
    "idmap": "IDMappings",
    "model": "Change ChangeKind Compression DiskUsage IDMap Layer MountPlace MountPoint MountState Progress ShouldStop",
    "operations.remove": "Dependents",
    "records.records": "Problem",
    "records.references": "References",
    "store": "LayerStore",
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
