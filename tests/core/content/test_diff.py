"""Reading a diff: it is exact or raises an error, however it is read, and can be closed at any time."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerstore.archive.compression import decompress
from layerstore.archive.root import Root
from layerstore.content.diff import DiffReader, Options, from_chunks, from_tar_split
from layerstore.errors import Cancelled, DamagedLayer, StoreCorrupt
from layerstore.model import Compression, Layer
from support.tars import make_tar, split

FILES = {"small": b"small", "dir/big": os.urandom(3 << 20), "dir/other": b"other" * 500, "z": b"last"}
TAR = make_tar(FILES) + b"behind"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


LAYER = Layer(id="0123abcd", diff_digest=digest(TAR), diff_size=len(TAR))


@contextmanager
def nothing_left() -> Iterator[None]:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors


Open = Callable[..., DiffReader]


@pytest.fixture
def open_diff(tmp_path: Path) -> Open:
    """Return a function that opens the diff of a layer on disk."""
    path, _, _ = split(TAR, tmp_path)
    root = tmp_path / "files"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    def open_it(layer: Layer = LAYER, **options: object) -> DiffReader:
        return from_tar_split(str(path), Root(root), layer, Options(**options))  # type: ignore[arg-type]

    return open_it


def test_the_original_tar_is_reproduced(open_diff: Open) -> None:
    with nothing_left(), open_diff() as reader:
        assert reader.readable()
        assert (reader.size, reader.digest, reader.diff_size, reader.diff_digest) == (0, "", 0, "")
        assert reader.read() == TAR
        assert reader.read() == reader.read(5) == b""
        assert (reader.size, reader.digest) == (reader.diff_size, reader.diff_digest) == (len(TAR), digest(TAR))


@pytest.mark.parametrize("kind", list(Compression)[1:])
def test_compression(kind: Compression, open_diff: Open) -> None:
    with nothing_left(), open_diff(compression=kind) as reader:
        packed = reader.read()
        assert b"".join(decompress(iter([packed]), kind)) == TAR
        assert (reader.size, reader.digest) == (len(packed), digest(packed))
        assert (reader.diff_size, reader.diff_digest) == (len(TAR), digest(TAR))


class ShortWrites(io.RawIOBase):
    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        self.data += data[:70_001]
        return min(len(data), 70_001)


@pytest.mark.parametrize("first", [0, 1, 1000, 1 << 21])
def test_ways_of_reading_may_be_mixed(first: int, open_diff: Open) -> None:
    with open_diff() as reader:
        start = reader.read(first)
        assert start + b"".join(reader.chunks()) == TAR
    with open_diff() as reader:
        start = reader.read(first)
        buffer = bytearray(777)
        count = reader.readinto(buffer)
        assert start + buffer[:count] + reader.readall() == TAR
    with open_diff() as reader:
        start = reader.read(first)
        out = io.BytesIO()
        assert reader.copy_to(out) == len(TAR) - len(start)
        assert start + out.getvalue() == TAR
    with open_diff() as reader, io.BufferedReader(reader) as buffered:
        assert buffered.read(first) + buffered.read() == TAR


def test_copy_to_handles_partial_writes(open_diff: Open) -> None:
    out = ShortWrites()
    with open_diff() as reader:
        reader.copy_to(out)  # type: ignore[arg-type]
    assert out.data == TAR


def test_progress_counts_the_uncompressed_tar(open_diff: Open) -> None:
    seen: list[tuple[int, int | None]] = []
    with open_diff(progress=lambda done, total: seen.append((done, total)), compression=Compression.ZSTD) as reader:
        reader.read()
    assert 2 <= len(seen) < 12
    assert seen == sorted(seen)
    assert seen[-1] == (len(TAR), len(TAR))


def test_stopping(open_diff: Open) -> None:
    answers = iter([False, True])
    with nothing_left(), open_diff(should_stop=lambda: next(answers)) as reader:
        for _ in range(2):
            with pytest.raises(Cancelled):
                reader.read()


# Errors


@pytest.mark.parametrize("kind", [Compression.NONE, Compression.GZIP])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_an_error_on_every_read(name: str, kind: Compression, open_diff: Open, tmp_path: Path) -> None:
    path = tmp_path / "files" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with nothing_left(), open_diff(compression=kind) as reader:
        for read in (reader.read, reader.read, lambda: list(reader.chunks()), lambda: reader.readinto(bytearray(9))):
            with pytest.raises(DamagedLayer) as caught:
                read()
            assert caught.value.path == name
        assert reader.digest == ""


@pytest.mark.parametrize("kind", [Compression.NONE, Compression.GZIP])
def test_a_wrong_digest_is_an_error_instead_of_an_end_of_file(kind: Compression, open_diff: Open) -> None:
    layer = Layer(id="0123abcd", diff_digest=digest(b"another"), diff_size=len(TAR))
    given_out: list[bytes] = []
    with open_diff(layer, compression=kind) as reader:
        with pytest.raises(DamagedLayer) as caught:
            given_out.extend(iter(lambda: reader.read(100_000), b""))
        assert caught.value.layer == "0123abcd"
        with pytest.raises(DamagedLayer):
            reader.read(1)
    if kind:
        with pytest.raises(ValueError, match="ends early"):
            list(decompress(iter([b"".join(given_out)]), kind))


@pytest.mark.parametrize("known", ["", "sha512:abc"])
def test_files_are_verified_even_without_a_digest(known: str, open_diff: Open, tmp_path: Path) -> None:
    layer = Layer(id="0123abcd", diff_digest=known)
    with open_diff(layer) as reader:
        assert reader.read() == TAR
    (tmp_path / "files" / "z").write_bytes(b"LAST")
    with open_diff(layer) as reader, pytest.raises(DamagedLayer):
        reader.read()


@pytest.mark.parametrize("how", ["gone", "folder", "fifo", "link", "parent"])
def test_a_replaced_file_is_damage(how: str, open_diff: Open, tmp_path: Path) -> None:
    path = tmp_path / "files" / "z"
    path.unlink()
    name = "z"
    if how == "folder":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to("/etc/hostname")
    elif how == "parent":
        name = "dir/big"
        (tmp_path / "files" / "dir").rename(tmp_path / "files" / "elsewhere")
        (tmp_path / "files" / "dir").write_text("a file")
    with open_diff() as reader, pytest.raises(DamagedLayer) as caught:
        reader.read()
    assert caught.value.path == name


def test_a_damaged_tar_split_is_an_error(open_diff: Open, tmp_path: Path) -> None:
    path = tmp_path / "tar-split.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with nothing_left(), open_diff() as reader, pytest.raises(StoreCorrupt):
        reader.read()


# Closing


@pytest.mark.parametrize("read", [0, 10, 1 << 21, -1])
@pytest.mark.parametrize("kind", [Compression.NONE, Compression.ZSTD])
def test_closing_at_any_time_calls_on_close_once(read: int, kind: Compression, open_diff: Open) -> None:
    closed: list[bool] = []
    with nothing_left():
        reader = open_diff(compression=kind, on_close=lambda: closed.append(True))
        if read:
            reader.read(read)
        assert not closed
        reader.close()
        reader.close()
    assert closed == [True]
    for again in (reader.read, reader.readall, lambda: reader.read(1)):
        with pytest.raises(ValueError, match="closed"):
            again()


def test_on_close_is_called_after_an_error(open_diff: Open, tmp_path: Path) -> None:
    (tmp_path / "files" / "small").unlink()
    closed: list[bool] = []
    with nothing_left(), pytest.raises(DamagedLayer), open_diff(on_close=lambda: closed.append(True)) as reader:
        reader.read()
    assert closed == [True]


def test_a_dropped_reader_closes_itself(open_diff: Open) -> None:
    closed: list[bool] = []
    with nothing_left():
        reader = open_diff(on_close=lambda: closed.append(True))
        reader.read(10)
        del reader
        gc.collect()
    assert closed == [True]


# A tar that a driver makes


@pytest.mark.parametrize("size", [1, 512, 700_000, 1 << 22])
@pytest.mark.parametrize("kind", [Compression.NONE, Compression.GZIP])
def test_pieces_of_any_length(size: int, kind: Compression) -> None:
    data = TAR if size > 1 else TAR[:3000]
    steps: list[int] = []
    ended: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            for start in range(0, len(data), size):
                yield data[start : start + size]
                yield b""
        finally:
            ended.append(True)

    with from_chunks(pieces(), Options(kind, lambda done, total: steps.append(done))) as reader:
        out = reader.read()
        assert b"".join(decompress(iter([out]), kind)) == data
        assert reader.diff_digest == digest(data)
    assert len(steps) <= 12
    assert ended == [True]


def test_an_empty_diff() -> None:
    with from_chunks([], Options()) as reader:
        assert reader.read() == b""
        assert reader.digest == digest(b"")


def test_closing_ends_the_driver_s_generator() -> None:
    ended: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.append(True)

    with from_chunks(pieces(), Options()) as reader:
        reader.read(5)
    assert ended == [True]


def test_an_error_of_the_driver_is_raised_on_every_read() -> None:
    def pieces() -> Iterator[bytes]:
        yield TAR
        raise OSError(errno.EIO, "Input/output error")

    with from_chunks(pieces(), Options()) as reader:
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                reader.read()
