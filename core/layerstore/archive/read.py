"""A tar stream, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator


class TarEntry:
    r"""One entry of a tar: its header, with PAX records and GNU long names already applied, and its payload.

    Values are what Go's archive/tar gives, since that is what containers/storage unpacks by. `name` and `linkname` are
    bytes as they stand in the archive, not cleaned and not safe. `type` is the typeflag; b"\0" and "7" arrive as b"0",
    and an entry of type b"0" whose name ends in "/" arrives as b"5". `mtime_ns` may be negative. `xattrs` holds the
    SCHILY.xattr. records without that prefix. `size` is the length of the file once unpacked; `sparse` is None, or the
    (offset, length) regions that `pieces` yields the bytes of, in order, the rest of the file being holes.
    """

    __slots__ = (
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

    def pieces(self) -> Iterator[memoryview]:
        """Yield the payload, in order and once only; valid until the next entry is asked for.

        What is not taken is read past (and still counted and checked) when the next entry is asked for.
        """
        raise NotImplementedError
