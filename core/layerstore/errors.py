"""The errors that this package raises.

Every error is a `LayerStoreError` and also the built-in exception that fits best, so `except FileNotFoundError` works
as well as `except StoreMissing`. The text says what is wrong and, where possible, how to fix it. The facts behind the
text are attributes. Errors keep their attributes, text and notes when they are copied or pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

_SHORT = 16  # characters of an ID that messages show
_SHOWN = 4  # candidates that the text of `LayerUnknown` lists


class LayerStoreError(Exception):
    """Base class of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which here hold the text and not the arguments of `__init__`.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[LayerStoreError], args: tuple[Any, ...], state: Mapping[str, Any]) -> LayerStoreError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class LayerUnknown(LayerStoreError, LookupError):
    """No layer has this ID or name, or the ID prefix is ambiguous (ErrLayerUnknown in containers/storage).

    Attributes:
        ref: The ID, name or ID prefix that was looked up.
        candidates: Up to 16 IDs that start with `ref`, if more than one does.
    """

    def __init__(self, ref: str, candidates: Sequence[str] = ()) -> None:
        self.ref = ref
        self.candidates = tuple(candidates)
        text = f"layer not known: {ref!r}"
        if self.candidates:
            shown = ", ".join(_short(candidate) for candidate in self.candidates[:_SHOWN])
            text = f"{ref!r} is ambiguous: it matches {len(self.candidates)} layers ({shown}); use a longer ID prefix"
        super().__init__(text)


class ParentUnknown(LayerStoreError, LookupError):
    """The parent of a layer has no record (ErrParentUnknown in containers/storage).

    Attributes:
        layer: The ID of the layer, or "" for a new layer whose ID was not given.
        parent: The ID, name or ID prefix of the missing parent.
    """

    def __init__(self, layer: str, parent: str) -> None:
        self.layer = layer
        self.parent = parent
        subject = f"layer {layer!r}" if layer else "the new layer"
        super().__init__(f"parent of layer not known: {subject} is based on {parent!r}, which has no record")


class DuplicateID(LayerStoreError, ValueError):
    """The ID of a new layer is taken, either by a layer or by files that a lost layer left on disk.

    Nothing was changed.

    Attributes:
        layer_id: The ID.
        path: The files on disk that have no record, or "" if a layer has the ID.
    """

    def __init__(self, layer_id: str, path: str | PathLike[str] = "") -> None:
        self.layer_id = layer_id
        self.path = fspath(path)
        text = f"layer {layer_id!r} already exists"
        if path:
            what = f"files of a layer {layer_id!r} without a record exist at {self.path}"
            text = f"{what}: choose another ID, or check the store"
        super().__init__(text)


class UnusableID(LayerStoreError, ValueError):
    """A layer ID cannot be used as a folder name, so no such layer can exist on disk.

    Attributes:
        layer_id: The ID.
    """

    def __init__(self, layer_id: str) -> None:
        self.layer_id = layer_id
        super().__init__(f"invalid layer ID {layer_id!r}: an ID must be a valid file name of at most 200 bytes")


class DuplicateName(LayerStoreError, ValueError):
    """The name of a new layer belongs to another layer.

    Attributes:
        name: The name.
        holder: The ID of the layer that has the name.
    """

    def __init__(self, name: str, holder: str) -> None:
        self.name = name
        self.holder = holder
        super().__init__(f"the name {name!r} is in use by layer {_short(holder)}: remove it there first")


class LayerInUse(LayerStoreError, RuntimeError):
    """Something depends on the layer, so it cannot be changed or deleted.

    All users are listed, as far as this user may see them, not just the first one found.

    Attributes:
        layer: The ID of the layer.
        children: The IDs of the layers that are based on it.
        images: The names of the images that need it.
        containers: The names of the containers that need it.
        mounts: The paths at which it is mounted.
        processes: The processes that use its files, such as "sleep 300 (PID 812)".
        hint: How to free the layer, or "" if there is no advice to give.
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
        users = (
            ("layers", [_short(child) for child in self.children]),
            ("images", list(self.images)),
            ("containers", list(self.containers)),
            ("mounts", list(self.mounts)),
            ("processes", list(self.processes)),
        )
        parts = [f"{kind} {', '.join(names)}" for kind, names in users if names]
        by = f" by {'; '.join(parts)}" if parts else ""
        super().__init__(f"layer {_short(layer)} is in use{by}{': ' + hint if hint else ''}")


class StoreMissing(LayerStoreError, FileNotFoundError):
    """There is no store at the given path, or a configuration file that was named does not exist.

    Attributes:
        path: The path.
    """

    def __init__(self, path: str | PathLike[str], hint: str = "") -> None:
        self.path = fspath(path)
        super().__init__(f"no layer store at {self.path}{': ' + hint if hint else ''}")


class StoreCorrupt(LayerStoreError, ValueError):
    """A file of the store is invalid. It was left unchanged.

    Attributes:
        file: The path of the file.
        reason: What is wrong with it.
        line: The line of the fault, counted from 1, or 0 if it is not known.
        column: The column of the fault, counted from 1, or 0 if it is not known.
        hint: How to fix it, or "" if there is no advice to give.
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
    """The store is open read-only, or the layer belongs to an additional image store. Nothing was changed.

    Attributes:
        path: The graph root of the store, or of the image store that holds the layer.
        action: What was refused, such as "mount".
        layer: The ID of the layer if it is in an additional image store, else "".
    """

    def __init__(self, path: str | PathLike[str], action: str = "change it", *, layer: str = "") -> None:
        self.path = fspath(path)
        self.action = action
        self.layer = layer
        if layer:
            what = f"layer {_short(layer)} is in the additional image store {self.path}, which is never changed"
        else:
            what = f"the store at {self.path} is open read-only"
        super().__init__(f"{what}: cannot {action}")


