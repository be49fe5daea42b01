"""The settings in `config.toml`.

They are read before the screen starts, and errors name the line.
"""

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
    "str": "a string",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_PART = r"[\w-]+|\"[^\"]*\"|'[^']*'"
_HEADER = re.compile(rf"\s*\[\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*\]")
_ASSIGNMENT = re.compile(rf"\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[view]`.

    `sort` is the initial order of a store; an order chosen in the browser is remembered and overrides it. `follow` is
    the poll interval in seconds for changes by other programs; use a longer one for a store on a network file system.
    """

    sort: Order = Order.TREE
    follow: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 1.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings.

    An empty `theme` means the default theme for the terminal. `remember = false` keeps the session file out of the
    home directory, which is useful for a shared account.
    """

    theme: str = ""
    remember: bool = True
    view: View = View()
    keys: dict[str, Any] = {}

    @property
    def keymap(self) -> Keymap:
        """The configured keys by the ID of their binding. A value that begins with `NO_KEY` disables the key."""
        return self.keys


class SettingsError(ValueError):
    """An invalid settings file.

    `problems` holds pairs of a line number, 0 if unknown, and a message.
    """

    def __init__(self, path: Path, problems: Sequence[tuple[int, str]]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(f"{safe(str(path))}{f':{line}' if line else ''}: {safe(what)}" for line, what in problems)
        )


def config_path() -> Path:
    """Return the path of the settings file, in $XDG_CONFIG_HOME or ~/.config. Under sudo, this is root's file."""
    return user_config_path("layertui") / "config.toml"


def theme_names() -> list[str]:
    """Return the names of the themes, those of layertui before those of Textual."""
    return [*(theme.name for theme in THEMES), *BUILTIN_THEMES]


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings in `path`, or in the default location, where the file may be missing.

    Raises:
        SettingsError: The file cannot be read, is not valid TOML, or has an invalid setting.
    """
    place = path or config_path()
    try:
        with place.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        if path is None:
            return Settings()
        raise SettingsError(place, [(0, "no such file")]) from error
    except OSError as error:
        raise SettingsError(place, [(0, f"cannot be read: {error.strerror}")]) from error
    if len(raw) > _LARGEST:
        raise SettingsError(place, [(0, "larger than 1 MiB, which is too large for a settings file")])
    return _decode(place, raw)


def _decode(place: Path, raw: bytes) -> Settings:
    import tomllib  # noqa: PLC0415 - most users have no settings file

    try:
        text = raw.decode()
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(place, [(line, "not valid UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise SettingsError(place, [(int(found[1]) if found else 0, f"not valid TOML: {error}")]) from error
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        name, message = _explain(str(error))
        raise SettingsError(place, [(_line_of(text, name), message)]) from error
    keymap: dict[str, str] = {}
    problems = [(_line_of(text, name), message) for name, message in _problems(settings, keymap)]
    if problems:
        raise SettingsError(place, sorted(problems))
    return msgspec.structs.replace(settings, keys=keymap)


def _explain(error: str) -> tuple[str, str]:
    """Return the name of the setting that an error of msgspec is about, and a message for the user."""
    what, _, path = error.partition(" - at `$.")
    path = path.rstrip("`")
    unknown = re.search(r"unknown field `(.*)`", what)
    if unknown:
        allowed = _fields(View if path == "view" else Settings)
        name = f"{path}.{unknown[1]}" if path else unknown[1]
        table = f" in [{path}]" if path else ""
        return name, f"unknown setting {unknown[1]!r}{table}{_hint(unknown[1], allowed, 'settings')}"
    wrong_order = re.search(r"enum value '?(.*?)'?$", what)
    if wrong_order:
        orders = [order.value for order in Order]
        return path, f"unknown sort order {wrong_order[1]!r}{_hint(wrong_order[1], orders, 'orders')}"
    message = re.sub(r"`?\b(float|int|str|bool|object|array)\b`?", lambda found: _KINDS[found[1]], what)
    return path, f"{path}: {message[:1].lower()}{message[1:]}"


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


def _hint(name: str, allowed: Sequence[str], kind: str) -> str:
    return f"{_suggestion(name, allowed)} Valid {kind}: {', '.join(allowed)}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _problems(settings: Settings, keymap: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each invalid setting with a message, and add the valid keys to `keymap`."""
    themes = theme_names()
    if settings.theme and settings.theme not in themes:
        yield "theme", f"unknown theme {settings.theme!r}{_hint(settings.theme, themes, 'themes')}"
    known = all_bindings()
    for name, keys in _flat(settings.keys):
        where = f"keys.{name}"
        if name not in known:
            yield where, f"unknown action {name!r}{_suggestion(name, known)} `layertui keys` lists all actions"
        elif not isinstance(keys, str):
            yield where, f'{name}: expected a string, such as "m" or "f5,ctrl+r"'
        elif name in keymap:
            yield where, f"{name}: set twice"
        else:
            if not keys.strip():
                if name in WAYS_OUT:
                    yield where, f"{name}: can be given another key but not disabled: it {WAYS_OUT[name]}"
                elif written_keys(known[name]):
                    keymap[name] = NO_KEY + name
                continue
            try:
                keymap[name] = read_keys(keys)
            except UnknownKey as error:
                yield where, f"{name}: {_no_key(error)}"
    for key, place, first, second in clashes(keymap):
        name = first if first in keymap else second
        yield f"keys.{name}", f"{first} and {second} cannot both use the key {key!r} (in: {place})"


def _no_key(error: UnknownKey) -> str:
    if not error.name:
        return "a key is missing; the name of the comma key is 'comma'"
    suggestion = f"; did you mean {error.nearest!r}?" if error.nearest else ""
    return f"unknown key {error.name!r}{suggestion}"


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted name. `layer.mount` is the same ID whether it is quoted or not."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _line_of(text: str, name: str) -> int:
    """Return the number of the line that sets `name` or opens its table, 0 if there is none."""
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
