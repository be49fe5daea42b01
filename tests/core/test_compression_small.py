"""Compressed streams made of very many others, and windows beyond all reason: what only an attacker sends."""

from __future__ import annotations

import sys
import time

import pytest

from layerstore.compression import decompress
from layerstore.errors import BadArchive
from layerstore.model import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def test_very_many_streams_take_time_in_proportion() -> None:
    empty = zstd.compress(b"")

    def seconds(count: int) -> float:
        begun = time.process_time()
        assert b"".join(decompress([empty * count], Compression.ZSTD)) == b""
        return time.process_time() - begun

    seconds(100)
    assert seconds(40_000) < 16 * min(seconds(5_000) for _ in range(3))


def test_streams_after_the_first_come_whole_out_of_a_large_chunk() -> None:
    packed = zstd.compress(b"one") + zstd.compress(bytes(range(256)) * 4000) + zstd.compress(b"two") * 9000
    assert b"".join(decompress([packed], Compression.ZSTD)) == b"one" + bytes(range(256)) * 4000 + b"two" * 9000


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, 31 - 10 << 3]) + b"\x01\0\0"  # a window of 2 GiB, an empty block
    with pytest.raises(BadArchive, match="zstd"):
        list(decompress([frame], Compression.ZSTD))
