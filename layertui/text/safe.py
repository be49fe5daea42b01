r"""Escaping of text from disk for the screen, the clipboard and JSON.

File names, layer names and metadata are untrusted. They may contain escape sequences, characters that change the
reading direction, invisible characters, and bytes that are not UTF-8. All of these are shown as escapes in the notation
of Python: `\n`, `\x1b`, `\u202e`. An invalid byte is shown as `\xff`, and the characters U+0080 to U+009F as `\u0080`
and so on, so the two differ. The result is one printable line without surrogates. A backslash is not escaped; `pieces`
distinguishes it from an escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # printable according to Unicode, but invisible
_SELECTORS = "\ufe00-\ufe0d\U000e0100-\U000e01ef"  # variation selectors, except those of text and emoji
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INVISIBLE = re.compile(f"[{_BLANKS}{_SELECTORS}]")
_MAX_MARKS = 4  # combining marks per character; more would overlap the rows above and below
_MARKS = ("Mn", "Me")
_PILE = re.compile(rf"[^\w\x00-\x7f]{{{_MAX_MARKS + 1},}}")  # possibly too many marks: no letters, not ASCII
_QUOTED = str.maketrans({"\\": "\\\\", "'": "\\'"})


def safe(text: str) -> str:
    """Return `text` with control and invisible characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(piece for piece, _ in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Split `text` into printable parts (False) and escapes (True), so that they can be styled differently."""
    for piece, odd in _split(text):
        yield (_escape(piece), True) if odd else (piece, False)


def copyable(text: str) -> str:
    r"""Return `text` for the clipboard: unchanged if it is printable, else quoted for the shell.

    Pasted into a shell, a line end in a file name would run the text before it, and ESC would act as a key. In
    `$'a\nb'` nothing is run, and bash, zsh and ksh read the original text, including bytes that are not UTF-8. Other
    programs take it literally.
    """
    parts = list(_split(text))
    if not any(odd for _, odd in parts):
        return text
    return f"$'{''.join(_shell(piece) if odd else piece.translate(_QUOTED) for piece, odd in parts)}'"


def json_safe(text: str) -> str:
    """Return equivalent JSON with control and invisible characters as JSON escapes."""
    return "".join(_json(piece) if odd else piece for piece, odd in _split(text))


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Split `text` into printable parts (False) and single characters to escape (True)."""
    if _is_plain(text):
        if text:
            yield text, False
        return
    start = 0
    marks = 0
    for position, character in enumerate(text):
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        if _shows(character) and marks <= _MAX_MARKS:
            continue
        if start < position:
            yield text[start:position], False
        yield character, True
        start = position + 1
    if start < len(text):
        yield text[start:], False


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not (_INVISIBLE.search(text) or _PILE.search(text)))


def _shows(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _shell(character: str) -> str:
    """Return the bytes of a character as escapes of three octal digits, which a following digit cannot extend."""
    lone = 0xDC80 <= ord(character) <= 0xDCFF
    data = character.encode("utf-8", "surrogateescape" if lone else "surrogatepass")
    return _SHORT.get(character) or "".join(f"\\{byte:03o}" for byte in data)


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
