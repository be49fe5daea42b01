"""Tests of translating the owners of tar entries."""

from __future__ import annotations

import pytest

from layerstore.archive.idshift import shifted
from layerstore.errors import BadArchive, NotSupported
from layerstore.idmap import IDMappings
from layerstore.model import IDMap
from support.trees import Entry

MAPS = IDMappings((IDMap(0, 100_000, 1000), IDMap(1000, 5, 1)), (IDMap(0, 200_000, 500),))


def test_entries_get_their_owners_on_disk() -> None:
    entries = [Entry("file", uid=3, gid=4), Entry("d/.wh.gone", uid=9999, gid=0), Entry("global", "g", uid=9999)]
    assert [(entry.uid, entry.gid) for entry in shifted(entries, MAPS)][:2] == [(100_003, 200_004), (100_000, 200_000)]
    with pytest.raises(BadArchive, match=r"'far': UID 9999 .* larger map") as caught:
        list(shifted([Entry("far", uid=9999, gid=0)], MAPS))
    assert caught.value.entry == "far"


def test_maps_without_root_are_refused() -> None:
    with pytest.raises(NotSupported, match="to fix"):
        list(shifted([], IDMappings((IDMap(5, 5, 5),))))
