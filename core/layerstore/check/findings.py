"""What an integrity check finds: one fact each, with who suffers from it and what a repair would do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from layerstore.errors import StoreCorrupt

_SHORT = 12


class Severity(StrEnum):
    """How bad a finding is: something is lost or wrong, something takes place for nothing, or it is good to know."""

    DAMAGE = "damage"
    LEFTOVER = "leftover"
    NOTE = "note"


class Kind(StrEnum):
    """What a finding is about; the values are for scripts and stay."""

    UNREADABLE = "unreadable"  # a file of records that does not parse
    IMAGE_STORE = "image-store"  # an additional image store that cannot be read
    NO_PARENT = "no-parent"
    CIRCLE = "circle"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    NAME_TWICE = "name-twice"
    IMAGE_LAYER = "image-layer"  # an image's layer has no record
    IMAGE_CHAIN = "image-chain"  # one of the layers below it has none
    CONTAINER_LAYER = "container-layer"
    BAD_ID = "bad-id"
    NO_FOLDER = "no-folder"
    NO_DIFF = "no-diff"
    WORK_FOLDER = "work-folder"
    ORPHAN_FOLDER = "orphan-folder"
    STRANGE_FOLDER = "strange-folder"
    LINK_FILE = "link-file"
    LINK_LOST = "link-lost"
    LINK_STRAY = "link-stray"
    LOWER = "lower"
    TEMPORARY = "temporary"
    STAGING = "staging"
    STALE_MOUNT = "stale-mount"
    NO_TAR_SPLIT = "no-tar-split"
    TAR_SPLIT = "tar-split"
    ORPHAN_DATA = "orphan-data"
    NO_BIG_DATA = "no-big-data"
    STRAY_BIG_DATA = "stray-big-data"
    CONTENT = "content"
    ADDED = "added"
    ATTRIBUTES = "attributes"
    TIMES = "times"
    UNCHECKED = "unchecked"


_HINTS = {Kind.CONTENT: "apply the layer's tar again (LayerStore.apply_diff), which puts its files back"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    `layer` is a full ID, "" where it is about none; `path` is a file or folder on disk, or for what is wrong inside a
    layer the path from the layer's root ("/etc/passwd"), "" where there is none. `text` is for people and may hold
    anything that a record or a file name does. `images` and `containers` do not work, or not as they should, because
    of it. `repair` says what `LayerStore.repair` would do about it, None where it can do nothing.
    """

    kind: Kind
    layer: str
    severity: Severity
    text: str
    path: str = ""
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    repair: str | None = None

    @property
    def users(self) -> tuple[str, ...]:
        """The images and containers, each after the word that says which it is."""
        return (*(f"image {name}" for name in self.images), *(f"container {name}" for name in self.containers))

    @property
    def hint(self) -> str:
        """What helps where no repair does, "" where nothing is known to."""
        return _HINTS.get(self.kind, "") if self.repair is None and self.layer else ""

    @property
    def key(self) -> tuple[Kind, str, str]:
        """What stays the same when the same thing is found again."""
        return self.kind, self.layer, self.path


def short(layer_id: str) -> str:
    """Return as much of an ID as people read."""
    return layer_id[:_SHORT]


def unreadable(error: StoreCorrupt) -> Finding:
    """Return the finding for a file of the store that does not parse. Nothing is repaired there: it is evidence."""
    return Finding(Kind.UNREADABLE, "", Severity.DAMAGE, str(error), error.file)
