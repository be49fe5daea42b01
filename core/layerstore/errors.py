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
    """No layer has this ID or name, and no single ID starts with it (the seed's ErrLayerUnknown).

    `ref` is what was asked for; `candidates` are the IDs that start with it, up to 16, where there are several.
    """

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
    """A layer's parent has no record (the seed's ErrParentUnknown).

    `layer` is the ID of the layer, "" for a new one without; `parent` is what was named as its parent.
    """

    def __init__(self, layer: str, parent: str) -> None:
        self.layer = layer
        self.parent = parent
        subject = f"layer {layer!r}" if layer else "the new layer"
        super().__init__(f"parent of layer not known: {subject} is based on {parent!r}, which has no record")


class DuplicateID(LayerStoreError, ValueError):
    """A layer with the ID `layer_id` is there already; or files of one are, at `path`, without a record.

    They are left as they are. `path` is "" where the layer has a record.
    """

    def __init__(self, layer_id: str, path: str | PathLike[str] = "") -> None:
        self.layer_id = layer_id
        self.path = fspath(path)
        what = "a layer" if not path else f"{self.path}, without a record, of a layer"
        hint = ": take another ID, or check the store" if path else ""
        super().__init__(f"{what} with ID {layer_id!r} is there already{hint}")


class UnusableID(LayerStoreError, ValueError):
    """The ID `layer_id` cannot be the name of a folder, so there can be no such layer on disk."""

    def __init__(self, layer_id: str) -> None:
        self.layer_id = layer_id
        super().__init__(f"{layer_id!r} cannot be a layer's ID: that is a folder's name, without / and up to 200 bytes")


class DuplicateName(LayerStoreError, ValueError):
    """Another layer, of the ID `holder`, has this `name`."""

    def __init__(self, name: str, holder: str) -> None:
        self.name = name
        self.holder = holder
        super().__init__(f"the name {name!r} belongs to layer {holder[:16]}: take it from there first")


class LayerInUse(LayerStoreError, RuntimeError):
    """Something depends on the layer; every holder is listed, not the first one only. `hint` is the way out, if known.

    `layer` and `children` are IDs, `images` and `containers` names, `mounts` paths, `processes` such as "sleep 300 (PID
    812)", as far as this user may see them.
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
    """There is no store at `path`."""

    def __init__(self, path: str | PathLike[str], hint: str = "") -> None:
        self.path = fspath(path)
        super().__init__(f"no layer store at {self.path}{': ' + hint if hint else ''}")


class StoreCorrupt(LayerStoreError, ValueError):
    """A file of the store does not say what it must; it was left as it is.

    `file` is its path, `reason` what is wrong, `hint` the way out, if known; `line` and `column` count from 1 and are 0
    where the fault has no place in the text.
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
    """The store was opened for reading only, or a layer is not its own; nothing was changed.

    `path` is the store and `action` what was to be done, such as "mount". `layer` is the ID of a layer that lies in an
    additional image store, and `path` is then that store.
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
    """The system did not let this user read or write a file of the store: `path`; `reason`, and `hint` for a way."""

    def __init__(self, path: str | PathLike[str], reason: str, hint: str = "") -> None:
        self.path = fspath(path)
        self.reason = reason
        self.hint = hint
        super().__init__(f"{self.path}: {reason}{'; ' + hint if hint else ''}")


class LockTimeout(LayerStoreError, TimeoutError):
    """The lock file `path` was not free for `seconds`; nothing was changed.

    `holders` names the processes that hold it, as far as the system tells.
    """

    def __init__(self, path: str | PathLike[str], seconds: float, holders: Sequence[str] = ()) -> None:
        self.path = fspath(path)
        self.seconds = seconds
        self.holders = tuple(holders)
        by = ", ".join(self.holders) or "another process"
        super().__init__(f"{self.path} is locked by {by}; waited {seconds:g} s")


class BadArchive(LayerStoreError, ValueError):
    """A tar stream cannot be read, or asks for what must not be done; nothing of it stays.

    `entry` is the name that it is about, "" for none, surrogate-escaped and not safe for a screen; `offset` counts the
    bytes of the plain tar, None where no place is known.
    """

    def __init__(self, reason: str, *, entry: str = "", offset: int | None = None) -> None:
        self.reason = reason
        self.entry = entry
        self.offset = offset
        where = f"entry {entry!r}: " if entry else ""
        at = f" (at byte {offset:,})" if offset is not None else ""
        super().__init__(f"not a usable tar: {where}{reason}{at}")


class DamagedLayer(LayerStoreError, ValueError):
    """A layer's files are no longer what came in, so its diff would not be the tar that it was made from.

    `layer` is its ID, `path` the first file in it that is another, "" where no single one can be named.
    """

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
    """The file system of the layer with the ID `layer` has no file of this `path`."""

    def __init__(self, layer: str, path: str) -> None:
        self.layer = layer
        self.path = path
        super().__init__(f"no file {path!r} in layer {layer[:16]}")


class UnusableFile(LayerStoreError, OSError):
    """A file of a layer cannot be used in this way; nothing was changed.

    `layer` is the ID, `path` the file's in the layer; `reason`, and `hint` for a way where there is one.
    """

    def __init__(self, layer: str, path: str, reason: str, hint: str = "") -> None:
        self.layer = layer
        self.path = path
        self.reason = reason
        self.hint = hint
        super().__init__(f"{path!r} in layer {layer[:16]}: {reason}{'; ' + hint if hint else ''}")


class TargetExists(LayerStoreError, FileExistsError):
    """There is something at `path` already, where a file was to be written; it was left alone."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path} is there already: choose another name, or overwrite it")
