"""Tests of detecting, decompressing and compressing streams, including damaged and hostile ones."""

from __future__ import annotations

import binascii
import bz2
import gzip
import lzma
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.archive.compression import _DECODERS, DETECT_BYTES, PIECE, compressor, decompress, detect
from layerstore.errors import BadArchive, NotSupported
from layerstore.model import Compression
from support.needs import need_program
from support.tars import chunked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTENT = os.urandom(100_000) + b"text " * 400_000 + os.urandom(1000)
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.BZIP2: bz2.compress,
    Compression.GZIP: gzip.compress,
    Compression.XZ: lambda data: lzma.compress(data, preset=1),
    Compression.ZSTD: lambda data: zstd.compress(data, options=CHECKED),
}
PROGRAMS = {Compression.BZIP2: "bzip2", Compression.GZIP: "gzip", Compression.XZ: "xz", Compression.ZSTD: "zstd"}
KINDS = list(PACKERS)
PACKED = {kind: pack(CONTENT) for kind, pack in PACKERS.items()}


def unpack(data: bytes, kind: Compression, size: int = 1 << 16) -> bytes:
    return b"".join(decompress(chunked(data, size), kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_compression_is_detected(kind: Compression) -> None:
    assert detect(PACKED[kind][:DETECT_BYTES]) is kind
    assert detect(PACKERS[kind](b"")[:DETECT_BYTES]) is kind


@pytest.mark.parametrize(
    "leading", [b"", b"B", b"\x1f\x8b", b"\xfd7zXZ", b"(\xb5/", b"usr/bin\0", bytes(8), b"PK\3\4....", SKIPPABLE[:7]]
)
def test_other_data_counts_as_uncompressed(leading: bytes) -> None:
    assert detect(leading) is Compression.NONE


def test_a_zstd_stream_may_begin_with_a_skippable_frame() -> None:
    data = SKIPPABLE + PACKED[Compression.ZSTD] + SKIPPABLE
    assert detect(data[:DETECT_BYTES]) is Compression.ZSTD
    assert unpack(data, Compression.ZSTD) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [997, 1 << 16, 1 << 22])
def test_content_is_yielded_in_bounded_pieces_for_any_chunk_size(kind: Compression, size: int) -> None:
    pieces = list(decompress(chunked(PACKED[kind], size), kind))
    assert b"".join(pieces) == CONTENT
    assert 0 < min(map(len, pieces)) <= max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("kind", KINDS)
def test_concatenated_streams_are_read_as_one(kind: Compression) -> None:
    data = PACKED[kind] + PACKERS[kind](b"") + PACKERS[kind](b"more")
    for size in (1, 8192) if len(data) < 20_000 else (101, 1 << 20):
        assert unpack(data, kind, size) == CONTENT + b"more"


def test_the_padding_of_xz_is_skipped() -> None:
    packed = PACKED[Compression.XZ]
    assert unpack(packed + bytes(8) + packed + bytes(4), Compression.XZ) == CONTENT * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_a_stream_that_ends_early_is_refused(kind: Compression, part: float) -> None:
    packed = PACKED[kind]
    end = max(1, int((len(packed) - 1) * part))
    with pytest.raises(BadArchive, match=f"{kind.name.lower()} stream ends early"):
        unpack(packed[:end], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trailing", [b"junk that is no stream", b"\1"], ids=["junk", "byte"])
def test_trailing_data_is_refused(kind: Compression, trailing: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(PACKED[kind] + trailing, kind)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(at=st.integers(12, 90_000), bit=st.integers(0, 7))
def test_a_changed_stream_is_refused_or_has_the_same_content(kind: Compression, at: int, bit: int) -> None:
    data = bytearray(PACKED[kind])
    data[at] ^= 1 << bit
    try:
        content = unpack(bytes(data), kind)
    except BadArchive:
        return
    assert content == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_a_decompression_bomb_uses_little_memory(kind: Compression) -> None:
    one = PACKERS[kind](bytes(30 << 20))

    def chunks() -> Iterator[bytes]:
        yield one
        yield one

    total = 0
    tracemalloc.start()
    for piece in decompress(chunks(), kind):
        total += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 60 << 20
    assert peak < 12 << 20


def test_an_xz_stream_with_a_huge_dictionary_is_refused() -> None:
    # Set the dictionary size in the block header to 1.5 GiB and fix its checksum.
    packed = bytearray(lzma.compress(b"data", preset=0))
    start = 12
    length = (packed[start] + 1) * 4
    place = packed.index(b"\x21\x01", start) + 2
    packed[place] = 39
    check = binascii.crc32(packed[start : start + length - 4])
    packed[start + length - 4 : start + length] = check.to_bytes(4, "little")
    with pytest.raises(BadArchive, match=r"[Mm]emory"):
        unpack(bytes(packed), Compression.XZ)


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_streams_can_be_read_here_and_by_the_real_program(kind: Compression) -> None:
    encoder = compressor(kind)
    packed = b"".join(encoder.compress(piece) for piece in chunked(CONTENT, 300_000)) + encoder.flush()
    assert detect(packed[:DETECT_BYTES]) is kind
    assert len(packed) < len(CONTENT) // 5
    assert unpack(packed, kind) == CONTENT
    program = need_program(PROGRAMS[kind])
    assert subprocess.run([program, "-dc"], input=packed, capture_output=True, check=True).stdout == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_compressing_nothing_gives_a_valid_stream(kind: Compression) -> None:
    encoder = compressor(kind)
    assert unpack(encoder.compress(b"") + encoder.flush(), kind) == b""


def test_uncompressed_data_passes_through() -> None:
    assert unpack(CONTENT, Compression.NONE) == CONTENT
    with pytest.raises(NotSupported):
        compressor(Compression.NONE)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_tiny_streams_are_read(kind: Compression) -> None:
    one = PACKERS[kind](b"x")
    count = 20_000 if kind in (Compression.GZIP, Compression.ZSTD) else 2000
    assert unpack(one * count, kind, 1 << 20) == b"x" * count


def test_errors_of_the_source_are_passed_on() -> None:
    def chunks() -> Iterator[bytes]:
        yield PACKED[Compression.BZIP2][:1000]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        list(decompress(chunks(), Compression.BZIP2))


class Counting:
    """A zstd decoder that counts its input, because what one stream leaves over is copied for the next."""

    fed = 0

    def __init__(self) -> None:
        self._decoder = zstd.ZstdDecompressor()

    def decompress(self, data: bytes, limit: int) -> bytes:
        Counting.fed += len(data)
        return self._decoder.decompress(data, limit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)


def test_the_copies_for_many_streams_in_a_chunk_do_not_grow_quadratically(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_DECODERS, Compression.ZSTD, Counting)
    count = 15_000
    packed = zstd.compress(b"") * count
    assert b"".join(decompress([packed], Compression.ZSTD)) == b""
    assert len(packed) <= Counting.fed < count * len(packed) / 4


def test_all_streams_in_a_large_chunk_are_complete() -> None:
    packed = zstd.compress(b"one") + zstd.compress(bytes(range(256)) * 4000) + zstd.compress(b"two") * 9000
    assert b"".join(decompress([packed], Compression.ZSTD)) == b"one" + bytes(range(256)) * 4000 + b"two" * 9000


def test_a_huge_zstd_window_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, 31 - 10 << 3]) + b"\x01\0\0"  # a window of 2 GiB, an empty block
    with pytest.raises(BadArchive, match="zstd"):
        list(decompress([frame], Compression.ZSTD))
