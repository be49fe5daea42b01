"""Tests of reading the headers of a tar from its tar-split."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from layerstore.archive.tarsplit.headers import headers
from layerstore.errors import StoreCorrupt
from support.tars import END, entry, split


def test_a_gigantic_payload_size_is_ignored(tmp_path: Path) -> None:
    path, _, _ = split(entry(b"f", b"12345") + entry(b"g") + END, tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"size":5', b'"size":%d' % (1 << 62))))
    assert [(found.name, found.size) for found in headers(path)] == [(b"f", 5), (b"g", 0)]


def test_a_damaged_tar_split_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.tar-split.gz"
    path.write_bytes(gzip.compress(b"{{{"))
    with pytest.raises(StoreCorrupt, match="to fix") as caught:
        list(headers(path))
    assert caught.value.file == str(path)
