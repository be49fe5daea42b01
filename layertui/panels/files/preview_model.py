"""The content of a file, read piece by piece, as lines of text or of bytes. Imports neither Textual nor Rich."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from layerstore import FileEntry, FileKind, LayerFiles, LayerStoreError, NoSuchFile
from layertui.panels.files.syntax import Run, Tones
from layertui.text.format import size_text

FIRST = 1 << 16
"""Bytes to read when a file is opened."""

PIECE = 1 << 18
"""Bytes to read at a time after that."""

LIMIT = 16 << 20
"""The most bytes of a file that a preview reads."""

LONGEST = 4096
"""Bytes of the longest line. Longer lines are broken."""

BYTES = 16
"""Bytes in a line of hex where there is room."""

FEW_BYTES = 8
"""Bytes in a line of hex on a narrow screen."""

ADDRESS = 7
"""Hex digits of an offset, enough for `LIMIT`."""

_EIGHT = 3 * FEW_BYTES - 1  # cells of the digits of eight bytes
_APART = 2  # blank cells between groups of eight bytes

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b")) + b"\x7f"
_PRINTABLE = re.compile(rb"[^ -~]")
_NOT_TEXT = 0.02
_NOT_UTF8 = 0.3


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a file.

    Attributes:
        entry: The file.
        end: What it leads to, if it is a link.
        piece: The first bytes of the content.
        problem: Why there is no content: the link is broken, or the file cannot be read. "" otherwise.
    """

    entry: FileEntry
    end: FileEntry | None = None
    piece: bytes = b""
    problem: str = ""

    @property
    def file(self) -> FileEntry:
        """The file that has the content: the target of a link, or the file itself."""
        return self.end or self.entry


def start(files: LayerFiles, path: str) -> Start:
    """Read the beginning of a file. Symbolic links are followed inside the layer.

    Raises:
        LayerStoreError: The file or the layer does not exist.
    """
    entry = files.stat(path)
    end = None
    if entry.kind is FileKind.LINK:
        try:
            end = files.stat(path, follow=True)
        except NoSuchFile:
            return Start(entry, problem="Broken link: its target does not exist in this layer.")
        except LayerStoreError as error:
            return Start(entry, problem=f"Cannot follow the link: {error}")
    if (end or entry).kind is not FileKind.FILE:
        return Start(entry, end)
    try:
        return Start(entry, end, files.read(path, 0, FIRST))
    except LayerStoreError as error:
        return Start(entry, end, problem=f"Cannot read the file: {error}")


def shown_line(line: bytes | bytearray) -> str:
    """Return a line of text, not escaped for the screen. Bytes that are not UTF-8 become surrogates."""
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n").expandtabs(8)


def describe(start: Start) -> list[str]:
    """Return sentences about a link, or about a file without content. They are not escaped for the screen."""
    file = start.file
    lines = []
    if start.entry.target is not None:
        lines.append(f"Symbolic link to {start.entry.target}")
        if start.end is not None:
            lines.append(f"In this layer it leads to {start.end.path}, a {_kind_text(start.end)}.")
    if start.problem:
        lines.append(start.problem)
    elif file.kind in (FileKind.CHAR, FileKind.BLOCK):
        major, minor = file.device or (0, 0)
        lines.append(f"A {file.kind.value}, {major}, {minor}. It has no content, and a preview never opens it.")
    elif file.kind is FileKind.FIFO:
        lines.append("A FIFO (named pipe). It has no content, and a preview never opens it.")
    elif file.kind is FileKind.SOCKET:
        lines.append("A socket. It has no content, and a preview never opens it.")
    elif file.kind is FileKind.FILE and not file.size:
        lines.append("An empty file.")
    return lines


def _kind_text(entry: FileEntry) -> str:
    return f"file of {size_text(entry.size)}" if entry.kind is FileKind.FILE else entry.kind.value


