"""Where Podman would look for a store: flags, environment, storage.conf, defaults (types/options.go)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layerstore.errors import StoreCorrupt

SYSTEM_CONFIG = "/etc/containers/storage.conf"
VENDOR_CONFIG = "/usr/share/containers/storage.conf"
ROOTFUL_GRAPH_ROOT = "/var/lib/containers/storage"
ROOTFUL_RUN_ROOT = "/run/containers/storage"


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is; `driver` is None where nothing names one. `source` says, for people, what decided."""

    graph_root: str
    run_root: str
    driver: str | None
    source: str


def find_store(
    graph_root: str | os.PathLike[str] | None = None,
    run_root: str | os.PathLike[str] | None = None,
    driver: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> StorePlace:
    """Return the store that Podman would open for this user, with what the caller gives taking precedence.

    Nothing is created or opened but the configuration file.

    Raises:
        StoreCorrupt: the configuration file is not TOML, or a value in it is no text.
    """
    environ = os.environ if environ is None else environ
    uid = os.geteuid() if uid is None else uid
    path = config_path(environ, uid)
    settings = _read(path)
    defaults = _rootful() if uid == 0 else _rootless(environ, uid)
    configured = _expand(_text(path, settings, "graphroot"), environ, uid)
    if uid != 0:
        shared = _read(SYSTEM_CONFIG) or _read(VENDOR_CONFIG)
        of_users = _text(path, settings, "rootless_storage_path") or _text(
            SYSTEM_CONFIG, shared, "rootless_storage_path"
        )
        configured = configured or _expand(of_users, environ, uid)
    named = environ.get("STORAGE_DRIVER") or _text(path, settings, "driver") or None
    if named == "overlay2":
        named = "overlay"
    source = "--root" if graph_root else (path if configured else f"the default of {'root' if uid == 0 else 'users'}")
    return StorePlace(
        graph_root=os.fspath(graph_root or configured or defaults[0]),
        run_root=os.fspath(run_root or _expand(_text(path, settings, "runroot"), environ, uid) or defaults[1]),
        # A root that was given by hand need not hold what the configuration names.
        driver=driver or (None if graph_root else named),
        source=source,
    )


def config_path(environ: Mapping[str, str], uid: int) -> str:
    """Return the configuration file that counts for this user; it need not exist."""
    override = environ.get("CONTAINERS_STORAGE_CONF")
    if override:
        return override
    if uid == 0:
        return SYSTEM_CONFIG if os.path.exists(SYSTEM_CONFIG) else VENDOR_CONFIG
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(home, "containers", "storage.conf")


def default_run_root() -> str:
    """Return the run root that Podman would use for this user."""
    return find_store().run_root


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _rootful() -> tuple[str, str]:
    return ROOTFUL_GRAPH_ROOT, ROOTFUL_RUN_ROOT


def _rootless(environ: Mapping[str, str], uid: int) -> tuple[str, str]:
    data = environ.get("XDG_DATA_HOME") or os.path.join(_home(environ), ".local", "share")
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    if not os.path.isdir(runtime):
        runtime = f"/tmp/storage-run-{uid}"  # noqa: S108 - containers/storage's own last resort
    return os.path.join(data, "containers", "storage"), os.path.join(runtime, "containers")


def _read(path: str) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    import tomllib

    try:
        with open(path, "rb") as file:
            section = tomllib.load(file).get("storage", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreCorrupt(path, str(error), hint="mend it, or name the store with --root and --runroot") from error
    if not isinstance(section, dict):
        raise StoreCorrupt(path, "[storage] is not a table")
    return section


def _text(path: str, settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key, "")
    if not isinstance(value, str):
        raise StoreCorrupt(path, f"{key} in [storage] is not a string")
    return value


def _expand(path: str, environ: Mapping[str, str], uid: int) -> str:
    if not path:
        return ""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return str(uid) if name == "UID" else environ.get(name, "")

    return os.path.normpath(re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, path))
