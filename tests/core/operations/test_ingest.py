"""`Ingest` with every kind of source and of failure, and the facts that it returns."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerstore.errors import BadArchive, Cancelled
from layerstore.model import Compression
from layerstore.operations.ingest import Ingest, IngestResult, Source
from support.tars import END, chunked, entry, joined, make_tar

TAR = make_tar({"d": None, "d/a": b"one" * 1000, "d/b": os.urandom(3 << 20), "l": "d/a"})
COMPRESS = {
    Compression.NONE: bytes,
    Compression.BZIP2: bz2.compress,
    Compression.GZIP: lambda data: gzip.compress(data, 1),
    Compression.XZ: lambda data: lzma.compress(data, preset=0),
}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert {thread for thread in threading.enumerate() if thread.name.startswith("layerstore")} - before == set()


def ingest(source: Source | str | Path, **options: Any) -> tuple[IngestResult, bytes, dict[bytes, bytes]]:
    """Read a diff, and return its result, its tar-split and the files in it."""
    out = io.BytesIO()
    with Ingest(source, out, **options) as work:
        files = {found.name.rstrip(b"/"): b"".join(found.pieces()) for found in work.entries()}
        result = work.result()
    return result, out.getvalue(), files


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Trickle:
    """A source that returns little data at a time, and sometimes none."""

    def __init__(self, data: bytes) -> None:
        self._parts: list[bytes | None] = [None, *chunked(data[:20], 3), None, *chunked(data[20:], 700_001)]

    def read(self, size: int, /) -> bytes | None:
        return self._parts.pop(0) if self._parts else b""


@pytest.mark.parametrize("compression", COMPRESS)
def test_the_result_describes_the_stream(compression: Compression, tmp_path: Path) -> None:
    stream = COMPRESS[compression](TAR)
    result, tar_split, files = ingest(io.BytesIO(stream))
    assert result == IngestResult(compression, digest(stream), len(stream), digest(TAR), len(TAR), (0,), (0,))
    (tmp_path / "tar-split.gz").write_bytes(tar_split)
    assert joined(tmp_path / "tar-split.gz", files) == TAR


def test_every_kind_of_source_has_the_same_result(tmp_path: Path) -> None:
    file = tmp_path / "diff"
    file.write_bytes(TAR)
    wanted = ingest(io.BytesIO(TAR))
    assert ingest(file) == wanted
    assert ingest(str(file)) == wanted
    assert ingest(Trickle(TAR)) == wanted
    for buffering in (0, 1 << 16):
        with file.open("rb", buffering=buffering) as opened:
            assert ingest(opened) == wanted
            assert not opened.closed
        with subprocess.Popen(["cat", file], stdout=subprocess.PIPE, bufsize=buffering) as process:
            assert process.stdout is not None
            assert ingest(process.stdout) == wanted


def test_reading_starts_at_the_position_of_the_source() -> None:
    source = io.BytesIO(b"before" + TAR)
    source.seek(6)
    assert ingest(source)[0].diff_digest == digest(TAR)


def test_owners_of_whiteouts_are_ignored() -> None:
    tar = b"".join(
        (
            entry(b"a", uid=3, gid=9),
            entry(b"b", uid=1, gid=9),
            entry(b"d/.wh.gone", uid=7, gid=7),
            entry(b".wh..wh..opq", uid=7, gid=7),
            entry(b"x.wh.y", uid=2, gid=2),
            entry(b".wh.d/f", uid=4, gid=4),
            entry(b"z", uid=b"\xff" * 8, gid=b"\xff" * 7 + b"\xfe"),
        )
    )
    result = ingest(io.BytesIO(tar + END))[0]
    assert result.uids == (1, 2, 3, 4, 0xFFFFFFFF)
    assert result.gids == (2, 4, 9, 0xFFFFFFFE)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_progress_rises_to_the_total(compression: Compression, known: bool) -> None:
    tar = entry(b"big", os.urandom(1 << 20) * 16) + END  # more than the threads buffer
    stream = COMPRESS[compression](tar)
    seen: list[tuple[int, int | None]] = []
    thread = set()

    def progress(done: int, total: int | None) -> None:
        seen.append((done, total))
        thread.add(threading.current_thread())

    ingest(io.BytesIO(stream) if known else Trickle(stream), progress=progress)
    counts = [done for done, _ in seen]
    assert counts == sorted(set(counts))
    assert counts[-1] == len(stream)
    assert len(counts) > 1
    assert {total for _, total in seen} == {len(stream) if known else None}
    assert thread == {threading.current_thread()}


def test_an_empty_stream_is_an_empty_tar() -> None:
    result, _, files = ingest(io.BytesIO(b""))
    assert (result.diff_size, result.diff_digest, files) == (0, digest(b""), {})


@pytest.mark.parametrize(
    "stream",
    [b"x", b"\x1f\x8b\x08", TAR[:-3_000_000], gzip.compress(TAR, 1)[:-9], gzip.compress(TAR, 1) + b"x", TAR[7:]],
    ids=["letter", "magic", "cut", "cut gzip", "garbage after gzip", "shifted"],
)
def test_a_bad_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(BadArchive):
        ingest(io.BytesIO(stream))


class Broken(io.RawIOBase):
    """A source that fails after a part of the tar."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._given = False

    def read(self, size: int = -1, /) -> bytes:
        if self._given:
            raise self._error
        self._given = True
        return TAR[:100_000]


