"""What people may choose in `config.toml`, read before the screen starts; a mistake is told with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec
from platformdirs import user_config_path
from textual.theme import BUILTIN_THEMES

from layertui.keys.actions import NO_KEY, WAYS_OUT
from layertui.keys.keymap import Keymap, UnknownKey, all_bindings, clashes, read_keys, written_keys
from layertui.model.order import Order
from layertui.text.safe import safe
from layertui.theme import THEMES

_LARGEST = 1 << 20
_KINDS = {
    "float": "a number",
    "int": "a number",
    "str": "a text",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_PART = r"[\w-]+|\"[^\"]*\"|'[^']*'"
_HEADER = re.compile(rf"\s*\[\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*\]")
_ASSIGNMENT = re.compile(rf"\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[view]`: the order of a store that was never seen, and seconds between two looks whether somebody wrote to it.

    A store on a network is better looked at less often; an order that was chosen in the browser is remembered.
    """

    sort: Order = Order.TREE
    follow: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 1.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that can be set. `theme` is "" where the terminal decides.

    `remember = false` keeps the session out of the home folder, of a shared account say.
    """

    theme: str = ""
    remember: bool = True
    view: View = View()
    keys: dict[str, Any] = {}

    @property
    def keymap(self) -> Keymap:
        """The keys, by the ID of the binding; one that begins with `NO_KEY` where somebody wants none."""
        return self.keys


class SettingsError(ValueError):
    """The file cannot be used; `problems` are sentences, each with the number of its line, 0 where it is not known."""

    def __init__(self, path: Path, problems: Sequence[tuple[int, str]]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(f"{safe(str(path))}{f':{line}' if line else ''}: {safe(what)}" for line, what in problems)
        )


def config_path() -> Path:
    """Return where the file belongs: below $XDG_CONFIG_HOME, or ~/.config. Under sudo that is root's own."""
    return user_config_path("layertui") / "config.toml"


def theme_names() -> list[str]:
    """Return the themes that can be chosen, ours first."""
    return [*(theme.name for theme in THEMES), *BUILTIN_THEMES]


def load_settings(path: Path | None = None) -> Settings:
    """Read a file, which must be there, or the one in the usual place, which need not be.

    Raises:
        SettingsError: the file cannot be read, is no TOML, or says something that is not allowed.
    """
    place = path or config_path()
    try:
        with place.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        if path is None:
            return Settings()
        raise SettingsError(place, [(0, "there is no such file")]) from error
    except OSError as error:
        raise SettingsError(place, [(0, f"cannot be read: {error.strerror}")]) from error
    if len(raw) > _LARGEST:
        raise SettingsError(place, [(0, "is larger than 1 MiB: that is no file of settings")])
    return _decode(place, raw)


def _decode(place: Path, raw: bytes) -> Settings:
    import tomllib  # noqa: PLC0415 - most have no such file

    try:
        text = raw.decode()
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(place, [(line, "is not UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise SettingsError(place, [(int(found[1]) if found else 0, f"is no TOML: {error}")]) from error
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        name, what = _explain(str(error))
        raise SettingsError(place, [(_line_of(text, name), what)]) from error
    keymap: dict[str, str] = {}
    problems = [(_line_of(text, name), what) for name, what in _problems(settings, keymap)]
    if problems:
        raise SettingsError(place, sorted(problems))
    return msgspec.structs.replace(settings, keys=keymap)


def _explain(told: str) -> tuple[str, str]:
    """Return which setting msgspec means, and the same in other words."""
    what, _, path = told.partition(" - at `$.")
    path = path.rstrip("`")
    unknown = re.search(r"unknown field `(.*)`", what)
    if unknown:
        allowed = _fields(View if path == "view" else Settings)
        name = f"{path}.{unknown[1]}" if path else unknown[1]
        return name, f"there is no setting {unknown[1]!r}{f' in [{path}]' if path else ''}{_hint(unknown[1], allowed)}"
    wrong_order = re.search(r"enum value (.*)", what)
    if wrong_order:
        return path, f"there is no order {wrong_order[1]}{_hint(wrong_order[1], [order.value for order in Order])}"
    words = re.sub(r"`?\b(float|int|str|bool|object|array)\b`?", lambda found: _KINDS[found[1]], what)
    return path, f"{path}: {words[:1].lower()}{words[1:]}"


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


def _hint(name: str, allowed: Sequence[str]) -> str:
    return f"{_near(name, allowed)} There are: {', '.join(allowed)}"


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _problems(settings: Settings, keymap: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the values, each after the name of its setting; fill `keymap` with what is right."""
    themes = theme_names()
    if settings.theme and settings.theme not in themes:
        yield "theme", f"there is no theme {settings.theme!r}{_hint(settings.theme, themes)}"
    known = all_bindings()
    for name, keys in _flat(settings.keys):
        where = f"keys.{name}"
        if name not in known:
            yield where, f"there is no action {name!r}{_near(name, known)} `layertui keys` lists them"
        elif not isinstance(keys, str):
            yield where, f'{name}: the keys are a text, such as "m" or "f5,ctrl+r"'
        elif name in keymap:
            yield where, f"{name}: stands there twice"
        else:
            if not keys.strip():
                if name in WAYS_OUT:
                    yield where, f"{name}: needs a key, which may be another one: it {WAYS_OUT[name]}"
                elif written_keys(known[name]):
                    keymap[name] = NO_KEY + name
                continue
            try:
                keymap[name] = read_keys(keys)
            except UnknownKey as error:
                yield where, f"{name}: {_no_key(error)}"
    for key, place, first, second in clashes(keymap):
        name = first if first in keymap else second
        yield f"keys.{name}", f"{first} and {second} would both have the key {key!r} (place: {place})"


def _no_key(error: UnknownKey) -> str:
    if not error.name:
        return "a key is missing; a comma is called 'comma'"
    meant = f"; did you mean {error.nearest!r}?" if error.nearest else ""
    return f"there is no key {error.name!r}{meant}"


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield values by their dotted names: `layer.mount`, quoted or not, is one ID."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _line_of(text: str, name: str) -> int:
    """Return the line that sets `name`, or its table; 0 when it is not found."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        found = _ASSIGNMENT.match(line)
        if header:
            table = _dotted(header[1])
            here = table
        elif found:
            here = f"{table}.{_dotted(found[1])}" if table else _dotted(found[1])
        else:
            continue
        if here == name or here.startswith(f"{name}."):
            return number
    return 0


def _dotted(written: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, written))
