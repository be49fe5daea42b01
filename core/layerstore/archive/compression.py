"""Detect, decompress and compress streams.

Streams are processed in pieces, so one of any length needs only a few MiB of memory. A zstd or xz stream chooses the
size of the window that its decoder has to keep; windows over 128 MiB (zstd) and 256 MiB (xz) are rejected.
"""

from __future__ import annotations

import bz2
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, cast

from isal import igzip_lib, isal_zlib

from layerstore.errors import BadArchive, NotSupported
from layerstore.model import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 1 << 20
"""The most bytes in a piece that `decompress` yields."""

DETECT_BYTES = 8
"""The number of leading bytes that `detect` needs."""

_MAGIC = {
    Compression.BZIP2: b"BZh",
    Compression.GZIP: b"\x1f\x8b\x08",
    Compression.XZ: b"\xfd7zXZ\0",
    Compression.ZSTD: b"\x28\xb5\x2f\xfd",
}
_AFTER_A_STREAM = 1 << 15
_NO_PADDING = re.compile(rb"[^\0]").search
_SKIPPABLE = b"\x2a\x4d\x18"
_XZ_MEMORY = 256 << 20
_GZIP_LEVEL = 2
_ZSTD_LEVEL = 3
_XZ_PRESET = 3
_BROKEN: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    cast("type[Exception]", isal_zlib.error),  # its stubs call the class an instance
    lzma.LZMAError,
    zstd.ZstdError,
)


class _Decoder(Protocol):
    """The interface that the decoders of all four libraries share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Compressor(Protocol):
    """A compressor for one stream: call `compress` for each piece, then `flush` once. Either may return b""."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Compress the next piece and return the output that is ready."""
        ...

    def flush(self) -> bytes:
        """End the stream and return the remaining output."""
        ...


def detect(leading: bytes) -> Compression:
    """Return how a stream is compressed, judging by its first `DETECT_BYTES` bytes or all of a shorter one.

    The signatures are those of containers/storage's archive.DetectCompression, plus that of the skippable frame that a
    zstd stream may begin with (RFC 8878, section 3.1.2).
    """
    for compression, magic in _MAGIC.items():
        if leading.startswith(magic):
            return compression
    if len(leading) >= DETECT_BYTES and leading[0] & 0xF0 == 0x50 and leading[1:4] == _SKIPPABLE:
        return Compression.ZSTD
    return Compression.NONE


def decompress(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """Yield the content of a compressed stream in pieces of up to 1 MiB.

    Like Go, treat concatenated streams (gzip members, zstd frames, bzip2 and xz streams) as one. Nothing else may
    follow a stream, except the padding of xz.

    Raises:
        BadArchive: The stream is damaged, ends early or is followed by other data.
    """
    if compression is Compression.NONE:
        yield from chunks
        return
    streams = _Streams(compression)
    for chunk in chunks:
        yield from streams.feed(chunk)
    streams.finish()


def compressor(compression: Compression) -> Compressor:
    """Return a compressor for one stream.

    Raises:
        NotSupported: `compression` is NONE.
    """
    if compression is Compression.NONE:
        raise NotSupported("there is no compressor for an uncompressed stream; write the bytes as they are")
    return _ENCODERS[compression]()


class _Streams:
    """The decoder for a sequence of concatenated streams."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._decoder: _Decoder | None = None
        self._portion = PIECE

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decompress all of `chunk` and yield the output."""
        at, hungry = 0, True
        while at < len(chunk) or not hungry:
            if self._decoder is None:
                if self._compression is Compression.XZ:
                    start = _NO_PADDING(chunk, at)
                    if start is None:
                        return
                    at = start.start()
                self._decoder = _DECODERS[self._compression]()
            data = chunk[at : at + self._portion] if hungry else b""  # the decoder still has input
            at += len(data)
            if out := self._decode(self._decoder, data):
                yield out
            hungry = self._decoder.eof or self._decoder.needs_input
            if self._decoder.eof:
                at -= len(self._decoder.unused_data)
                self._decoder = None
                # `unused_data` is a copy, so in a chunk of many tiny streams large portions would be copied repeatedly.
                self._portion = _AFTER_A_STREAM

    def _decode(self, decoder: _Decoder, data: bytes) -> bytes:
        try:
            return decoder.decompress(data, PIECE)
        except _BROKEN as error:
            raise BadArchive(f"the {self._name} stream is damaged: {error}") from error

    def finish(self) -> None:
        """Check that the last stream is complete."""
        if self._decoder is not None:
            raise BadArchive(f"the {self._name} stream ends early")

    @property
    def _name(self) -> str:
        return self._compression.name.lower()


_DECODERS: dict[Compression, Callable[[], _Decoder]] = {
    Compression.BZIP2: bz2.BZ2Decompressor,
    Compression.GZIP: lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    Compression.XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    Compression.ZSTD: zstd.ZstdDecompressor,
}
_ENCODERS: dict[Compression, Callable[[], Compressor]] = {
    Compression.BZIP2: bz2.BZ2Compressor,
    Compression.GZIP: lambda: isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 31),
    Compression.XZ: lambda: lzma.LZMACompressor(lzma.FORMAT_XZ, preset=_XZ_PRESET),
    Compression.ZSTD: lambda: zstd.ZstdCompressor(_ZSTD_LEVEL),
}
