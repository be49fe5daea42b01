"""The contract between a store and its graph driver.

It follows containers/storage's drivers.Driver, reduced to what the store needs. A driver takes full layer IDs only. It
takes no locks: the store holds the write lock for `create`, `remove` and `apply_diff`, and the mounts lock for `get`
and `put`. Its methods raise `LayerStoreError`, or the `OSError` of the file that could not be used.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

from layerstore.drivers.options import DriverOptions
from layerstore.idmap import NO_MAPS, IDMappings
from layerstore.linux.mounttable import KernelMount, Place
from layerstore.model import Change, DiskUsage, Progress, ShouldStop

if TYPE_CHECKING:
    from layerstore.archive.entry import TarEntry
    from layerstore.drivers.survey import Survey

TEMPORARY = "tempdirs"
"""The folder in a driver's own folder that holds layers while they are being deleted."""

_CAP_SYS_ADMIN = 1 << 21
_WHOLE_RANGE = ["0", "0", "4294967295"]


class WhiteoutFormat(Protocol):
    """How the layers of a driver mark, on disk, what they hide of the layers below."""

    @property
    def prefix(self) -> str:
        """The prefix of a file whose name alone hides another file, "" if the format has none."""
        ...

    @property
    def redirect(self) -> str:
        """The attribute of a file or folder that has another name in the layers below."""
        ...

    @property
    def metacopy(self) -> str:
        """The attribute of a file whose content is in a layer below."""
        ...

    def is_whiteout(self, found: os.stat_result) -> bool:
        """Return whether a file is a whiteout."""
        ...

    def is_opaque(self, target: int | str, names: Collection[str]) -> bool:
        """Return whether a folder hides what is below it.

        `target` is the folder as `xattrs.names` takes it, and `names` is what that returned.
        """
        ...


class Stack(NamedTuple):
    """The folders whose union is a layer's file system, the topmost first, each with the ID of its layer.

    One layer can have several folders. `whiteouts` is None if a single folder holds all files.
    """

    folders: tuple[tuple[str, str], ...]
    whiteouts: WhiteoutFormat | None = None


