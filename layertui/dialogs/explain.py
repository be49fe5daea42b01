"""Explanations of errors for the user: a headline, the facts, and the remedy.

Errors of the store carry the facts as attributes, and one table turns each kind into words. An error that is neither in
the table nor an `OSError` is reported as a bug. This module imports no Textual.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import layerstore
from layertui.keys.sentences import with_keys
from layertui.text.format import plural
from layertui.text.safe import safe


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of an error. The fields may contain control characters.

    `facts` are pairs of a label and a value, the most important first; a label may occur more than once.
    """

    headline: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    way_out: str = ""
    is_bug: bool = False

    def as_text(self) -> str:
        """Return the explanation as escaped plain text, for pasting into a report."""
        facts = [safe(f"{label}: {value}") for label, value in self.facts]
        text = map(safe, self.text.split("\n"))
        return "\n".join(part for part in (self.headline, *text, *facts, safe(self.way_out)) if part)


Facts = Callable[[Any], Sequence[tuple[str, str]]]


def _nothing(error: layerstore.LayerStoreError) -> tuple[tuple[str, str], ...]:
    del error
    return ()


def _place(error: layerstore.StoreCorrupt) -> list[tuple[str, str]]:
    place = [("Line", f"{error.line}, column {error.column}")] if error.line else []
    return [("File", error.file), *place, ("Fault", error.reason)]


def _holders(error: layerstore.LayerInUse) -> list[tuple[str, str]]:
    groups = (
        ("Child layer", error.children),
        ("Image", error.images),
        ("Container", error.containers),
        ("Mounted at", error.mounts),
        ("Process", error.processes),
    )
    return [("Layer", error.layer), *((label, holder) for label, holders in groups for holder in holders)]


def _archive(error: layerstore.BadArchive) -> list[tuple[str, str]]:
    entry = [("Entry", error.entry)] if error.entry else []
    offset = [] if error.offset is None else [("At byte", f"{error.offset:,}")]
    return [*entry, *offset, ("Fault", error.reason)]


def _damage(error: layerstore.DamagedLayer) -> list[tuple[str, str]]:
    path = [("Path", error.path)] if error.path else []
    return [("Layer", error.layer), *path, ("Fault", error.reason)]


def _lock(error: layerstore.LockTimeout) -> list[tuple[str, str]]:
    holders = [("Held by", holder) for holder in error.holders]
    return [("Lock", error.path), ("Waited", f"{error.seconds:g} s"), *holders]


_TABLE: tuple[tuple[type[layerstore.LayerStoreError], str, Facts, str], ...] = (
    (
        layerstore.LayerUnknown,
        "No such layer",
        lambda error: [("Reference", error.ref), *(("Matches", other) for other in error.candidates)],
        "Another program may have deleted it. Reload ({store.reload}) to update the list.",
    ),
    (
        layerstore.ParentUnknown,
        "Parent missing",
        lambda error: [("Layer", error.layer), ("Parent", error.parent)],
        "The chain of this layer is broken. Check the store ({store.check}) to see what is affected.",
    ),
    (
        layerstore.DuplicateID,
        "ID already taken",
        lambda error: [("Layer", error.layer_id)],
        "Choose another ID, or leave the field empty to get a random one.",
    ),
    (
        layerstore.UnusableID,
        "Invalid ID",
        lambda error: [("ID", error.layer_id)],
        "Use letters, digits, dots, dashes and underscores, or leave the field empty to get a random one.",
    ),
    (
        layerstore.DuplicateName,
        "Name already taken",
        lambda error: [("Name", error.name), ("Used by", error.holder)],
        "Remove the name from that layer first ({layer.names}), or choose another one.",
    ),
    (
        layerstore.LayerInUse,
        "Layer in use",
        _holders,
        "Remove its users first: delete child layers too, use podman rm or rmi, or unmount it ({layer.unmount}).",
    ),
    (
        layerstore.StoreMissing,
        "Store not found",
        lambda error: [("Path", error.path)],
        "Start layertui with --root and the path of a store, which podman info shows as graphRoot.",
    ),
    (
        layerstore.StoreCorrupt,
        "Store corrupt",
        _place,
        "Nothing was written. Restore the file from a backup or fix it by hand, then reload ({store.reload}).",
    ),
    (
        layerstore.StoreReadOnly,
        "Store is read-only",
        lambda error: [("Store", error.path), ("Refused", error.action)],
        "Start layertui without --read-only, as a user who may write to the store. Open an image store with --root.",
    ),
    (
        layerstore.StoreAccess,
        "Permission denied",
        lambda error: [("Path", error.path), ("Reason", error.reason)],
        "Use sudo for the store of root. Use podman unshare for files in your own store that belong to other IDs.",
    ),
    (
        layerstore.LockTimeout,
        "Store is locked",
        _lock,
        "Wait until the other program has finished and try again. Do not delete the lock file: it protects the store.",
    ),
    (
        layerstore.BadArchive,
        "Invalid tar",
        _archive,
        "Nothing was added to the store. Check that the file is complete and is a layer, not a whole image.",
    ),
    (
        layerstore.DamagedLayer,
        "Layer damaged",
        _damage,
        "Pull the image again to repair it. To export the files as they are, export the changes from another layer.",
    ),
    (
        layerstore.NoSuchFile,
        "No such file",
        lambda error: [("Layer", error.layer), ("Path", error.path)],
        "It may have been deleted since it was listed. Reload ({store.reload}) to update the list.",
    ),
    (
        layerstore.UnusableFile,
        "Unusable file",
        lambda error: [("Layer", error.layer), ("Path", error.path), ("Reason", error.reason)],
        "",
    ),
    (
        layerstore.TargetExists,
        "Path already exists",
        lambda error: [("Path", error.path)],
        "Choose another path, or confirm that it may be overwritten.",
    ),
    (layerstore.NotSupported, "Not supported", _nothing, ""),
    (layerstore.Cancelled, "Cancelled", _nothing, ""),
    (layerstore.LayerStoreError, "Operation failed", _nothing, ""),
)


