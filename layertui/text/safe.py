r"""The one place that makes text from disk fit for the screen.

File names, layer names and metadata are written by others: they may hold escape sequences, controls that turn the
reading direction, characters without width, or bytes that are no text at all. Everything of that kind is shown as a
visible escape, as Python would write it: `\n`, `\x1b`, `\u202e`. A byte that is not UTF-8 is `\xff`; the
characters U+0080 to U+009F are `\u0080` and so on, so that both can be told apart. What comes out has one line, is
printable, has no surrogates and is never markup; a backslash stays as it is, and `pieces` tells a real one from an
escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # printable by name, but nothing to see
_SELECTORS = "\ufe00-\ufe0d\U000e0100-\U000e01ef"  # variation selectors, but for those of text and emoji
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INVISIBLE = re.compile(f"[{_BLANKS}{_SELECTORS}]")
_MAX_MARKS = 4  # accents on one letter; more of them would be drawn over the rows above and below
_MARKS = ("Mn", "Me")
_PILE = re.compile(rf"[^\w\x00-\x7f]{{{_MAX_MARKS + 1},}}")  # perhaps one: marks are no letters
_QUOTED = str.maketrans({"\\": "\\\\", "'": "\\'"})


def safe(text: str) -> str:
    """Return `text` with everything that a screen would act on, or not show, as visible escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(piece for piece, _ in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Split `text` into what can be shown as it is (False) and escapes (True), for a screen that tells them apart."""
    for piece, odd in _split(text):
        yield (_escape(piece), True) if odd else (piece, False)


def copyable(text: str) -> str:
    r"""Return `text` for the clipboard: as it is, or as a word of the shell where it holds what is shown escaped.

    Pasted into a shell, a line end in a file name would run what comes before it, and ESC would count as a key. In
    `$'a\nb'` nothing runs, and bash, zsh and ksh read the very same name, bytes that are not UTF-8 too; other programs
    take it literally.
    """
    parts = list(_split(text))
    if not any(odd for _, odd in parts):
        return text
    return f"$'{''.join(_shell(piece) if odd else piece.translate(_QUOTED) for piece, odd in parts)}'"


def json_safe(text: str) -> str:
    """Return a JSON text that says the same with what is shown escaped as escapes of JSON."""
    return "".join(_json(piece) if odd else piece for piece, odd in _split(text))


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Split `text` into what can be shown (False), and single characters that cannot (True)."""
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
    """Return the bytes of a character as three octal digits each, which no digit behind them can change."""
    lone = 0xDC80 <= ord(character) <= 0xDCFF
    data = character.encode("utf-8", "surrogateescape" if lone else "surrogatepass")
    return _SHORT.get(character) or "".join(f"\\{byte:03o}" for byte in data)


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
