"""One entry of a tar as the rest of the program sees it, and the error for one that makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class Malformed(Exception):
    """A header or a PAX record is invalid. `TarReader` turns this into `BadArchive` and adds the position."""


class TarEntry:
    r"""One entry of a tar: its header, with PAX records and GNU long names already applied, and its payload.

    The values are those that Go's archive/tar returns, because containers/storage unpacks with it.

    `name` and `linkname` are the bytes from the archive, neither cleaned nor checked. `type` is the type flag, except
    that b"7" and b"S" become b"0", and b"\0" (used by old tars) becomes b"5" if the name ends in "/" and b"0"
    otherwise. A PAX global header is an entry of type b"g"; like Go, we apply it to no other entry. `mtime_ns`, `uid`
    and `gid` may be negative. `xattrs` holds the SCHILY.xattr. records without that prefix. `size` is the length of
    the unpacked file in bytes, and 0 for links, devices, folders and FIFOs. `sparse` is None for an ordinary file;
    for a sparse one it lists the (offset, length) regions whose bytes `pieces` yields in order. The rest is holes.
    """

    __slots__ = (
        "_payload",
        "devmajor",
        "devminor",
        "gid",
        "linkname",
        "mode",
        "mtime_ns",
        "name",
        "size",
        "sparse",
        "type",
        "uid",
        "xattrs",
    )

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    linkname: bytes
    devmajor: int
    devminor: int
    xattrs: dict[bytes, bytes]
    sparse: list[tuple[int, int]] | None

    def __init__(self, payload: PayloadReader) -> None:
        self._payload = payload

    def pieces(self) -> Iterator[memoryview]:
        """Yield the payload in order, once only. A piece is valid until the next entry is requested.

        The reader skips what the caller does not consume, but still counts and checks it.

        Raises:
            BadArchive: The stream ends inside the payload.
        """
        return self._payload(self)


PayloadReader = Callable[[TarEntry], Iterator[memoryview]]
"""Returns an iterator over the rest of an entry's payload."""


def name_text(name: bytes) -> str:
    """Return a name from an archive as text, with bytes that are not UTF-8 surrogate-escaped."""
    return name.decode("utf-8", "surrogateescape")