_SYSTEM_REMEDIES = {
    errno.ENOSPC: "Free space on that disk, or choose a path on another one.",
    errno.EDQUOT: "Your disk quota is used up: free space, or choose a path on another disk.",
    errno.EROFS: "That file system is mounted read-only: choose another path.",
    errno.EACCES: "Choose a path that this user may write to, or run layertui as root.",
    errno.EPERM: "Choose another path, or run layertui as root.",
    errno.ENOENT: "The path does not exist or cannot be created. Reload ({store.reload}), or choose another path.",
    errno.EIO: "The disk reported an error: check the system log before you write to it again.",
}
"""Remedies for operating system errors, by their number."""


def explain(error: BaseException) -> Explanation:
    """Return the explanation of an error, including the notes added to it with `add_note`."""
    found = _explain(error)
    notes = getattr(error, "__notes__", ())
    return replace(found, text="\n".join([found.text, *notes])) if notes else found


def _explain(error: BaseException) -> Explanation:
    for kind, headline, facts, remedy in _TABLE:
        if isinstance(error, kind):
            hint = getattr(error, "hint", "")
            return Explanation(headline, _text(error), tuple(facts(error)), _sentence(hint) or with_keys(remedy))
    if isinstance(error, OSError):
        return _system_error(error)
    return Explanation(
        "This is a bug in layertui",
        with_keys(
            "An unexpected error occurred, and the action may not be complete. Reload ({store.reload}) to see the "
            "current state."
        ),
        (("Type", type(error).__qualname__), ("Message", str(error))),
        "Please report it and describe what you did just before.",
        is_bug=True,
    )


def _text(error: layerstore.LayerStoreError) -> str:
    """Return the message of the error, without the holders of a layer, which are among the facts."""
    if isinstance(error, layerstore.LayerInUse):
        held = ((error.children, "child layer"), (error.images, "image"), (error.containers, "container"))
        counts = [plural(len(holders), noun) for holders, noun in (*held, (error.mounts, "mount")) if holders]
        counts += [plural(len(error.processes), "process", "processes")] if error.processes else []
        return f"Used by {', '.join(counts)}." if counts else str(error)
    if isinstance(error, layerstore.StoreCorrupt):
        return "A file of the store is invalid. It was not changed."
    return _sentence(str(error))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _system_error(error: OSError) -> Explanation:
    paths = [("Path", str(name)) for name in (error.filename, error.filename2) if name is not None]
    remedy = with_keys(_SYSTEM_REMEDIES.get(error.errno or 0, ""))
    return Explanation("System error", error.strerror or str(error), tuple(paths), remedy)
