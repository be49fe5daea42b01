"""Read and change the layer stores of containers/storage, as Podman, Buildah, CRI-O and Skopeo keep them.

Start with `LayerStore.open`, or with `find_store` to get the store that Podman would use. Everything that the methods
of `LayerStore` take, return or raise can be imported from here; other modules are internal, except
`layerstore.config.rootless`. The package has no user interface.
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
    from layerstore.archive.compression import DETECT_BYTES, decompress
    from layerstore.archive.compression import detect as detect_compression
    from layerstore.check.findings import Finding, Kind, Severity, unreadable
    from layerstore.check.repair import Outcome, RepairResult, RepairStep, StepProgress
    from layerstore.config.detect import DriverStore, driver_stores, mount_limits, preferred_driver
    from layerstore.config.find import StorePlace, find_store
    from layerstore.content.diff import DiffReader
    from layerstore.content.extract import Extracted, Skipped
    from layerstore.content.files import FileEntry, FileKind, LayerFiles, Occurrence, OnError
    from layerstore.content.waste import Copy, LayerWaste, WasteEntry, WasteReport
    from layerstore.drivers import known_drivers_in
    from layerstore.idmap import IDMappings, Unmapped
    from layerstore.linux.atomic import PendingFile, write_file
    from layerstore.linux.folders import remove_path
    from layerstore.linux.mounttable import Process
    from layerstore.model import (
        INCOMPLETE_FLAG,
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
    from layerstore.operations.create import check_id
    from layerstore.operations.mount import MountUsers
    from layerstore.operations.remove import Dependents
    from layerstore.operations.snapshot import StoreSnapshot
    from layerstore.records.layout import drivers_in
    from layerstore.records.locks import busy_lock
    from layerstore.records.records import Problem, encode_layer
    from layerstore.records.references import References
    from layerstore.records.table import LOST_PARENT, NO_PARENT, UNKNOWN_SIZE, LayerState, LayerTable
    from layerstore.store import LayerStore

__all__ = [
    "DETECT_BYTES",
    "INCOMPLETE_FLAG",
    "LOST_PARENT",
    "NO_PARENT",
    "UNKNOWN_SIZE",
    "BadArchive",
    "Cancelled",
    "Change",
    "ChangeKind",
    "Compression",
    "Copy",
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
    "Kind",
    "Layer",
    "LayerFiles",
    "LayerInUse",
    "LayerState",
    "LayerStore",
    "LayerStoreError",
    "LayerTable",
    "LayerUnknown",
    "LayerWaste",
    "LockTimeout",
    "MountPlace",
    "MountPoint",
    "MountState",
    "MountUsers",
    "NoSuchFile",
    "NotSupported",
    "Occurrence",
    "OnError",
    "Outcome",
    "ParentUnknown",
    "PendingFile",
    "Problem",
    "Process",
    "Progress",
    "References",
    "RepairResult",
    "RepairStep",
    "Severity",
    "ShouldStop",
    "Skipped",
    "StepProgress",
    "StoreAccess",
    "StoreCorrupt",
    "StoreMissing",
    "StorePlace",
    "StoreReadOnly",
    "StoreSnapshot",
    "TargetExists",
    "Unmapped",
    "UnusableFile",
    "UnusableID",
    "WasteEntry",
    "WasteReport",
    "busy_lock",
    "check_id",
    "decompress",
    "detect_compression",
    "driver_stores",
    "drivers_in",
    "encode_layer",
    "find_store",
    "known_drivers_in",
    "mount_limits",
    "preferred_driver",
    "remove_path",
    "unreadable",
    "write_file",
]

_PLACES = {
    "archive.compression": "DETECT_BYTES decompress detect_compression=detect",
    "check.findings": "Finding Kind Severity unreadable",
    "check.repair": "Outcome RepairResult RepairStep StepProgress",
    "config.detect": "DriverStore driver_stores mount_limits preferred_driver",
    "config.find": "StorePlace find_store",
    "content.diff": "DiffReader",
    "content.extract": "Extracted Skipped",
    "content.files": "FileEntry FileKind LayerFiles Occurrence OnError",
    "content.waste": "Copy LayerWaste WasteEntry WasteReport",
    "drivers": "known_drivers_in",
    "idmap": "IDMappings Unmapped",
    "linux.atomic": "PendingFile write_file",
    "linux.folders": "remove_path",
    "linux.mounttable": "Process",
    "model": (
        "INCOMPLETE_FLAG Change ChangeKind Compression DiskUsage IDMap Layer MountPlace MountPoint MountState Progress "
        "ShouldStop"
    ),
    "operations.create": "check_id",
    "operations.mount": "MountUsers",
    "operations.remove": "Dependents",
    "operations.snapshot": "StoreSnapshot",
    "records.layout": "drivers_in",
    "records.locks": "busy_lock",
    "records.records": "Problem encode_layer",
    "records.references": "References",
    "records.table": "LOST_PARENT NO_PARENT UNKNOWN_SIZE LayerState LayerTable",
    "store": "LayerStore",
}
"""The names that each module provides. `public=internal` exports a name under a different one."""

_MODULES = {
    public: (module, internal or public)
    for module, names in _PLACES.items()
    for public, _, internal in (name.partition("=") for name in names.split())
}


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use, since threads, locks and compression are slow to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, internal = _MODULES[name]
    value = globals()[name] = getattr(import_module(f"layerstore.{module}"), internal)
    return value


def __dir__() -> list[str]:
    return __all__
