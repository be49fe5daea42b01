"""Tars: whole ones from a dict, blocks made by hand, and real ones from tar, bsdtar and Python."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from layerstore.archive.entry import TarEntry
from layerstore.archive.tarsplit.entry import clean
from layerstore.archive.tarsplit.join import join
from layerstore.archive.tarsplit.split import TarSplit
from support.needs import need_program

END = bytes(1024)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
NON_UTF8 = b"not-\xff\xfe-utf8"
WIDE = "<&>\u2028\u00e9\U0001f600"
LONG = "deep/" + "/".join(["a-rather-long-folder-name"] * 5)
LONGEST = "n" * 120 + "/" + "m" * 200


Content = bytes | str | None | tarfile.TarInfo
"""The bytes of a file, the target of a symbolic link, None for a folder, or a complete header."""


def make_tar(members: Mapping[str, Content], *, format: int = tarfile.PAX_FORMAT, mtime: int = 1_700_000_000) -> bytes:
    """Return an uncompressed tar with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for path, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(path)
            info.mtime = mtime
            data = b""
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, content
            else:
                info.mode, data = 0o644, content
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def large_tar(path: Path, size: int) -> None:
    """Write a tar with one file of zeros, as a sparse file that uses no disk space."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    with path.open("wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + size + 1024)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes,
    kind: bytes = b"0",
    size: int | bytes = 0,
    *,
    mode: int = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 1_700_000_000,
    link: bytes = b"",
    magic: bytes = USTAR,
    tail: bytes = b"",
    device: bytes = octal(0, 8) * 2,
    signed: bool = False,
) -> bytes:
    """Return a header block. A number may be given as the bytes of its field. `tail` starts at offset 345."""

    def number(value: int | bytes, width: int) -> bytes:
        return value if isinstance(value, bytes) else octal(value, width)

    block = bytearray(
        name.ljust(100, b"\0")
        + octal(mode, 8)
        + number(uid, 8)
        + number(gid, 8)
        + number(size, 12)
        + number(mtime, 12)
        + b" " * 8
        + kind
        + link.ljust(100, b"\0")
        + magic
        + bytes(64)
        + device
        + tail.ljust(167, b"\0")
    )
    assert len(block) == 512
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def entry(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields: int | bytes) -> bytes:
    return header(name, kind, len(data), **fields) + padded(data)  # type: ignore[arg-type]


def pax(kind: bytes = b"x", **records: str | bytes) -> bytes:
    return pax_records(records.items(), kind)


def pax_records(records: Iterable[tuple[str, str | bytes]], kind: bytes = b"x") -> bytes:
    data = b""
    for key, value in records:
        body = b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
        length = len(body)
        while len(b"%d" % length) + len(body) != length:
            length = len(b"%d" % length) + len(body)
        data += b"%d" % length + body
    return entry(b"PaxHeaders/x", data, kind)


def chunked(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def split(data: bytes, folder: Path, size: int = 1 << 20) -> tuple[Path, dict[bytes, bytes], list[TarEntry]]:
    """Split a tar. Return the path of its tar-split, the payloads by cleaned name, and the entries."""
    path = folder / "tar-split.gz"
    files: dict[bytes, bytes] = {}
    entries = []
    with path.open("wb") as out:
        for found in TarSplit(chunked(data, size), out).entries():
            files[clean(found.name)] = b"".join(found.pieces())
            entries.append(found)
    return path, files, entries


def opener(files: dict[bytes, bytes]) -> Callable[[bytes], int]:
    """Return a function with which `join` opens files that are in memory."""

    def open_file(name: bytes) -> int:
        if name not in files:
            raise FileNotFoundError(2, "No such file or directory", os.fsdecode(name))
        descriptor = os.memfd_create("payload")
        os.truncate(descriptor, len(files[name]))
        os.pwrite(descriptor, files[name], 0)
        return descriptor

    return open_file


def joined(path: Path, files: dict[bytes, bytes]) -> bytes:
    return b"".join(join(path, opener(files), "0123abcd"))


def make_source(folder: Path, *, long_names: bool, utf8_only: bool = False) -> Path:
    """Create a folder with every kind of file. Long names do not fit into a ustar header."""
    root = folder / "source"
    (root / LONG).mkdir(parents=True)
    (root / "empty").touch()
    (root / "small").write_bytes(b"small\n")
    (root / LONG / "file").write_bytes(bytes(range(256)) * 10)
    (root / "big").write_bytes(os.urandom(1_500_000))
    os.link(root / "small", root / "zlink")
    (root / "sym").symlink_to("small")
    os.mkfifo(root / "fifo")
    (root / WIDE).write_bytes(b"wide")
    if not utf8_only:
        Path(os.fsdecode(os.path.join(os.fsencode(root), NON_UTF8))).write_bytes(b"odd")
    if long_names:
        (root / LONGEST).parent.mkdir()
        (root / LONGEST).write_bytes(b"longest")
        (root / "symlong").symlink_to("x" * 150)
    os.utime(root / "small", ns=(1, -1_500_000_000))
    os.utime(root / "empty", ns=(1, 1_234_567_890_123_456_789))
    return root


def gnu_tar(root: Path, *options: str) -> bytes:
    program = need_program("tar")
    names = sorted(os.listdir(os.fsencode(root)))
    return subprocess.run([program, "-C", root, *options, "-cf", "-", *names], capture_output=True, check=True).stdout


def bsd_tar(root: Path, *options: str) -> bytes:
    program = need_program("bsdtar")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [program, "-C", root, *options, "-cf", "-", "."], capture_output=True, check=True, env=environment
    ).stdout


def python_tar(root: Path, layout: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout, errors="surrogateescape") as tar:
        tar.add(root, arcname=".")
    return buffer.getvalue()


MAKERS: dict[str, Callable[[Path], bytes]] = {
    "gnu-gnu": lambda folder: gnu_tar(make_source(folder, long_names=True), "--format=gnu"),
    "gnu-oldgnu": lambda folder: gnu_tar(make_source(folder, long_names=True), "--format=oldgnu"),
    "gnu-pax": lambda folder: gnu_tar(make_source(folder, long_names=True), "--format=pax"),
    "gnu-ustar": lambda folder: gnu_tar(make_source(folder, long_names=False), "--format=ustar", "--mtime=@1700000000"),
    "gnu-xattrs": lambda folder: gnu_tar(make_source(folder, long_names=True), "--xattrs", "--format=pax"),
    "gnu-blocks": lambda folder: gnu_tar(make_source(folder, long_names=True), "-b", "77"),
    "bsd-pax": lambda folder: bsd_tar(make_source(folder, long_names=True, utf8_only=True), "--format=pax"),
    "bsd-gnutar": lambda folder: bsd_tar(make_source(folder, long_names=True, utf8_only=True), "--format=gnutar"),
    "bsd-ustar": lambda folder: bsd_tar(make_source(folder, long_names=False, utf8_only=True), "--format=ustar"),
    "python-pax": lambda folder: python_tar(make_source(folder, long_names=True), tarfile.PAX_FORMAT),
    "python-gnu": lambda folder: python_tar(make_source(folder, long_names=True), tarfile.GNU_FORMAT),
}
