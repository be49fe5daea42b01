"""The owners of tar entries, translated for a layer with ID maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from layerstore.archive.entry import TarEntry
from layerstore.archive.whiteouts import PREFIX
from layerstore.errors import BadArchive
from layerstore.idmap import IDMappings, Unmapped

_GLOBAL_HEADER = b"g"


def shifted(entries: Iterable[TarEntry], maps: IDMappings) -> Iterator[TarEntry]:
    """Yield the entries of a tar, changed in place to have the owners that their files get on disk.

    A whiteout is not a file of its own. If its owner is not mapped, it gets that of the container's root.

    Raises:
        BadArchive: An owner is not mapped. The error names the entry and the ID.
        NotSupported: The maps are invalid or do not map the container's root.
    """
    root = maps.root
    for entry in entries:
        if entry.type != _GLOBAL_HEADER:
            try:
                entry.uid, entry.gid = maps.to_host(entry.uid, entry.gid)
            except Unmapped as error:
                if not entry.name.rstrip(b"/").rpartition(b"/")[2].startswith(PREFIX):
                    reason = f"{error}; to fix: create the layer with a larger map"
                    raise BadArchive(reason, entry=os.fsdecode(entry.name)) from error
                entry.uid, entry.gid = root
        yield entry
