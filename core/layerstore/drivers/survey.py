"""What can be wrong with the files that a driver keeps, as its survey reports it to check and repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class FaultKind(StrEnum):
    """What is wrong on disk. The values are those of `check.findings.Kind`."""

    NO_DIFF = "no-diff"
    LINK_FILE = "link-file"
    LINK_LOST = "link-lost"
    LINK_STRAY = "link-stray"
    LOWER = "lower"
    WORK_FOLDER = "work-folder"
    STAGING = "staging"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the files that a driver keeps.

    `layer` is the layer concerned, "" if there is none. `path` is the file or folder on disk. `repair` says what
    `Survey.repair` would do, None if it can do nothing.
    """

    kind: FaultKind
    layer: str
    text: str
    path: str
    repair: str | None = None


class Below(NamedTuple):
    """The layers below a layer according to the records, the nearest first. `chain` is None if they are broken.

    `mapped` is true if one of the layers is a copy with other owners. Such a copy can be based on its original, but no
    record says so.
    """

    chain: list[str] | None
    mapped: bool = False


class Survey:
    """An inspection of what a driver keeps on disk, for check and repair. This base class finds nothing wrong.

    It caches what it reads, so use it only while the lock is held under which it was made.
    """

    def is_layer(self, name: str) -> bool:
        """Return whether a folder among those of the layers holds a layer."""
        del name
        return True

    def is_probe(self, name: str) -> bool:
        """Return whether a folder among those of the layers is a short-lived probe of containers/storage."""
        del name
        return False

    def faults(self, layer_id: str, below: Callable[[], Below]) -> Iterator[Fault]:
        """Yield what is wrong with the folder of a layer. The folder exists."""
        del layer_id, below
        yield from ()

    def links(self) -> list[str]:
        """Return the names of the links that lead to layers."""
        return []

    def stray_link(self, name: str, recorded: Callable[[str], bool]) -> Fault | None:
        """Return why a link is stale, None if it is in use or gone. `recorded` returns whether a layer has a record."""
        del name, recorded
        return None

    def staged(self) -> list[str]:
        """Return the names of the folders in which containers/storage prepares layers."""
        return []

    def abandoned(self, name: str) -> Fault | None:
        """Return the fault of a staged folder that an interrupted pull left, None if it is in use or gone."""
        del name
        return None

    def parent_of(self, layer_id: str) -> str:
        """Return the layer right below a layer according to its folder, "" if the folder does not say."""
        del layer_id
        return ""

    def repair(self, fault: FaultKind, layer_id: str, below: Below, children: list[str]) -> None:
        """Repair a fault of a layer. The caller holds the write lock, and `children` are the layers based on it."""
        raise NotImplementedError(fault)

    def discard(self, fault: FaultKind, path: str) -> None:
        """Delete a stale link or an abandoned folder. The caller holds the write lock."""
        raise NotImplementedError(f"{fault}: {path}")
