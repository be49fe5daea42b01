"""Target files of a diff, and the lock of a reader that was never closed."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from layerstore.content.diff import Options, from_chunks
from layerstore.model import Compression


class SaysNothing:
    """A file whose `write` returns None, as in many packages."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: memoryview, /) -> None:
        self.data += data


def test_a_file_whose_write_returns_none_gets_everything_once() -> None:
    out = SaysNothing()
    with from_chunks([b"a" * 1000, b"b"], Options()) as reader:
        assert reader.copy_to(out) == 1001  # type: ignore[arg-type]
    assert out.data == b"a" * 1000 + b"b"


def test_a_full_non_blocking_pipe_is_an_error() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with (
        open(read, "rb"),
        open(write, "wb", buffering=0) as out,
        from_chunks([bytes(1 << 20)], Options()) as reader,
        pytest.raises(BlockingIOError),
    ):
        reader.copy_to(out)


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_a_dropped_reader_closes_at_once_without_the_garbage_collector(compression: Compression) -> None:
    closed: list[bool] = []
    threads = threading.active_count()
    gc.disable()
    try:
        reader = from_chunks(iter([bytes(1 << 20)] * 3), Options(compression, on_close=lambda: closed.append(True)))
        reader.read(10)
        del reader
        assert closed == [True]
        assert threading.active_count() == threads
    finally:
        gc.enable()


def test_everything_is_released_if_the_driver_s_generator_fails_to_close() -> None:
    closed: list[bool] = []
    threads = threading.active_count()

    def pieces():  # type: ignore[no-untyped-def]
        try:
            yield bytes(1 << 20)
            yield bytes(1 << 20)
        finally:
            raise OSError(5, "cannot end")

    reader = from_chunks(pieces(), Options(on_close=lambda: closed.append(True)))
    assert reader.read(10) == bytes(10)
    with pytest.raises(OSError, match="cannot end"):
        reader.close()
    assert closed == [True]
    assert threading.active_count() == threads
