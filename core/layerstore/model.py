"""The data types of the store: frozen snapshots that are safe to pass to another thread.

`Layer` has the fields and JSON keys of containers/storage's `Layer` (layers.go). A snapshot describes the moment when
it was taken and does not follow later changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Annotated, Any

import msgspec

Progress = Callable[[int, int | None], None]
"""A callback that receives the bytes done and the total (None if unknown), in the thread that does the work."""

ShouldStop = Callable[[], bool]
"""A callback that long calls poll. When it returns True, the call raises `Cancelled`."""

Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""An int64 of Go. Like containers/storage, we reject records with larger numbers."""

INCOMPLETE_FLAG = "incomplete"
"""The flag of a layer whose content is being written or deleted. The next writer removes such layers."""

REPLACES_FLAG = "layertui-replaces"
"""The flag of a copy that is about to replace a layer.

Its value is an object: `layer` is the ID of that layer, `inode` the inode of the copy's folder and `digest` that of the
new diff.
"""

COMPRESSION_FLAG = "diff-compression"
"""The flag in which older stores keep the compression of a diff."""

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions that decoding invalid JSON raises. `RecursionError` is for values that are nested too deep."""


class Compression(IntEnum):
    """The compression of a diff, with the numbers of layers.json (pkg/archive.Compression).

    Diffs can be read and written in each of them.
    """

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4


class ChangeKind(IntEnum):
    """What happened to a path, with the numbers of pkg/archive.ChangeType."""

    MODIFY = 0
    ADD = 1
    DELETE = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs between two layers. Two changes are equal if their path and kind are.

    Attributes:
        path: The absolute path inside the layer. Bytes that are not UTF-8 are surrogate-escaped.
        kind: What happened to the path.
        size: The size in bytes of a regular file or symbolic link, 0 for other files, None if it was not looked up. For
            DELETE it is the size in the older layer.
        mode: The `st_mode` in that same layer, or 0 if it was not looked up.
    """

    path: str
    kind: ChangeKind
    size: int | None = field(default=None, compare=False)
    mode: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """An entry of mountpoints.json, which need not agree with the kernel (see `MountState`).

    Attributes:
        id: The ID of the layer.
        path: The path at which the layer is mounted.
        count: How many times the mount was requested and not yet released.
    """

    id: str
    path: str
    count: int


class MountPlace(Enum):
    """Where the kernel has a mount that mountpoints.json lists."""

    HERE = "here"
    """In the mount namespace of this process."""
    ELSEWHERE = "elsewhere"
    """In another mount namespace."""
    STALE = "stale"
    """Nowhere: only the entry is left, for example after a crash or a reboot."""


@dataclass(frozen=True, slots=True)
class MountState:
    """A mount of a layer that mountpoints.json lists, that the kernel has, or both.

    Attributes:
        id: The ID of the layer.
        path: The path at which the layer is mounted.
        count: The count in mountpoints.json, or 0 if the file does not list the mount.
        place: Where the kernel has the mount.
        pid: A process in the mount namespace of a mount that is ELSEWHERE, else 0.
    """

    id: str
    path: str
    count: int
    place: MountPlace
    pid: int = 0

    @property
    def stale(self) -> bool:
        """Whether nothing is mounted, as far as this user can see."""
        return self.place is MountPlace.STALE


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The disk space of a layer. Hard links count once.

    Attributes:
        size: The allocated bytes.
        inodes: The number of inodes.
    """

    size: int
    inodes: int


class IDMap(msgspec.Struct, frozen=True, gc=False):
    """A range of container IDs and the host IDs they map to (pkg/idtools.IDMap). The numbers are not validated."""

    container_id: Int64
    host_id: Int64
    size: Int64


class Layer(
    msgspec.Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    rename={
        "mount_label": "mountlabel",
        "compressed_diff_digest": "compressed-diff-digest",
        "compressed_size": "compressed-size",
        "diff_digest": "diff-digest",
        "diff_size": "diff-size",
        "toc_digest": "toc-digest",
        "big_data_names": "big-data-names",
        "mount_point": "-mount-point",
        "mount_count": "-mount-count",
        "read_only": "-read-only",
        "volatile": "-volatile",
        "image_store": "-image-store",
    },
):
    """The record of a layer (Layer in layers.go), and where the layer is mounted.

    The values are those of the file and are not validated: text may contain control characters, and the parent need not
    exist. Unknown sizes are 0 and unknown digests "". Do not modify `flags`, which other snapshots share.

    The last five attributes are not part of the record.

    Attributes:
        mount_point: The path in mountpoints.json, or "" if the layer is not mounted.
        mount_count: The count in mountpoints.json.
        read_only: Whether this layer cannot be changed through the store that returned it.
        volatile: Whether the record is in volatile-layers.json, the file for the layers of containers.
        image_store: The graph root of the additional image store that holds the layer, or "" if the store itself does.
    """

    id: str
    names: tuple[str, ...] = ()
    parent: str = ""
    metadata: str = ""
    mount_label: str = ""
    created: datetime | None = None
    compressed_diff_digest: str = ""
    compressed_size: Int64 = 0
    diff_digest: str = ""
    diff_size: Int64 = 0
    compression: Int64 = 0
    toc_digest: str = ""
    uidset: tuple[int, ...] = ()
    gidset: tuple[int, ...] = ()
    flags: dict[str, Any] = {}
    uidmap: tuple[IDMap, ...] = ()
    gidmap: tuple[IDMap, ...] = ()
    big_data_names: tuple[str, ...] = ()
    mount_point: str = ""
    mount_count: int = 0
    read_only: bool = False
    volatile: bool = False
    image_store: str = ""

    @property
    def incomplete(self) -> bool:
        """Whether the content is being written or deleted, or the layer is a temporary copy made by `apply_diff`."""
        return self.flags.get(INCOMPLETE_FLAG) is True or REPLACES_FLAG in self.flags

    @property
    def diff_compression(self) -> Compression:
        """The compression of the original diff, from the record or from the flag that older stores use."""
        for value in (self.compression, self.flags.get(COMPRESSION_FLAG)):
            if isinstance(value, int | float) and value in Compression._value2member_map_ and value:
                return Compression(int(value))
        return Compression.NONE
