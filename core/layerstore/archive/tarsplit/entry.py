"""The lines of a tar-split, byte for byte as Go's encoder writes them.

A tar-split is a gzipped sequence of JSON lines, each an Entry of github.com/vbatts/tar-split (tar/storage/entry.go).
Type 1 stands for the payload of a file and has its length and CRC-64/ISO. Type 2, a segment, has the bytes of the tar
themselves. The segments and the contents of the files, in the order of the lines, are the tar.
"""

from __future__ import annotations

import posixpath
import re
from binascii import b2a_base64

import msgspec

FILE = 1
SEGMENT = 2

_PLAIN_NAME = re.compile(rb"[ !#-%'-;=?-\[\]-\x7f]+").fullmatch
_TIDY_PATH = re.compile(rb"(?:\./)?((?:[^./][^/]*/)*[^./][^/]*)/?").fullmatch
"""Matches almost every name: no part begins with a dot, except for a leading "./", and one "/" may follow."""

_GO_ESCAPES = {0x3C: "\\u003c", 0x3E: "\\u003e", 0x26: "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class Line(msgspec.Struct, gc=False):
    """A line, decoded. For a file, `payload` is the CRC as 8 big-endian bytes, or None if `size` is 0."""

    type: int
    name: str = ""
    name_raw: bytes = b""
    size: int = 0
    payload: bytes | None = None
    position: int = 0

    def archive_name(self) -> bytes:
        """Return the name as in the archive.

        Raises:
            UnicodeEncodeError: The name contains an unpaired surrogate.
        """
        return self.name_raw or self.name.encode()


def segment_line(data: bytes | memoryview, position: int) -> bytes:
    """Return the line for bytes of the tar that are not the payload of a file."""
    return b'{"type":2,"payload":"%b","position":%d}\n' % (b2a_base64(data, newline=False), position)


def file_line(name: bytes, size: int, crc: int, position: int) -> bytes:
    """Return the line for the payload of a file. An empty one has no CRC."""
    if not size:
        return b'{"type":1,%b"payload":null,"position":%d}\n' % (_name_field(name), position)
    check = b2a_base64(crc.to_bytes(8, "big"), newline=False)
    return b'{"type":1,%b"size":%d,"payload":"%b","position":%d}\n' % (_name_field(name), size, check, position)


def clean(name: bytes) -> bytes:
    """Return the shortest equivalent path, like Go's filepath.Clean: no "//", "/." or "x/..", and "." if empty."""
    match = _TIDY_PATH(name)
    if match is not None:
        return match[1]
    shortest = posixpath.normpath(name)
    return shortest[1:] if shortest.startswith(b"//") else shortest


def _name_field(name: bytes) -> bytes:
    if _PLAIN_NAME(name):
        return b'"name":"%b",' % name
    if not name:
        return b""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return b'"name_raw":"%b",' % b2a_base64(name, newline=False)
    return b'"name":%b,' % msgspec.json.encode(text).decode().translate(_GO_ESCAPES).encode()
