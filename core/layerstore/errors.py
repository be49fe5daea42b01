"""Every error that this package raises on purpose.

All are `LayerStoreError`; each is also the builtin that a caller would look for first, carries what it names as
fields, and says in its text what is wrong and what can be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath


class LayerStoreError(Exception):
    """The base of every error of this package."""


class LayerUnknown(LayerStoreError, LookupError):
    """No layer has this ID or name, and no single ID starts with it (the seed's ErrLayerUnknown)."""

    def __init__(self, ref: str, candidates: Sequence[str] = ()) -> None:
        self.ref = ref
        self.candidates = tuple(candidates)
        if self.candidates:
            shown = ", ".join(candidate[:16] for candidate in self.candidates[:4])
            text = f"{ref!r} could mean {len(self.candidates)} layers ({shown}): give more of the ID"
        else:
            text = f"layer not known: {ref!r}"
        super().__init__(text)


class ParentUnknown(LayerStoreError, LookupError):
    """A layer's parent has no record (the seed's ErrParentUnknown)."""

    def __init__(self, layer: str, parent: str) -> None:
        self.layer = layer
        self.parent = parent
        subject = f"layer {layer!r}" if layer else "the new layer"
        super().__init__(f"parent of layer not known: {subject} is based on {parent!r}, which has no record")


class DuplicateID(LayerStoreError, ValueError):
    """A layer with this ID is there already."""

    def __init__(self, layer_id: str) -> None:
        self.layer_id = layer_id
        super().__init__(f"a layer with ID {layer_id!r} is there already")


class UnusableID(LayerStoreError, ValueError):
    """The ID cannot be the name of a folder, so there can be no such layer on disk."""

    def __init__(self, layer_id: str) -> None:
        self.layer_id = layer_id
        super().__init__(f"not a usable layer ID: {layer_id!r}")


class DuplicateName(LayerStoreError, ValueError):
    """Another layer has this name."""

    def __init__(self, name: str, holder: str) -> None:
        self.name = name
        self.holder = holder
        super().__init__(f"the name {name!r} belongs to layer {holder[:16]}: take it from there first")


class LayerInUse(LayerStoreError, RuntimeError):
    """Something depends on the layer; every holder is listed, not the first one only. `hint` is the way out, if known.

    `processes` are such as "sleep 300 (PID 812)".
    """

    def __init__(
        self,
        layer: str,
        *,
        children: Sequence[str] = (),
        images: Sequence[str] = (),
        containers: Sequence[str] = (),
        mounts: Sequence[str] = (),
        processes: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        self.layer = layer
        self.children = tuple(children)
        self.images = tuple(images)
        self.containers = tuple(containers)
        self.mounts = tuple(mounts)
        self.processes = tuple(processes)
        self.hint = hint
        held = (
            ("layers", [child[:16] for child in self.children]),
            ("images", list(self.images)),
            ("containers", list(self.containers)),
            ("mounts", list(self.mounts)),
            ("processes", list(self.processes)),
        )
        parts = [f"{kind} {', '.join(names)}" for kind, names in held if names]
        super().__init__(f"layer {layer[:16]} is in use by {'; '.join(parts)}{': ' + hint if hint else ''}")


class StoreMissing(LayerStoreError, FileNotFoundError):
    """There is no store at this path."""

    def __init__(self, path: str | PathLike[str], hint: str = "") -> None:
        self.path = fspath(path)
        super().__init__(f"no layer store at {self.path}{': ' + hint if hint else ''}")


class StoreCorrupt(LayerStoreError, ValueError):
    """A file of the store does not say what it must; it was left as it is.

    `file` is its path; `line` and `column` count from 1 and are 0 where the fault has no place in the text.
    """

    def __init__(
        self, file: str | PathLike[str], reason: str, *, line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        self.file = fspath(file)
        self.reason = reason
        self.line = line
        self.column = column
        self.hint = hint
        place = f", line {line}, column {column}" if line else ""
        super().__init__(f"{self.file}{place}: {reason}{'; ' + hint if hint else ''}")


class StoreReadOnly(LayerStoreError, PermissionError):
    """The store was opened for reading only, or its files cannot be written.

    `layer` is the ID of a layer that lies in an additional image store, and `path` is that store.
    """

    def __init__(self, path: str | PathLike[str], action: str = "change it", *, layer: str = "") -> None:
        self.path = fspath(path)
        self.action = action
        self.layer = layer
        if layer:
            what = f"layer {layer[:16]} lies in the image store {self.path}, which is only read here"
        else:
            what = f"the store at {self.path} is open for reading only"
        super().__init__(f"{what}: cannot {action}")


class StoreAccess(LayerStoreError, PermissionError):
    """The system did not let this user read or write a file of the store."""

    def __init__(self, path: str | PathLike[str], reason: str, hint: str = "") -> None:
        self.path = fspath(path)
        self.reason = reason
        self.hint = hint
        super().__init__(f"{self.path}: {reason}{'; ' + hint if hint else ''}")


class LockTimeout(LayerStoreError, TimeoutError):
    """The lock was not free in time. `holders` names the processes that hold it, as far as the system tells."""

    def __init__(self, path: str | PathLike[str], seconds: float, holders: Sequence[str] = ()) -> None:
        self.path = fspath(path)
        self.seconds = seconds
        self.holders = tuple(holders)
        by = ", ".join(self.holders) or "another process"
        super().__init__(f"{self.path} is locked by {by}; waited {seconds:g} s")


class BadArchive(LayerStoreError, ValueError):
    """A tar stream cannot be read, or asks for what must not be done. `entry` is the name it is about, if any."""

    def __init__(self, reason: str, *, entry: str = "", offset: int | None = None) -> None:
        self.reason = reason
        self.entry = entry
        self.offset = offset
        where = f"entry {entry!r}: " if entry else ""
        at = f" (at byte {offset:,})" if offset is not None else ""
        super().__init__(f"not a usable tar: {where}{reason}{at}")


class DamagedLayer(LayerStoreError, ValueError):
    """A layer's files are no longer what came in, so its diff would not be the tar that it was made from."""

    def __init__(self, layer: str, reason: str, *, path: str = "") -> None:
        self.layer = layer
        self.reason = reason
        self.path = path
        what = f"{path!r} in layer {layer[:16]}" if path else f"layer {layer[:16]}"
        super().__init__(f"{what} is damaged: {reason}")


class NotSupported(LayerStoreError, NotImplementedError):
    """This driver, file system or format cannot do it; the text says why and what can be done instead."""


class Cancelled(LayerStoreError):
    """`should_stop` said so. Unless the text says otherwise the store is as it was before the call."""

    def __init__(self, what: str = "the operation", outcome: str = "nothing was changed") -> None:
        super().__init__(f"{what} was cancelled; {outcome}")


class NoSuchFile(LayerStoreError, FileNotFoundError):
    """A layer's file system has no file of this path."""

    def __init__(self, layer: str, path: str) -> None:
        self.layer = layer
        self.path = path
        super().__init__(f"no file {path!r} in layer {layer[:16]}")


class UnusableFile(LayerStoreError, OSError):
    """A file of a layer cannot be used in this way; nothing was changed."""

    def __init__(self, layer: str, path: str, reason: str, hint: str = "") -> None:
        self.layer = layer
        self.path = path
        self.reason = reason
        self.hint = hint
        super().__init__(f"{path!r} in layer {layer[:16]}: {reason}{'; ' + hint if hint else ''}")


class TargetExists(LayerStoreError, FileExistsError):
    """There is something already where a file was to be written; it was left alone."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path} is there already: choose another name, or overwrite it")
