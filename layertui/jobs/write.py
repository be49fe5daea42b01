"""The jobs that make layers and change what is in them: one call of the store each, as in `operations`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from layerstore.errors import LayerStoreError
from layerstore.store import LayerStore
from layertui.jobs import messages
from layertui.jobs.runner import Job
from layertui.model.rows import LayerRow
from layertui.text.format import size_text

SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash", "/bin/busybox")
"""Where a layer may have a shell, the best first."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A layer to create: empty if `tar` is None, a base layer if `parent` is "", with a random ID if `id` is None."""

    tar: Path | None
    parent: str
    names: tuple[str, ...]
    id: str | None


def create_job(store: LayerStore, request: CreateRequest) -> Job:
    """Make a layer, empty or of a tar."""

    def work(job: Job) -> Message:
        how = {"id": request.id, "parent": request.parent or None, "names": request.names}
        try:
            if request.tar is None:
                layer = store.create(**how)  # type: ignore[arg-type]
            else:
                with request.tar.open("rb") as tar:
                    layer, _ = store.put(tar, progress=job.progress, should_stop=job.should_stop, **how)  # type: ignore[arg-type]
        except Exception as error:
            error.add_note("No layer was made, and the store is as it was before.")
            raise
        made = f", {size_text(layer.diff_size)}, {layer.diff_digest}" if request.tar is not None else ", empty"
        job.result = f"{layer.id[:12]}{made}"
        return messages.Created(layer.id, layer.diff_size if request.tar is not None else None, layer.diff_digest)

    title = "Create a layer" if request.tar is None else f"Create from {request.tar.name}"
    return Job(title, work, writes=True)


def apply_job(store: LayerStore, row: LayerRow, tar_path: Path) -> Job:
    """Apply a tar to a layer."""

    def work(job: Job) -> Message:
        try:
            with tar_path.open("rb") as tar:
                store.apply_diff(row.id, tar, progress=job.progress, should_stop=job.should_stop)
        except Exception as error:
            error.add_note("The layer is as it was before.")
            raise
        layer = store.get(row.id)
        job.result = f"{size_text(layer.diff_size)}, {layer.diff_digest}"
        return messages.Applied(row.id, layer.diff_size, layer.diff_digest)

    return Job(f"Apply to {row.title}", work, writes=True)


def metadata_job(store: LayerStore, row: LayerRow, text: str) -> Job:
    """Keep another text with a layer."""

    def work(job: Job) -> Message:
        store.set_metadata(row.id, text)
        job.result = f"{size_text(len(text.encode('utf-8', 'surrogatepass')))} of metadata"
        return messages.LayerChanged(row.id, "metadata")

    return Job(f"Metadata of {row.title}", work, writes=True)


def find_shell_job(store: LayerStore, layer_id: str) -> Job:
    """Look which shell there is inside a layer; nothing is mounted for that."""

    def work(job: Job) -> Message:
        del job
        return messages.ShellFound(layer_id, _shell_in(store, layer_id))

    return Job("look for a shell", work, quiet=True, key="shell")


def _shell_in(store: LayerStore, layer_id: str) -> str:
    try:
        files = store.files(layer_id)
    except (LayerStoreError, OSError):  # one that cannot be looked into has none to offer; mounting it will say why
        return ""
    for path in SHELLS:
        with suppress(LayerStoreError):
            if files.stat(path, follow=True).mode & 0o111:
                return path
    return ""


def mount_for_shell_job(store: LayerStore, row: LayerRow, *, inside: str) -> Job:
    """Mount a layer, or count one user more, for a shell in it; `inside` is the layer's own shell, or ""."""

    def work(job: Job) -> Message:
        del job
        before = any(state.id == row.id and not state.stale for state in store.mounts())
        return messages.ShellReady(row.id, store.mount(row.id), inside, before)

    return Job(f"Mount {row.title}", work, writes=True)
