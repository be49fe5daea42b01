"""mountpoints.json: which layers are mounted, where, and how many times that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from layerstore.errors import NotSupported
from layerstore.linux.atomic import write_file
from layerstore.linux.lockfile import Held
from layerstore.model import BAD_JSON, MountPoint
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
    """The lines of the file, by layer ID and by path."""

    by_id: dict[str, MountPoint]

    def at(self, path: str) -> MountPoint | None:
        """Return the mount whose path this is, "." and ".." and doubled slashes aside."""
        clean = os.path.normpath(path)
        return next((mount for mount in self.by_id.values() if mount.path == clean), None)


class MountsFile:
    """The file below the run root. Reading wants any lock on mountpoints.lock, writing the write lock."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.mounts_json

    def stamp(self) -> FileStamp:
        """Return what differs after the file was replaced."""
        return file_stamp(self._path)

    def load(self) -> MountTable:
        """Read the file; one that is missing or empty, as after a boot, holds no mounts.

        Raises:
            StoreCorrupt: it is no JSON array of mounts.
        """
        mounts = (MountPoint(line.id, os.path.normpath(line.path), line.count) for line, _ in self._read())
        return MountTable({mount.id: mount for mount in mounts if mount.path != "." and mount.count > 0})

    def save(self, held: Held, changed: Iterable[MountPoint]) -> None:
        """Put the given mounts in place of the lines of the same layers; a count of 0 takes the line away.

        Raises:
            NotSupported: a path is not UTF-8, which the file cannot hold; nothing was changed.
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
        text = f"{mount.path} is not UTF-8, and a mount there cannot be counted: move the store to another folder"
        raise NotSupported(text) from error
