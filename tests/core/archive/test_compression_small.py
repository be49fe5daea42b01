"""Compressed streams made of very many others, and windows beyond all reason: what only an attacker sends."""

from __future__ import annotations

import sys

import pytest

from layerstore.archive.compression import _DECODERS, decompress
from layerstore.errors import BadArchive
from layerstore.model import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Counting:
    """A decoder that counts what it is given: what a stream leaves over is copied to the next one."""

    fed = 0

    def __init__(self) -> None:
        self._decoder = zstd.ZstdDecompressor()

    def decompress(self, data: bytes, limit: int) -> bytes:
        Counting.fed += len(data)
        return self._decoder.decompress(data, limit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)


def test_very_many_streams_are_not_copied_once_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_DECODERS, Compression.ZSTD, Counting)
    count = 15_000
    packed = zstd.compress(b"") * count
    assert b"".join(decompress([packed], Compression.ZSTD)) == b""
    assert len(packed) <= Counting.fed < count * len(packed) / 4


def test_streams_after_the_first_come_whole_out_of_a_large_chunk() -> None:
    packed = zstd.compress(b"one") + zstd.compress(bytes(range(256)) * 4000) + zstd.compress(b"two") * 9000
    assert b"".join(decompress([packed], Compression.ZSTD)) == b"one" + bytes(range(256)) * 4000 + b"two" * 9000


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, 31 - 10 << 3]) + b"\x01\0\0"  # a window of 2 GiB, an empty block
    with pytest.raises(BadArchive, match="zstd"):
        list(decompress([frame], Compression.ZSTD))
