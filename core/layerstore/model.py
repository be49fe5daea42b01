"""What the store hands out: frozen snapshots, safe to pass to another thread.

The fields of `Layer` and their names in JSON are those of containers/storage's `Layer` (layers.go); a snapshot says
what was true when it was taken and does not follow the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Annotated, Any

import msgspec

Progress = Callable[[int, int | None], None]
"""Called with the bytes done and the bytes in all (None where unknown), from the thread that does the work."""

ShouldStop = Callable[[], bool]
"""Asked often during a long call; when it says True the call ends with `Cancelled`."""

Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""What containers/storage has as int64: a record with a number beyond that is refused, as there."""

INCOMPLETE_FLAG = "incomplete"
REPLACES_FLAG = "layertui-replaces"
"""On the copy that is to take a layer's place: `layer`, `inode` of its own folder, `digest` of the new diff."""

COMPRESSION_FLAG = "diff-compression"


BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a file's JSON raises that is not what it must be; the last is for what is nested too deep."""


class Compression(IntEnum):
    """How a diff was compressed when it came in: the numbers of layers.json (pkg/archive.Compression).

    All of them are read, and diffs are made in all of them.
    """

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4


class ChangeKind(IntEnum):
    """What happened to a path; the numbers are those of pkg/archive.ChangeType."""

    MODIFY = 0
    ADD = 1
    DELETE = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two layers.

    `path` starts with "/" and counts from the layer's root; bytes that are not UTF-8 are surrogate-escaped. `size` is
    the file's length in bytes (0 for everything but regular files and symbolic links), on the side where the path is:
    for DELETE that is the older layer; None where it was not looked up. `mode` is st_mode there, 0 if not looked up.
    Two changes are equal when path and kind are.
    """

    path: str
    kind: ChangeKind
    size: int | None = field(default=None, compare=False)
    mode: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A line of mountpoints.json: the layer's ID, the path it is mounted at and how many times it was asked for.

    What the line says need not be so: see `MountState`.
    """

    id: str
    path: str
    count: int


class MountPlace(Enum):
    """Where the kernel has a mount: in this process's mount namespace, in another one, or nowhere."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class MountState:
    """A mount as it stands in mountpoints.json, as the kernel has it, or both.

    `count` is 0 for a mount that nobody has counted; `pid` is a process in the mount namespace of one that is
    ELSEWHERE. A STALE one is on file only, as after a crash or a boot.
    """

    id: str
    path: str
    count: int
    place: MountPlace
    pid: int = 0

    @property
    def stale(self) -> bool:
        """True where nothing is mounted, as far as this user can see."""
        return self.place is MountPlace.STALE


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What a layer takes on disk: allocated bytes and inodes, hard links counted once."""

    size: int
    inodes: int


class IDMap(msgspec.Struct, frozen=True, gc=False):
    """A range of container IDs and the host IDs that stand for them (pkg/idtools.IDMap), unchecked."""

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
    """A layer's record (Layer in layers.go), and where it is mounted. The values are those of the file, unchecked.

    Texts may hold anything, control characters too; `parent` need not exist; sizes are 0 and digests "" where they are
    not known. `flags` must not be changed: it is shared with other holders of the snapshot. `mount_point`,
    `mount_count`, `read_only`, `volatile` and `image_store` are not part of the record: they come from
    mountpoints.json, from the way the store was opened and from the file that the record stands in. `image_store` is
    the folder of the additional image store that the layer lies in, and "" for a layer of the store itself.
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
        """True while the layer's content is not all there, or is being deleted; so is a copy that `apply_diff` made."""
        return self.flags.get(INCOMPLETE_FLAG) is True or REPLACES_FLAG in self.flags

    @property
    def diff_compression(self) -> Compression:
        """The compression its diff came in with: the record's field, or the flag that older stores used."""
        for value in (self.compression, self.flags.get(COMPRESSION_FLAG)):
            if isinstance(value, int | float) and value in Compression._value2member_map_ and value:
                return Compression(int(value))
        return Compression.NONE
