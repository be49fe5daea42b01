"""Reads storage.conf and its drop-in files, and validates the keys that this package uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from layerstore.drivers import DRIVERS, OPTIONS
from layerstore.errors import StoreAccess, StoreCorrupt

_DRIVER_TABLES = tuple(f"options.{name}" for name in DRIVERS)
_TEXTS = (
    "driver",
    "graphroot",
    "runroot",
    "imagestore",
    "rootless_storage_path",
    *(f"{table}.{key}" for table in ("options", *_DRIVER_TABLES) for key in sorted(OPTIONS)),
)
_LISTS = ("options.additionalimagestores",)
_TABLES = ("", "options", *_DRIVER_TABLES)


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged settings of several files: the value of each key, such as "options.overlay.mountopt", and its file."""

    values: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def text(self, key: str) -> str:
        """Return the value of a string key, or "" if it is not set."""
        return str(self.values[key][0]) if key in self.values else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the value of a list key."""
        return tuple(self.values[key][0]) if key in self.values else ()

    def source(self, key: str) -> str:
        """Return the file that sets a key, or "" if it is not set."""
        return self.values[key][1] if key in self.values else ""


def read_settings(paths: Sequence[str]) -> Settings:
    """Read files, where later files override earlier ones. Unknown keys are ignored.

    Raises:
        StoreCorrupt: A file is not valid TOML, or a value has the wrong type.
        StoreAccess: This user may not read a file.
    """
    settings = Settings()
    for path in paths:
        section = _section(path)
        tables = {name: _table(path, section, name) for name in _TABLES}
        for key in (*_TEXTS, *_LISTS):
            table, _, name = key.rpartition(".")
            if name in tables[table]:
                value = tables[table][name]
                checked = _list(path, key, value, settings.texts(key)) if key in _LISTS else _text(path, key, value)
                settings.values[key] = (checked, path)
    return settings


def _section(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            section = tomllib.load(file).get("storage", {})
    except PermissionError as error:
        raise StoreAccess(path, "this user may not read it", "pass --root and --runroot") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreCorrupt(path, str(error), hint="fix it, or pass --root and --runroot") from error
    if not isinstance(section, dict):
        raise StoreCorrupt(path, "[storage] is not a table")
    return section


def _table(path: str, section: dict[str, Any], name: str) -> dict[str, Any]:
    table: Any = section
    for part in filter(None, name.split(".")):
        table = table.get(part, {})
        if not isinstance(table, dict):
            raise StoreCorrupt(path, f"[storage.{name}] is not a table")
    return dict(table)


def _text(path: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise StoreCorrupt(path, f"{_shown(key)} is not a string")
    return value


def _list(path: str, key: str, value: object, before: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of strings. The element {append=true} appends it to the list of earlier files (pkg/configfile)."""
    if not isinstance(value, list):
        raise StoreCorrupt(path, f"{_shown(key)} is not a list")
    texts, append = [], False
    for item in value:
        if isinstance(item, dict) and isinstance(item.get("append"), bool) and len(item) == 1:
            append = item["append"]
        elif isinstance(item, str):
            texts.append(item)
        else:
            raise StoreCorrupt(path, f"{_shown(key)} has an element that is not a string")
    return (*before, *texts) if append else tuple(texts)


def _shown(key: str) -> str:
    table, dot, name = key.rpartition(".")
    return f"{name} in [storage{dot}{table}]"
