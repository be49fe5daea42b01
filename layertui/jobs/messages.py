"""What jobs tell the screen: one message each, plain data, posted from the thread that did the work.

No two are equal, and they print no fields: made with both, the classes take twice as long to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from layerstore.check.findings import Finding
    from layerstore.check.repair import RepairResult, RepairStep
    from layerstore.content.extract import Extracted
    from layerstore.content.files import Occurrence
    from layerstore.operations.mount import MountUsers
    from layertui.model.query import Listing
    from layertui.panels.changes.model import ChangeTree
    from layertui.panels.files.model import FileTree, Folder, Found
    from layertui.panels.files.preview_model import Start
    from layertui.panels.files.syntax import Tones
    from layertui.panels.json.model import JsonText
    from layertui.panels.waste.model import WasteTable


@dataclass(eq=False, repr=False)
class ViewLoaded(Message):
    """The store was read anew."""

    listing: Listing


@dataclass(eq=False, repr=False)
class NothingChanged(Message):
    """The store was looked at: nobody has written to it."""


@dataclass(eq=False, repr=False)
class ListingMade(Message):
    """The filter or the order was applied."""

    listing: Listing


@dataclass(eq=False, repr=False)
class ChangesLoaded(Message):
    """What a layer changed, against its parent (`base` is "") or another layer."""

    layer_id: str
    base: str
    tree: ChangeTree


@dataclass(eq=False, repr=False)
class LineageFound(Message):
    """What a layer is built on and what is built on it."""

    layer_id: str
    listing: Listing


@dataclass(eq=False, repr=False)
class LayerMeasured(Message):
    """What a layer takes on disk."""

    layer_id: str
    size: int
    inodes: int


@dataclass(eq=False, repr=False)
class PlanMeasured(Message):
    """What layers that may be deleted take on disk, all together."""

    layer_ids: tuple[str, ...]
    size: int


@dataclass(eq=False, repr=False)
class PlanInhabited(Message):
    """Processes that live in layers that may be deleted, each layer's ID with one of them."""

    layer_ids: tuple[str, ...]
    living: tuple[tuple[str, str], ...]


@dataclass(eq=False, repr=False)
class PathsFound(Message):
    """Where the driver keeps a layer, and the blobs kept with it: their bytes, None where one is gone."""

    layer_id: str
    paths: Mapping[str, Path]
    blobs: Mapping[str, int | None]


@dataclass(eq=False, repr=False)
class Mounted(Message):
    """A layer is mounted here."""

    layer_id: str
    path: Path


@dataclass(eq=False, repr=False)
class MountUsersFound(Message):
    """Who uses the mounts of these layers; `force` is True where the mounts are to end for everybody."""

    users: Mapping[str, MountUsers]
    force: bool


@dataclass(eq=False, repr=False)
class StaleCleared(Message):
    """The records of mounts that were not there are gone."""

    layer_ids: tuple[str, ...]


@dataclass(eq=False, repr=False)
class Unmounted(Message):
    """These layers were unmounted; `still` of them are mounted all the same, by others."""

    layer_ids: tuple[str, ...]
    still: int


@dataclass(eq=False, repr=False)
class Exported(Message):
    """A layer's diff was written to a file; `verified` tells whether it is known to be the tar that came in."""

    path: Path
    size: int
    digest: str
    verified: bool


@dataclass(eq=False, repr=False)
class Created(Message):
    """A layer was made; `size` is that of the tar it was made of, None where it is empty."""

    layer_id: str
    size: int | None
    digest: str


@dataclass(eq=False, repr=False)
class Applied(Message):
    """A tar was applied to a layer: its bytes before compression, and their digest."""

    layer_id: str
    size: int
    digest: str


@dataclass(eq=False, repr=False)
class ShellFound(Message):
    """A layer has this shell, or none ("")."""

    layer_id: str
    inside: str


@dataclass(eq=False, repr=False)
class ShellReady(Message):
    """A layer is mounted here for a shell: its own one `inside`, or one of this host ("")."""

    layer_id: str
    path: Path
    inside: str
    mounted_before: bool


@dataclass(eq=False, repr=False)
class Deleted(Message):
    """Layers are gone."""

    layer_ids: tuple[str, ...]


@dataclass(eq=False, repr=False)
class LayerChanged(Message):
    """A layer's record was written; `text` says what of it."""

    layer_id: str
    text: str


# Files, waste and record


@dataclass(eq=False, repr=False)
class FoldersListed(Message):
    """What is in some folders of a layer; those that are not there are left out."""

    layer_id: str
    folders: Mapping[str, Folder]


@dataclass(eq=False, repr=False)
class FileTreeBuilt(Message):
    """The files of a layer as far as they were read, as a tree."""

    layer_id: str
    tree: FileTree


@dataclass(eq=False, repr=False)
class FilesFound(Message):
    """The files of a layer whose names hold a text."""

    layer_id: str
    text: str
    found: Found


@dataclass(eq=False, repr=False)
class PreviewStarted(Message):
    """A file was opened for a look."""

    layer_id: str
    path: str
    start: Start


@dataclass(eq=False, repr=False)
class PreviewToned(Message):
    """What the characters at the beginning of a text are."""

    layer_id: str
    path: str
    tones: Tones


@dataclass(eq=False, repr=False)
class PreviewRead(Message):
    """The next piece of a file, of which `asked` bytes were wanted."""

    layer_id: str
    path: str
    offset: int
    piece: bytes
    asked: int


@dataclass(eq=False, repr=False)
class OccurrencesFound(Message):
    """In which layers a path occurs, the lowest first."""

    layer_id: str
    path: str
    occurrences: Sequence[Occurrence]


@dataclass(eq=False, repr=False)
class FilesExtracted(Message):
    """A file or a folder was taken out of a layer."""

    path: str
    done: Extracted


@dataclass(eq=False, repr=False)
class TarExtracted(Message):
    """A tar was made of a file or a folder of a layer."""

    path: str
    target: Path
    size: int


@dataclass(eq=False, repr=False)
class WasteFound(Message):
    """What a chain of layers wastes."""

    layer_id: str
    chain: tuple[str, ...]
    table: WasteTable


@dataclass(eq=False, repr=False)
class RecordRead(Message):
    """A layer's record, and the sizes of the blobs that are kept with it."""

    layer_id: str
    record: JsonText
    blobs: dict[str, int | None]


@dataclass(eq=False, repr=False)
class FindingsFound(Message):
    """A check found these; `run` says which one."""

    run: int
    findings: tuple[Finding, ...]


@dataclass(eq=False, repr=False)
class CheckEnded(Message):
    """A check has looked at everything."""

    run: int


@dataclass(eq=False, repr=False)
class RepairPlanned(Message):
    """What a repair of these findings would do, with `force` to what is in use, too; `measured` with what it frees."""

    findings: tuple[Finding, ...]
    steps: tuple[RepairStep, ...]
    force: bool
    measured: bool


@dataclass(eq=False, repr=False)
class Repaired(Message):
    """What became of the steps of a repair."""

    results: tuple[RepairResult, ...]