def row_bytes_for(width: int) -> int:
    """Return how many bytes fit on a line of `width` cells, each as two digits and a character."""
    return BYTES if width >= 2 * _EIGHT + 2 * _APART + BYTES else FEW_BYTES


def is_binary(piece: bytes) -> bool:
    """Return whether bytes are better shown as hex: with a NUL, many control characters or much invalid UTF-8."""
    if b"\0" in piece:
        return True
    if not piece:
        return False
    controls = len(piece) - len(piece.translate(None, _CONTROLS))
    broken = sum("\udc80" <= char <= "\udcff" for char in piece.decode("utf-8", "surrogateescape"))
    return controls > len(piece) * _NOT_TEXT or broken > len(piece) * _NOT_UTF8


class Preview:
    """What was read of a file so far, as numbered lines. `hex` and `row_bytes` may change at any time."""

    def __init__(self, size: int, piece: bytes, asked: int = FIRST) -> None:
        self.size = size
        self.tones: Tones = ()
        self.data = bytearray()
        self.ended = False
        self.hex = is_binary(piece)
        self.row_bytes = BYTES
        self._starts = array("l")
        self._numbers = array("l")
        """The number of each line of text, 0 for the continuation of a broken line."""
        self._split = 0
        self._fresh = True
        self.add(piece, asked)

    def add(self, piece: bytes, asked: int) -> None:
        """Add the next piece. If it is shorter than the `asked` bytes, the file ends there."""
        self.data += piece
        self.ended = len(piece) < asked
        self._split_lines()

    @property
    def full(self) -> bool:
        """Whether nothing more will be read: the file ended, or the limit is reached."""
        return self.ended or len(self.data) >= LIMIT

    def __len__(self) -> int:
        return -(-len(self.data) // self.row_bytes) if self.hex else len(self._starts)

    @property
    def number_width(self) -> int:
        """The width of the line numbers in cells."""
        if self.hex:
            return ADDRESS
        return max(3, len(str(self._numbers[-1] or len(self._numbers)))) if self._numbers else 3

    def number(self, line: int) -> str:
        """Return the number of a line, "" for a continuation, or in hex the offset of its first byte."""
        if self.hex:
            return f"{line * self.row_bytes:0{ADDRESS}x}"
        return str(self._numbers[line] or "")

    def text(self, line: int) -> str:
        """Return a line of text, not escaped for the screen. Bytes that are not UTF-8 become surrogates."""
        begin = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else self._split
        return shown_line(self.data[begin:end])

    def runs(self, line: int) -> Sequence[Run]:
        """Return the coloured runs of a line of text, as far as they are known."""
        number = self._numbers[line] - 1
        return self.tones[number] if 0 <= number < len(self.tones) else ()

    def bytes(self, line: int) -> tuple[str, str]:
        """Return a line of bytes as hex and as characters, with dots for bytes that are not printable ASCII."""
        row = bytes(self.data[line * self.row_bytes : (line + 1) * self.row_bytes])
        halves = [row[at : at + FEW_BYTES].hex(" ").ljust(_EIGHT) for at in range(0, self.row_bytes, FEW_BYTES)]
        return (" " * _APART).join(halves), _PRINTABLE.sub(b".", row).decode("ascii")

    def _split_lines(self) -> None:
        number = next((value for value in reversed(self._numbers) if value), 0)
        data, at, length = self.data, self._split, len(self.data)
        while at < length:
            end = data.find(b"\n", at, at + LONGEST) + 1
            if not end:
                if length - at > LONGEST:
                    end = self._cut(at)
                elif self.ended or length >= LIMIT:
                    end = length
                else:
                    break
            number += self._fresh
            self._starts.append(at)
            self._numbers.append(number if self._fresh else 0)
            self._fresh = data[end - 1] == 0x0A
            at = end
        self._split = at

    def _cut(self, at: int) -> int:
        """Return where to break a line that is too long, without splitting a UTF-8 character."""
        end = at + LONGEST
        for back in range(end, end - 4, -1):
            if self.data[back] & 0xC0 != 0x80:
                return back
        return end
