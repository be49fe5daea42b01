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
from collections.abc import Iterator

_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # printable by name, but nothing to see
_SELECTORS = "\ufe00-\ufe0d\U000e0100-\U000e01ef"  # variation selectors, but for those of text and emoji
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INVISIBLE = re.compile(f"[{_BLANKS}{_SELECTORS}]")
_MAX_MARKS = 4  # accents on one letter; more of them would be drawn over the rows above and below
_MARK = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_PILE = re.compile(_MARK.pattern + f"{{{_MAX_MARKS + 1},}}")


def safe(text: str) -> str:
    """Return `text` with everything that a screen would act on, or not show, as visible escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(piece for piece, _ in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Split `text` into what can be shown as it is (False) and escapes (True), for a screen that tells them apart."""
    if _is_plain(text):
        if text:
            yield text, False
        return
    start = 0
    marks = 0
    for position, character in enumerate(text):
        marks = marks + 1 if _MARK.match(character) else 0
        if _shows(character) and marks <= _MAX_MARKS:
            continue
        if start < position:
            yield text[start:position], False
        yield _escape(character), True
        start = position + 1
    if start < len(text):
        yield text[start:], False


def copyable(text: str) -> str:
    """Return `text` for the clipboard: as it is, but for bytes that are not UTF-8, which no clipboard takes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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
