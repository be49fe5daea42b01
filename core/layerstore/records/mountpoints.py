"""mountpoints.json: which layers are mounted, where, and how many users each mount has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from layerstore.errors import NotSupported
from layerstore.linux.atomic import write_file
from layerstore.linux.lockfile import Held
from layerstore.model import BAD_JSON, Layer, MountPoint
from layerstore.records.layout import Layout
from layerstore.records.readfile import FileStamp, corrupt, file_stamp, read_if_there


class _Line(msgspec.Struct, gc=False):
    id: str = ""
    path: str = ""
    count: int = 0


_lines_decoder = msgspec.json.Decoder(list[_Line] | None)
_raws_decoder = msgspec.json.Decoder(list[Raw] | None)


@dataclass(frozen=True, slots=True)
class MountTable:
    """The entries of the file, by layer ID."""

    by_id: dict[str, MountPoint]

    def at(self, path: str) -> MountPoint | None:
        """Return the mount at a path, after normalizing the path."""
        clean = os.path.normpath(path)
        return next((mount for mount in self.by_id.values() if mount.path == clean), None)

    def applied_to(self, layer: Layer) -> Layer:
        """Return the layer with the path and count of its mount."""
        mount = self.by_id.get(layer.id)
        if mount is None:
            return layer
        return msgspec.structs.replace(layer, mount_point=mount.path, mount_count=mount.count)


class MountsFile:
    """The file below the run root. Hold mountpoints.lock to read it, and its write lock to write it."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.mounts_json

    def stamp(self) -> FileStamp:
        """Return a stamp that changes when the file is replaced."""
        return file_stamp(self._path)

    def load(self) -> MountTable:
        """Read the file. A missing or empty file, as after a reboot, lists no mounts.

        Raises:
            StoreCorrupt: It is not a JSON array of mounts.
        """
        mounts = (MountPoint(line.id, os.path.normpath(line.path), line.count) for line, _ in self._read())
        return MountTable({mount.id: mount for mount in mounts if mount.path != "." and mount.count > 0})

    def save(self, held: Held, changed: Iterable[MountPoint]) -> None:
        """Replace the entries of these layers, keeping all others byte for byte. A count of 0 removes the entry.

        Raises:
            NotSupported: A path is not UTF-8, so the file cannot hold it. Nothing was changed.
        """
        new = {mount.id: mount for mount in changed}
        lines = [_encode(mount) for mount in new.values() if mount.count > 0]
        held.record_write()
        kept = [raw for line, raw in self._read() if line.id not in new]
        write_file(self._path, b"[" + b",".join([*kept, *lines]) + b"]", mode=0o600)

    def _read(self) -> list[tuple[_Line, Raw]]:
        data = read_if_there(self._path)
        if not data:
            return []
        try:
            lines, raws = _lines_decoder.decode(data) or [], _raws_decoder.decode(data) or []
        except BAD_JSON as error:
            raise corrupt(self._path, data, error) from error
        return list(zip(lines, raws, strict=True))


def _encode(mount: MountPoint) -> bytes:
    try:
        return msgspec.json.encode({"id": mount.id, "path": mount.path, "count": mount.count})
    except UnicodeEncodeError as error:
        text = f"cannot record the mount at {mount.path}: the path is not UTF-8; move the store to another folder"
        raise NotSupported(text) from error