class Driver(ABC):
    """How layers lie on disk. `parent` is "" for a base layer. Creating the object does not touch the disk."""

    name: ClassVar[str]
    """The driver's name in paths of the store, such as "vfs"."""

    copies_lower: ClassVar[bool] = False
    """Whether each layer holds a full copy of the files of the layers below it."""

    takes_mounts: ClassVar[bool] = False
    """Whether a layer must be mounted before its files are visible."""

    home: Path
    """The driver's own folder below the graph root."""

    # Which driver to use

    @classmethod
    @abstractmethod
    def make(cls, graph_root: str | os.PathLike[str], options: DriverOptions) -> Self:
        """Return the driver of a store with these options."""

    @classmethod
    def works(cls, graph_root: str | os.PathLike[str]) -> bool:
        """Return whether this user can store and mount layers below `graph_root`. Leaves nothing behind."""
        del graph_root
        return True

    @classmethod
    def why_not(cls, options: DriverOptions) -> str:
        """Return why an ordinary user outside a user namespace cannot mount layers, "" if they can."""
        del options
        return ""

    # Creating and deleting layers

    @abstractmethod
    def create(
        self,
        layer_id: str,
        parent: str,
        *,
        writable: bool = True,
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> None:
        """Create a layer without changes on top of `parent`. A failure leaves nothing of it behind.

        `maps` are the ID maps of the layer, and of its parent if it has one.
        """

    @abstractmethod
    def clone(self, layer_id: str, new_id: str, *, should_stop: ShouldStop | None = None) -> None:
        """Create a second layer with the same parent and content. A failure leaves nothing of it behind."""

    @abstractmethod
    def replace(self, layer_id: str, new_id: str) -> None:
        """Exchange the files of two layers atomically."""

    @abstractmethod
    def remove(self, layer_id: str) -> None:
        """Delete the files of a layer, if there are any.

        They are renamed aside first, so a crash leaves the whole layer or none of it; `cleanup` deletes what is left
        aside. If the disk is too full to rename, a crash can leave part of the layer, so mark it incomplete first.
        """

    @abstractmethod
    def cleanup(self) -> None:
        """Delete what an interrupted `remove` left aside. The store calls it with the write lock held."""

    # Mounting

    @abstractmethod
    def get(self, layer_id: str, *, mount_label: str = "", read_only: bool = False, volatile: bool = False) -> Path:
        """Make the layer's whole file system visible and return its path.

        With `volatile`, a crash of the machine may lose what is written there.
        """

    @abstractmethod
    def put(self, layer_id: str) -> None:
        """Undo `get`. Does nothing if the layer is not mounted."""

    @abstractmethod
    def is_mounted(self, layer_id: str) -> bool:
        """Return whether the path that `get` returned still shows the layer."""

    def kernel_mounts(self) -> Mapping[str, KernelMount]:
        """Return the mounts of layers in this mount namespace, by layer ID."""
        return {}

    def mounted_elsewhere(self, layer_ids: Collection[str]) -> Mapping[str, int]:
        """Return which of these layers are mounted in another mount namespace, each with the PID of a process there."""
        del layer_ids
        return {}

    @abstractmethod
    def place_of(self, layer_id: str) -> Place:
        """Return the place to look for processes that use the layer."""

    # Diffs

    @abstractmethod
    def apply_diff(
        self,
        layer_id: str,
        parent: str,
        entries: Iterable[TarEntry],
        *,
        maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Unpack a diff into the layer and return the bytes of its files. A failure leaves the layer incomplete.

        The entries have the owners that containers see. On disk, files get the owners that `maps` translates them to.
        """

    @abstractmethod
    def changes(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> list[Change]:
        """Return how `layer_id`, whose owners are mapped by `maps`, differs from `parent`, sorted by path."""

    @abstractmethod
    def diff(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[bytes]:
        """Yield a tar of the changes, in pieces of up to 1 MiB. It has whiteouts for deleted files.

        It has the owners that containers see.
        """

    @abstractmethod
    def diff_size(
        self,
        layer_id: str,
        parent: str,
        *,
        maps: IDMappings = NO_MAPS,
        parent_maps: IDMappings = NO_MAPS,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Return the size in bytes of the files that `changes` adds or modifies. Hard links count once."""

    # Where a layer is

    @property
    @abstractmethod
    def layers_folder(self) -> Path:
        """The folder whose subfolders are named after layers."""

    @abstractmethod
    def is_layer_name(self, name: str) -> bool:
        """Return whether a name in `layers_folder` can be that of a layer."""

    @abstractmethod
    def folder_of(self, layer_id: str) -> Path:
        """Return the folder of a layer of this store, whether it exists or not.

        Every path is made here, so that no ID can lead outside the store.

        Raises:
            UnusableID: No folder can have this name.
        """

    @abstractmethod
    def exists(self, layer_id: str) -> bool:
        """Return whether the layer has a folder, in this store or in an image store."""

    @abstractmethod
    def list_layers(self) -> list[str]:
        """Return the IDs of all folders of layers, whether they have a record or not."""

    @abstractmethod
    def diff_root(self, layer_id: str) -> Path:
        """Return the folder of the layer's own files."""

    @abstractmethod
    def diff_folders(self, layer_id: str, parent: str) -> list[Path]:
        """Return the folders to search, in this order, for a file that the layer's tar-split names."""

    @abstractmethod
    def usage(
        self, layer_id: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> DiskUsage:
        """Return the disk usage of the layer's folder. `progress` gets the bytes counted so far."""

    @abstractmethod
    def paths(self, layer_id: str) -> dict[str, Path]:
        """Return the files and folders that make up the layer, by the driver's name for each."""

    @abstractmethod
    def stack(self, layer_id: str) -> Stack:
        """Return the folders whose union is the layer's file system, without mounting it."""

    @property
    def whiteouts(self) -> WhiteoutFormat | None:
        """How layers mark what they hide, or None if each is a full copy and hides nothing."""
        return None

    @property
    def privileged(self) -> bool:
        """Whether layers keep devices and capabilities (see `is_privileged`)."""
        return is_privileged(self.home)

    # Facts and checks

    @abstractmethod
    def status(self) -> list[tuple[str, str]]:
        """Return facts about the driver, for people to read."""

    @property
    def temporary_folder(self) -> Path:
        """The folder that holds layers while they are being deleted."""
        return self.home / TEMPORARY

    def survey(self) -> Survey:
        """Return a new survey of what the driver keeps on disk, for check and repair."""
        from layerstore.drivers.survey import Survey

        return Survey()


def is_privileged(home: Path) -> bool:
    """Return whether root owns the driver's folder `home` and this process is root outside any user namespace."""
    try:
        owner = os.stat(home).st_uid
    except FileNotFoundError:
        owner = os.geteuid()
    return owner == 0 and _is_real_root()


def _is_real_root() -> bool:
    """Return whether this process has CAP_SYS_ADMIN in the initial user namespace."""
    with open("/proc/self/uid_map") as file:
        if file.read().split() != _WHOLE_RANGE:
            return False
    with open("/proc/self/status") as file:
        capabilities = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(capabilities, 16) & _CAP_SYS_ADMIN)
