"""What jobs tell the screen: one message each, plain data, posted from the thread that did the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from layertui.changetree import ChangeTree
from layertui.layerlist import Listing

if TYPE_CHECKING:
    from layerstore.store import LayerStore
    from layertui.jobs import Job


class JobChanged(Message):
    """A job started, moved on or ended: what is drawn of it is no longer true."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Of several in the queue one is enough."""
        return isinstance(message, JobChanged) and message.job is self.job


class JobFailed(Message):
    """A job ended with an error that somebody must see."""

    def __init__(self, job: Job, error: Exception) -> None:
        self.job = job
        self.error = error
        super().__init__()


@dataclass
class StoreOpened(Message):
    """The store is open, and this is what is in it."""

    store: LayerStore
    listing: Listing


@dataclass
class ViewLoaded(Message):
    """The store was read anew."""

    listing: Listing


@dataclass
class NothingChanged(Message):
    """The store was looked at: nobody has written to it."""


@dataclass
class ListingMade(Message):
    """The filter or the order was applied."""

    listing: Listing


@dataclass
class ChangesLoaded(Message):
    """What a layer changed, against its parent (`base` is "") or another layer."""

    layer_id: str
    base: str
    tree: ChangeTree


@dataclass
class LineageFound(Message):
    """What a layer is built on and what is built on it."""

    layer_id: str
    listing: Listing


@dataclass
class LayerMeasured(Message):
    """What a layer takes on disk."""

    layer_id: str
    size: int
    inodes: int


@dataclass
class PlanMeasured(Message):
    """What layers that may be deleted take on disk, all together."""

    layer_ids: tuple[str, ...]
    size: int


@dataclass
class PathsFound(Message):
    """Where the driver keeps a layer."""

    layer_id: str
    paths: Mapping[str, Path]


@dataclass
class Mounted(Message):
    """A layer is mounted here."""

    layer_id: str
    path: Path


@dataclass
class Unmounted(Message):
    """These layers were unmounted; `still` of them are mounted all the same, by others."""

    layer_ids: tuple[str, ...]
    still: int


@dataclass
class Exported(Message):
    """A layer's diff was written to a file."""

    path: Path
    size: int
    digest: str


@dataclass
class Deleted(Message):
    """Layers are gone."""

    layer_ids: tuple[str, ...]


@dataclass
class LayerChanged(Message):
    """A layer's record was written; `text` says what of it."""

    layer_id: str
    text: str
