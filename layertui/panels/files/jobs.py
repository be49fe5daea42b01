"""The jobs that look at a layer's files, its waste and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.message import Message

from layerstore.errors import Cancelled
from layerstore.store import LayerStore
from layertui.jobs import messages
from layertui.jobs.runner import Job
from layertui.panels.files import preview_model
from layertui.panels.files.model import Folder, build_file_tree, find_files, read_folders
from layertui.panels.files.syntax import tones_of
from layertui.panels.json.model import parse_json
from layertui.panels.waste.model import by_path
from layertui.text.format import plural, size_text

LIST, BUILD, FIND = "files", "files built", "files found"
PREVIEW, MORE, TONES = "preview", "preview more", "preview tones"
WASTE, RECORD = "waste", "record"
"""The keys of the jobs."""


def folders_job(store: LayerStore, layer_id: str, paths: Sequence[str], *, number: int = 0) -> Job:
    """List folders of a layer's file system. Jobs with different numbers do not cancel each other."""

    def work(job: Job) -> Message:
        found = read_folders(store.files(layer_id), paths, job.should_stop)
        return messages.FoldersListed(layer_id, found)

    return Job("list folders", work, quiet=True, key=f"{LIST} {number}")


def build_job(layer_id: str, folders: Mapping[str, Folder], *, by_size: bool) -> Job:
    """Put a tree of many files together."""

    def work(job: Job) -> Message:
        del job
        return messages.FileTreeBuilt(layer_id, build_file_tree(folders, by_size=by_size))

    return Job("build the tree of files", work, quiet=True, key=BUILD)


def find_job(store: LayerStore, layer_id: str, text: str) -> Job:
    """Search a layer's whole file system for names."""

    def work(job: Job) -> Message:
        found = find_files(store.files(layer_id), text, progress=job.progress, should_stop=job.should_stop)
        return messages.FilesFound(layer_id, text, found)

    return Job("search the files", work, quiet=True, key=FIND)


def preview_job(store: LayerStore, layer_id: str, path: str) -> Job:
    """Open a file for a look."""

    def work(job: Job) -> Message:
        del job
        return messages.PreviewStarted(layer_id, path, preview_model.start(store.files(layer_id), path))

    return Job("look into the file", work, quiet=True, key=PREVIEW)


def tones_job(layer_id: str, path: str, language: str, piece: bytes) -> Job:
    """Find out what the characters at the beginning of a text are, to colour them."""

    def work(job: Job) -> Message:
        lines = [preview_model.shown_line(line) for line in piece.split(b"\n")]
        return messages.PreviewToned(layer_id, path, tones_of(language, lines, job.should_stop))

    return Job("colour the text", work, quiet=True, key=TONES)


def more_job(store: LayerStore, layer_id: str, path: str, offset: int) -> Job:
    """Read the next piece of a file."""

    def work(job: Job) -> Message:
        del job
        size = min(preview_model.PIECE, preview_model.LIMIT - offset)
        return messages.PreviewRead(layer_id, path, offset, store.files(layer_id).read(path, offset, size), size)

    return Job("read on in the file", work, quiet=True, key=MORE)


def occurrences_job(store: LayerStore, layer_id: str, path: str) -> Job:
    """Find in which layers a path occurs."""

    def work(job: Job) -> Message:
        del job
        return messages.OccurrencesFound(layer_id, path, store.files(layer_id).occurrences(path))

    return Job("find the layers with this path", work, quiet=True, key="occurrences")


def extract_job(
    store: LayerStore, layer_id: str, path: str, target: Path, *, as_tar: bool, overwrite: bool, owners: bool
) -> Job:
    """Take a file or a folder out of a layer, complete or not at all. It only reads the store."""

    def work(job: Job) -> Message:
        if as_tar:
            size = store.extract_tar(
                layer_id, path, target, overwrite=overwrite, progress=job.progress, should_stop=job.should_stop
            )
            job.result = f"{size_text(size)} in {target}"
            return messages.TarExtracted(path, target, size)
        done = store.extract(
            layer_id,
            path,
            target,
            overwrite=overwrite,
            owners=owners,
            progress=job.progress,
            should_stop=job.should_stop,
        )
        left_out = f", {len(done.skipped):,} skipped" if done.skipped else ""
        job.result = f"{plural(done.files, 'file')}, {size_text(done.size)} in {target}{left_out}"
        return messages.FilesExtracted(path, done)

    return Job(f"Extract {path.rpartition('/')[2]}", work)


def waste_job(store: LayerStore, layer_id: str, chain: tuple[str, ...]) -> Job:
    """Work out what a layer and those below it carry for nothing; `chain` is handed back."""

    def work(job: Job) -> Message:
        report = store.waste(layer_id, progress=job.progress, should_stop=job.should_stop)
        if job.should_stop():
            raise Cancelled("looking for waste")
        return messages.WasteFound(layer_id, chain, by_path(report))

    return Job("look for waste", work, quiet=True, key=WASTE)


def record_job(store: LayerStore, layer_id: str) -> Job:
    """Read a layer's record as it stands on disk."""

    def work(job: Job) -> Message:
        del job
        text = store.record(layer_id).decode("utf-8", "surrogateescape")
        return messages.RecordRead(layer_id, parse_json(text), store.big_data(layer_id))

    return Job("read the record", work, quiet=True, key=RECORD)
