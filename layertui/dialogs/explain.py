"""What an error means for the person at the keyboard: a headline, the facts, and the way out.

No screen in here. The errors of the store carry what they name as fields; this module turns each kind into words, by
one table. What is not in the table is a bug, and is called one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from layerstore import errors
from layertui.keys.sentences import with_keys
from layertui.text.format import plural
from layertui.text.safe import safe


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to tell about an error; nothing in its fields has been made safe for a screen.

    `facts` are labels with values, in the order in which they matter; a label may come up again.
    """

    headline: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    way_out: str = ""
    is_bug: bool = False

    def as_text(self) -> str:
        """Return all of it as plain text, safe to be pasted into a report."""
        facts = [safe(f"{label}: {value}") for label, value in self.facts]
        text = map(safe, self.text.split("\n"))
        return "\n".join(part for part in (self.headline, *text, *facts, safe(self.way_out)) if part)


Facts = Callable[[Any], Sequence[tuple[str, str]]]


def _nothing(error: errors.LayerStoreError) -> tuple[tuple[str, str], ...]:
    del error
    return ()


def _place(error: errors.StoreCorrupt) -> list[tuple[str, str]]:
    place = [("Line", f"{error.line}, column {error.column}")] if error.line else []
    return [("File", error.file), *place, ("Fault", error.reason)]


def _holders(error: errors.LayerInUse) -> list[tuple[str, str]]:
    groups = (
        ("Child layer", error.children),
        ("Image", error.images),
        ("Container", error.containers),
        ("Mounted at", error.mounts),
        ("Process", error.processes),
    )
    return [("Layer", error.layer), *((label, holder) for label, holders in groups for holder in holders)]


def _archive(error: errors.BadArchive) -> list[tuple[str, str]]:
    entry = [("Entry", error.entry)] if error.entry else []
    offset = [] if error.offset is None else [("At byte", f"{error.offset:,}")]
    return [*entry, *offset, ("Fault", error.reason)]


def _damage(error: errors.DamagedLayer) -> list[tuple[str, str]]:
    path = [("Path", error.path)] if error.path else []
    return [("Layer", error.layer), *path, ("Fault", error.reason)]


def _lock(error: errors.LockTimeout) -> list[tuple[str, str]]:
    holders = [("Held by", holder) for holder in error.holders]
    return [("Lock", error.path), ("Waited", f"{error.seconds:g} s"), *holders]


_TABLE: tuple[tuple[type[errors.LayerStoreError], str, Facts, str], ...] = (
    (
        errors.LayerUnknown,
        "No such layer",
        lambda error: [("Asked for", error.ref), *(("Could be", other) for other in error.candidates)],
        "Another program may have deleted it. Reload ({store.reload}) to see what is there now.",
    ),
    (
        errors.ParentUnknown,
        "Parent missing",
        lambda error: [("Layer", error.layer), ("Parent", error.parent)],
        "The chain below this layer is broken. Check the store ({store.check}) to see what it takes down.",
    ),
    (
        errors.DuplicateID,
        "ID taken",
        lambda error: [("Layer", error.layer_id)],
        "Choose another ID, or leave the field empty to get a new one.",
    ),
    (
        errors.UnusableID,
        "Not an ID",
        lambda error: [("ID", error.layer_id)],
        "Use letters, digits, dots, dashes and underscores, or leave the field empty to get a new one.",
    ),
    (
        errors.DuplicateName,
        "Name taken",
        lambda error: [("Name", error.name), ("Belongs to", error.holder)],
        "Take the name away from that layer first ({layer.names}), or choose another one.",
    ),
    (
        errors.LayerInUse,
        "Layer in use",
        _holders,
        "Remove what uses it first: mark child layers too; podman rmi, podman rm; {layer.unmount} for mounts.",
    ),
    (
        errors.StoreMissing,
        "No store here",
        lambda error: [("Path", error.path)],
        "Start layertui with --root and the path of a store; podman info shows it as graphRoot.",
    ),
    (
        errors.StoreCorrupt,
        "Store corrupt",
        _place,
        "Nothing was written; the file is as it was. Put a backup in its place, or mend it; reload ({store.reload}).",
    ),
    (
        errors.StoreReadOnly,
        "Store is read-only",
        lambda error: [("Store", error.path), ("Refused", error.action)],
        "Start layertui without --read-only, as a user who may write the store; an image store as --root.",
    ),
    (
        errors.StoreAccess,
        "No permission",
        lambda error: [("Path", error.path), ("Reason", error.reason)],
        "The store of root needs sudo; your own may need podman unshare, for files of other IDs.",
    ),
    (
        errors.LockTimeout,
        "Store is locked",
        _lock,
        "Wait for the other program to finish and try again. Do not delete the lock file: it protects the store.",
    ),
    (
        errors.BadArchive,
        "Not a usable tar",
        _archive,
        "Nothing was added to the store. Check that the file is complete, and is a layer rather than a whole image.",
    ),
    (
        errors.DamagedLayer,
        "Layer damaged",
        _damage,
        "Pull the image again to mend it. Exported from another layer than the parent, the files go as they are.",
    ),
    (
        errors.NoSuchFile,
        "No such file",
        lambda error: [("Layer", error.layer), ("Path", error.path)],
        "It may have gone since it was listed. Reload ({store.reload}) to see what is there now.",
    ),
    (
        errors.UnusableFile,
        "File cannot be used",
        lambda error: [("Layer", error.layer), ("Path", error.path), ("Reason", error.reason)],
        "",
    ),
    (
        errors.TargetExists,
        "Something is there already",
        lambda error: [("Path", error.path)],
        "Choose another name, or agree to overwrite it.",
    ),
    (errors.NotSupported, "Not possible here", _nothing, ""),
    (errors.Cancelled, "Cancelled", _nothing, ""),
    (errors.LayerStoreError, "The store refused", _nothing, ""),
)


