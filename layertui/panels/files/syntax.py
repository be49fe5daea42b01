"""Syntax highlighting of previews with Pygments. It imports no UI.

Pygments is imported when the first file in a known language is shown. Call `tones_of` in a thread: hostile text can
make a lexer slow. A text with very long lines is not highlighted at all, and any other only as far as the lexer gets
within a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Protocol


class Lexer(Protocol):
    """The part of the Pygments lexer interface that is used here."""

    def get_tokens_unprocessed(self, text: str) -> Iterable[tuple[int, object, str]]:
        """Yield the offset, the kind and the text of each token."""
        ...


Run = tuple[int, int, str]
"""A start, an end (exclusive) and a tone: "comment", "string", "keyword", "number" or "name"."""

Tones = Sequence[Sequence[Run]]
"""The runs of each line, from left to right. Plain text is in none of them."""

_LONGEST = 2000
_SECONDS = 1.0
_LANGUAGES = {
    "bash": ("sh", "bash", "bashrc", "profile", "env", "apkbuild", "zsh"),
    "c": ("c", "h"),
    "cpp": ("cc", "cpp", "hpp"),
    "css": ("css",),
    "docker": ("dockerfile", "containerfile"),
    "go": ("go",),
    "html": ("html", "htm"),
    "ini": ("ini", "cfg", "conf", "cnf", "service", "socket", "timer", "desktop", "repo", "properties"),
    "java": ("java",),
    "javascript": ("js", "mjs", "cjs"),
    "json": ("json",),
    "lua": ("lua",),
    "make": ("mk", "makefile"),
    "python": ("py", "pyi"),
    "rust": ("rs",),
    "sql": ("sql",),
    "toml": ("toml",),
    "typescript": ("ts",),
    "xml": ("xml", "svg"),
    "yaml": ("yaml", "yml"),
}
_BY_ENDING = {ending: language for language, endings in _LANGUAGES.items() for ending in endings}
_TONES = (
    ("Comment.Preproc", "keyword"),
    ("Comment", "comment"),
    ("Keyword", "keyword"),
    ("Operator.Word", "keyword"),
    ("Literal.String", "string"),
    ("Literal.Number", "number"),
    ("Name.Attribute", "name"),
    ("Name.Class", "name"),
    ("Name.Decorator", "name"),
    ("Name.Function", "name"),
    ("Name.Tag", "name"),
    ("Name.Variable", "name"),
)


def language_of(path: str, piece: bytes) -> str:
    """Return the language of a file by its extension, its name or its `#!` line, "" if it is unknown."""
    ending = path.rpartition("/")[2].lower().rpartition(".")[2]
    first = piece[:80].partition(b"\n")[0] if piece.startswith(b"#!") else b""
    by_line = "python" if b"python" in first else "bash" if first.rstrip().endswith(b"sh") else ""
    return _BY_ENDING.get(ending, by_line)


def tones_of(language: str, lines: Sequence[str], should_stop: Callable[[], bool]) -> Tones:
    """Return the coloured runs of the lines of a text, as far as the lexer gets in time."""
    if any(len(line) > _LONGEST for line in lines):
        return ()
    lexer: Lexer = import_module("pygments.lexers").get_lexer_by_name(language)
    found: list[list[Run]] = [[] for _ in lines]
    known: dict[object, str] = {}
    number = start = 0  # the current line, and its offset in the text
    end = time.monotonic() + _SECONDS
    for at, kind, text in lexer.get_tokens_unprocessed("\n".join(lines)):
        tone = known.get(kind)
        if tone is None:
            tone = known[kind] = _tone(str(kind).removeprefix("Token."))
        while number + 1 < len(lines) and at > start + len(lines[number]):
            start += len(lines[number]) + 1
            number += 1
        first, row = at - start, number
        for part in text.split("\n") if tone else ():
            if part and row < len(lines):
                found[row].append((first, first + len(part), tone))
            first, row = 0, row + 1
        if time.monotonic() > end or should_stop():
            break
    return found


def _tone(kind: str) -> str:
    return next((tone for prefix, tone in _TONES if f"{kind}.".startswith(f"{prefix}.")), "")
