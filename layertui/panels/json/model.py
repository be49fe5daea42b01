"""A JSON text as indented lines of its own tokens, so numbers and duplicate keys stay as written. It imports no UI."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from layertui.text.format import plural
from layertui.text.safe import json_safe
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:\s"]+|"', re.DOTALL)
_CLOSES = {"{": "}", "[": "]"}
_COMMA, _COLON = ",", ":"


@dataclass(slots=True)
class JsonLine:
    """A line: a key and a value as written in the JSON text, or a closing bracket.

    `value` is "{" or "[" if the value continues on the lines below. `tail` is the comma after the value, or "".
    """

    level: int
    key: str
    value: str
    tail: str = ""


@dataclass(frozen=True, slots=True)
class JsonText:
    """The lines in preorder. A closing bracket is a child of its opening one. `keys` are paths, one for each line."""

    lines: Sequence[JsonLine]
    keys: Sequence[str]
    shape: TreeShape

    def value_of(self, node: int) -> str:
        """Return the value of a line, to be pasted: the text of a string, or the escaped JSON of an object or list."""
        line = self.lines[node]
        if line.value.startswith('"'):
            return _unquoted(line.value)
        if self.shape.is_leaf(node) and line.value not in "]}":
            return line.value
        first = node if not self.shape.is_leaf(node) else self.shape.parents[node]
        outer = self.lines[first].level
        inside = range(first + 1, self.shape.ends[first])
        lines = ["  " * (self.lines[at].level - outer) + json_safe(self.plain(at)) for at in inside]
        return "\n".join([self.lines[first].value, *lines]).removesuffix(",")

    def is_lines(self, node: int) -> bool:
        """Return whether the value of a line is an object or a list."""
        return self.lines[node].value[:1] in tuple("[]{}")

    def inside(self, node: int) -> str:
        """Return what an object or list holds, such as `12 keys` or `1 entry`, from the line of either bracket."""
        first = self.shape.parents[node] if self.lines[node].value in tuple("]}") else node
        opening = self.lines[first].value
        count = sum(1 for _ in self.shape.children(first)) - 1 if opening in _CLOSES else 0
        return plural(count, "key") if opening.startswith("{") else plural(count, "entry", "entries")

    def plain(self, node: int) -> str:
        """Return a line as it is written, without its indentation."""
        line = self.lines[node]
        return (f"{line.key}: " if line.key else "") + line.value + line.tail


def _unquoted(text: str) -> str:
    """Return the text of a JSON string, or the string as written if it is invalid or has lone surrogates."""
    try:
        unquoted = json.loads(text)
        unquoted.encode()
    except ValueError:
        return text
    return str(unquoted)


def parse_json(text: str) -> JsonText:
    """Split a JSON text into lines. Invalid JSON is split as well, without an error."""
    return _Parser(text).run()


class _Parser:
    """The state of one `parse_json`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[JsonLine] = []
        self._keys: list[str] = []
        self._parents = array("l")
        self._open: list[int] = []
        self._counts: list[int] = []
        self._key = ""

    def run(self) -> JsonText:
        """Parse the tokens."""
        tokens = _TOKEN.findall(self._text)
        for number, token in enumerate(tokens):
            if token in _CLOSES:
                self._put(token)
                self._open.append(len(self._lines) - 1)
                self._counts.append(0)
            elif token in _CLOSES.values():
                self._close(token)
            elif token == _COMMA:
                if self._lines:
                    self._lines[-1].tail = _COMMA
            elif token != _COLON:
                if number + 1 < len(tokens) and tokens[number + 1] == _COLON:
                    self._key = token
                else:
                    self._put(token)
        return JsonText(self._lines, self._keys, build_shape(self._parents))

    def _put(self, value: str) -> None:
        parent = self._open[-1] if self._open else ROOT
        name = self._key
        if self._counts:
            name = name or str(self._counts[-1])
            self._counts[-1] += 1
        above = self._keys[parent] if parent != ROOT else ""
        self._add(JsonLine(len(self._open), self._key, value), f"{above}/{name}", parent)
        self._key = ""

    def _close(self, token: str) -> None:
        if not self._open:
            return
        node = self._open.pop()
        self._counts.pop()
        opening = self._lines[node]
        if node == len(self._lines) - 1:
            opening.value += token
        else:
            self._add(JsonLine(opening.level, "", token), f"{self._keys[node]}\0", node)

    def _add(self, line: JsonLine, key: str, parent: int) -> None:
        self._lines.append(line)
        self._keys.append(key)
        self._parents.append(parent)