@pytest.mark.parametrize("error", [OSError(5, "I/O error"), RuntimeError("mine"), KeyboardInterrupt()])
def test_an_error_of_the_source_is_raised_to_the_caller(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        ingest(Broken(error))
    assert caught.value is error


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ingest(tmp_path / "nothing")


@pytest.mark.parametrize("buffering", [0, 1 << 16])
@pytest.mark.parametrize("begun", [b"", TAR[:300], TAR[:2000]], ids=["nothing", "a part", "an entry"])
def test_waiting_for_a_pipe_can_be_cancelled(begun: bytes, buffering: int) -> None:
    read, write = os.pipe()
    os.write(write, begun)
    asked: list[float] = []

    def should_stop() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 4

    started = time.monotonic()
    try:
        with open(read, "rb", buffering=buffering) as source, pytest.raises(Cancelled):
            ingest(source, should_stop=should_stop)
    finally:
        os.close(write)
    assert time.monotonic() - started < 3


def test_leaving_early_does_not_wait_for_a_pipe() -> None:
    read, write = os.pipe()
    try:
        with open(read, "rb", buffering=0) as source:
            started = time.monotonic()
            with Ingest(source, io.BytesIO()):
                time.sleep(0.05)
            assert time.monotonic() - started < 1
    finally:
        os.close(write)


def test_leaving_early_stops_a_reader_that_is_ahead() -> None:
    big = entry(b"big", bytes(40 << 20)) + END
    with Ingest(io.BytesIO(gzip.compress(big, 1)), io.BytesIO()) as work:
        next(work.entries())
    with Ingest(io.BytesIO(big), io.BytesIO()) as work, pytest.raises(RuntimeError, match="not all entries"):
        work.result()


def test_reading_a_file_can_be_cancelled() -> None:
    answers = iter([False] * 3)
    with pytest.raises(Cancelled):
        ingest(io.BytesIO(TAR), should_stop=lambda: next(answers, True))


def test_a_tar_split_that_cannot_be_written_is_an_error() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OSError, match="space"),
        Ingest(io.BytesIO(TAR), full) as work,
    ):
        list(work.entries())


def test_memory_use_is_bounded(tmp_path: Path) -> None:
    code = (
        "import sys, resource, os; from layerstore.operations.ingest import Ingest\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with Ingest(sys.argv[1], open(os.devnull, 'wb')) as work:\n"
        "    for entry in work.entries():\n"
        "        for piece in entry.pieces(): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    file = tmp_path / "bomb.gz"
    with gzip.open(file, "wb", 1) as out:
        out.write(entry(b"zeros", bytes(200 << 20)) + END)
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40 << 10
