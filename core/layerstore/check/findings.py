"""The findings of an integrity check: what is wrong, who is affected, and what a repair would do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from layerstore.errors import StoreCorrupt

_SHORT = 12


class Severity(StrEnum):
    """How bad a finding is: damage, something that only uses disk space, or something worth knowing."""

    DAMAGE = "damage"
    LEFTOVER = "leftover"
    NOTE = "note"


class Kind(StrEnum):
    """What a finding is about. The values never change, because scripts rely on them."""

    UNREADABLE = "unreadable"  # a file of records that cannot be parsed
    IMAGE_STORE = "image-store"  # an additional image store that cannot be read
    NO_PARENT = "no-parent"
    CIRCLE = "circle"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    NAME_TWICE = "name-twice"
    IMAGE_LAYER = "image-layer"  # the top layer of an image has no record
    IMAGE_CHAIN = "image-chain"  # a layer below the top layer of an image has no record
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


_HINTS = {Kind.CONTENT: "apply the layer's tar again, which restores its files"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    `layer` is a full ID, "" if the finding is about none. `path` is a file or folder on disk, or for something inside a
    layer its path from the layer's root ("/etc/passwd"), or "". `text` is for people, and can contain anything that a
    record or a file name contains. `images` and `containers` are broken, or may be. `repair` says what
    `LayerStore.repair` would do, None if there is no automatic fix.
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
        """The affected images and containers, such as "image NAME"."""
        return (*(f"image {name}" for name in self.images), *(f"container {name}" for name in self.containers))

    @property
    def hint(self) -> str:
        """What to do if there is no automatic fix, "" if unknown."""
        return _HINTS.get(self.kind, "") if self.repair is None and self.layer else ""

    @property
    def key(self) -> tuple[Kind, str, str]:
        """The identity of the finding across checks."""
        return self.kind, self.layer, self.path


def short(layer_id: str) -> str:
    """Return the first characters of an ID, as people read it."""
    return layer_id[:_SHORT]


def unreadable(error: StoreCorrupt) -> Finding:
    """Return the finding for a file that cannot be parsed. It is evidence, so it is never repaired."""
    return Finding(Kind.UNREADABLE, "", Severity.DAMAGE, str(error), error.file)