class StoreAccess(LayerStoreError, PermissionError):
    """This user may not read or write a file of the store.

    Attributes:
        path: The path of the file.
        reason: What was refused.
        hint: How to get access, or "" if there is no advice to give.
    """

    def __init__(self, path: str | PathLike[str], reason: str, hint: str = "") -> None:
        self.path = fspath(path)
        self.reason = reason
        self.hint = hint
        super().__init__(f"{self.path}: {reason}{'; ' + hint if hint else ''}")


class LockTimeout(LayerStoreError, TimeoutError):
    """A lock did not become free in time. Nothing was changed.

    Attributes:
        path: The path of the lock file.
        seconds: How long the call waited.
        holders: The processes that hold the lock, as far as the system reports them.
    """

    def __init__(self, path: str | PathLike[str], seconds: float, holders: Sequence[str] = ()) -> None:
        self.path = fspath(path)
        self.seconds = seconds
        self.holders = tuple(holders)
        by = ", ".join(self.holders) or "another process"
        super().__init__(f"{self.path} is locked by {by}; gave up after {seconds:g} s")


class BadArchive(LayerStoreError, ValueError):
    """A tar stream is damaged, or an entry in it would be unsafe to unpack. Nothing of it was kept.

    Attributes:
        reason: What is wrong.
        entry: The name of the entry at fault, or "". Bytes that are not UTF-8 are surrogate-escaped, and control
            characters are not removed: escape it before you print it.
        offset: The position in the uncompressed tar in bytes, or None if it is not known.
    """

    def __init__(self, reason: str, *, entry: str = "", offset: int | None = None) -> None:
        self.reason = reason
        self.entry = entry
        self.offset = offset
        where = f"entry {entry!r}: " if entry else ""
        at = f" (at byte {offset:,})" if offset is not None else ""
        super().__init__(f"invalid tar: {where}{reason}{at}")


class DamagedLayer(LayerStoreError, ValueError):
    """The files of a layer have changed, so its diff is no longer the tar that the layer was made from.

    Attributes:
        layer: The ID of the layer.
        reason: What has changed.
        path: The first changed file, relative to the root of the layer, or "" if no single file is at fault.
    """

    def __init__(self, layer: str, reason: str, *, path: str = "") -> None:
        self.layer = layer
        self.reason = reason
        self.path = path
        what = f"{path!r} in layer {_short(layer)}" if path else f"layer {_short(layer)}"
        super().__init__(f"{what} is damaged: {reason}")


class NotSupported(LayerStoreError, NotImplementedError):
    """The driver, the file system or the format cannot do this. The text says why and names an alternative."""


class Cancelled(LayerStoreError):
    """The caller's `should_stop` returned True.

    Unless the text says otherwise, the store is as it was before the call.
    """

    def __init__(self, what: str = "the operation", outcome: str = "nothing was changed") -> None:
        super().__init__(f"{what} was cancelled; {outcome}")


class NoSuchFile(LayerStoreError, FileNotFoundError):
    """A layer has no file at the given path.

    Attributes:
        layer: The ID of the layer.
        path: The path, relative to the root of the layer.
    """

    def __init__(self, layer: str, path: str) -> None:
        self.layer = layer
        self.path = path
        super().__init__(f"no file {path!r} in layer {_short(layer)}")


class UnusableFile(LayerStoreError, OSError):
    """A file of a layer cannot be used in this way. Nothing was changed.

    Attributes:
        layer: The ID of the layer.
        path: The path of the file, relative to the root of the layer.
        reason: Why it cannot be used.
        hint: How to fix it, or "" if there is no advice to give.
    """

    def __init__(self, layer: str, path: str, reason: str, hint: str = "") -> None:
        self.layer = layer
        self.path = path
        self.reason = reason
        self.hint = hint
        super().__init__(f"{path!r} in layer {_short(layer)}: {reason}{'; ' + hint if hint else ''}")


class TargetExists(LayerStoreError, FileExistsError):
    """A file or folder already exists where one was to be written. It was left unchanged.

    Attributes:
        path: The path.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path} already exists: choose another name, or overwrite it")


def _short(layer_id: str) -> str:
    return layer_id[:_SHORT]