_SYSTEM_WAYS_OUT = {
    errno.ENOSPC: "Make room on that disk, or choose a place on another one.",
    errno.EDQUOT: "This user's share of that disk is used up: make room, or choose another place.",
    errno.EROFS: "That file system is mounted for reading only: choose another place.",
    errno.EACCES: "Choose a place that this user may write to, or run layertui as root.",
    errno.EPERM: "Choose another place, or run layertui as root.",
    errno.ENOENT: "It is not there, or nothing can be made there. Reload ({store.reload}), or choose another place.",
    errno.EIO: "The disk reports a fault: look into the system's log before you write to it again.",
}
"""What may help where the system refused, by its number for the reason."""


def explain(error: BaseException) -> Explanation:
    """Put an error into words; notes that were added to it (`add_note`) are told as well."""
    found = _explain(error)
    notes = getattr(error, "__notes__", ())
    return replace(found, text="\n".join([found.text, *notes])) if notes else found


def _explain(error: BaseException) -> Explanation:
    for kind, headline, facts, way_out in _TABLE:
        if isinstance(error, kind):
            hint = getattr(error, "hint", "")
            return Explanation(headline, _text(error), tuple(facts(error)), _sentence(hint) or with_keys(way_out))
    if isinstance(error, OSError):
        return _system_error(error)
    return Explanation(
        "This is a bug in layertui",
        with_keys(
            "Something happened that should not; what you asked for may not be done. Reload ({store.reload}) to see "
            "how things are."
        ),
        (("Type", type(error).__qualname__), ("Message", str(error))),
        "Please report it, with what you did just before.",
        is_bug=True,
    )


def _text(error: errors.LayerStoreError) -> str:
    """Return the error's own words, but for a list of holders: the facts have them, one a line."""
    if isinstance(error, errors.LayerInUse):
        held = ((error.children, "child layer"), (error.images, "image"), (error.containers, "container"))
        counts = [plural(len(holders), noun) for holders, noun in (*held, (error.mounts, "mount")) if holders]
        counts += [plural(len(error.processes), "process", "processes")] if error.processes else []
        return f"What depends on it: {', '.join(counts)}." if counts else str(error)
    if isinstance(error, errors.StoreCorrupt):
        return "A file of the store does not say what it must. It was left as it is."
    return _sentence(str(error))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _system_error(error: OSError) -> Explanation:
    paths = [("Path", str(name)) for name in (error.filename, error.filename2) if name is not None]
    way_out = with_keys(_SYSTEM_WAYS_OUT.get(error.errno or 0, ""))
    return Explanation("The system refused", error.strerror or str(error), tuple(paths), way_out)
