"""Jobs of the Files panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from layerstore import Extracted, LayerStore, Occurrence
from layertui.jobs.runner import Job
from layertui.panels.files import preview_model
from layertui.panels.files.model import FileTree, Folder, Found, build_file_tree, find_files, read_folders
from layertui.panels.files.preview_model import Start
from layertui.panels.files.syntax import Tones, tones_of
from layertui.text.format import plural, size_text

Folders = Mapping[str, Folder]


def folders_job(store: LayerStore, layer_id: str, paths: Sequence[str], *, number: int = 0) -> Job[Folders]:
    """List folders of a layer's file system, skipping those that do not exist.

    Jobs with different numbers do not cancel each other.
    """

    def work(job: Job[Folders]) -> Folders:
        return read_folders(store.files(layer_id), paths, job.should_stop)

    return Job("list folders", work, quiet=True, key=f"files {number}")


def build_job(folders: Folders, *, by_size: bool) -> Job[FileTree]:
    """Build a tree of many files."""

    def work(job: Job[FileTree]) -> FileTree:
        del job
        return build_file_tree(folders, by_size=by_size)

    return Job("build the tree of files", work, quiet=True, key="files built")


def find_job(store: LayerStore, layer_id: str, text: str) -> Job[Found]:
    """Search a layer's whole file system for names."""

    def work(job: Job[Found]) -> Found:
        return find_files(store.files(layer_id), text, progress=job.progress, should_stop=job.should_stop)

    return Job("search the files", work, quiet=True, key="files found")


# Previews


def preview_job(store: LayerStore, layer_id: str, path: str) -> Job[Start]:
    """Read the beginning of a file."""

    def work(job: Job[Start]) -> Start:
        del job
        return preview_model.start(store.files(layer_id), path)

    return Job("preview the file", work, quiet=True, key="preview")


def tones_job(language: str, piece: bytes) -> Job[Tones]:
    """Find the tokens at the beginning of a text, to colour them."""

    def work(job: Job[Tones]) -> Tones:
        lines = [preview_model.shown_line(line) for line in piece.split(b"\n")]
        return tones_of(language, lines, job.should_stop)

    return Job("colour the text", work, quiet=True, key="preview tones")


def more_job(store: LayerStore, layer_id: str, path: str, offset: int) -> Job[tuple[bytes, int]]:
    """Read the next piece of a file, and return it with the number of bytes that were requested."""

    def work(job: Job[tuple[bytes, int]]) -> tuple[bytes, int]:
        del job
        size = min(preview_model.PIECE, preview_model.LIMIT - offset)
        return store.files(layer_id).read(path, offset, size), size

    return Job("read on in the file", work, quiet=True, key="preview more")


# Actions


def occurrences_job(store: LayerStore, layer_id: str, path: str) -> Job[Sequence[Occurrence]]:
    """Find the layers in which a path occurs, the lowest first."""

    def work(job: Job[Sequence[Occurrence]]) -> Sequence[Occurrence]:
        del job
        return store.files(layer_id).occurrences(path)

    return Job("find the layers with this path", work, quiet=True, key="occurrences")


def extract_job(
    store: LayerStore, layer_id: str, path: str, target: Path, *, overwrite: bool, owners: bool
) -> Job[Extracted]:
    """Extract a file or a folder of a layer atomically. The job only reads the store."""

    def work(job: Job[Extracted]) -> Extracted:
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
        job.outcome = f"{plural(done.files, 'file')}, {size_text(done.size)} in {target}{left_out}"
        return done

    return Job(_extract_title(path), work)


def extract_tar_job(store: LayerStore, layer_id: str, path: str, target: Path, *, overwrite: bool) -> Job[int]:
    """Write a tar of a file or a folder of a layer atomically, and return its size. The job only reads the store."""

    def work(job: Job[int]) -> int:
        size = store.extract_tar(
            layer_id, path, target, overwrite=overwrite, progress=job.progress, should_stop=job.should_stop
        )
        job.outcome = f"{size_text(size)} in {target}"
        return size

    return Job(_extract_title(path), work)


def _extract_title(path: str) -> str:
    return f"Extract {path.rpartition('/')[2]}"
