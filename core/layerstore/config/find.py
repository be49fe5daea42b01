"""Finds the store that Podman would use, from arguments, the environment, storage.conf and defaults.

Files are read as by current containers/storage (types/options.go, pkg/configfile): the first that exists of the user's,
the system's and the vendor's storage.conf, then all drop-in files, sorted by name. Versions before 2026 read no drop-in
files, and for ordinary users took only `rootless_storage_path` from the system's storage.conf. This module falls back
to that if the new rules lead to a folder that the user cannot write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layerstore.config.files import Settings, read_settings
from layerstore.drivers import DRIVERS, OPTIONS, current_name
from layerstore.drivers.options import IMAGE_STORES, MOUNT_OPTIONS
from layerstore.errors import StoreMissing

SYSTEM_CONFIG = "/etc/containers/storage.conf"
VENDOR_CONFIG = "/usr/share/containers/storage.conf"
ROOTFUL_GRAPH_ROOT = "/var/lib/containers/storage"
ROOTFUL_RUN_ROOT = "/run/containers/storage"

_RUN_FOLDERS = ("storage-run-{}/containers", "podman-run-{}/containers", "containers-user-{}/containers")
"""The run roots of users without XDG_RUNTIME_DIR: current, before Podman 5, before containers/storage of 2023."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The location and options of a store, as `find_store` returns them.

    Open it with `LayerStore.open(place.graph_root, place.run_root, driver=place.driver, options=place.all_options)`.

    Attributes:
        graph_root: The graph root.
        run_root: The run root.
        driver: The name of the driver, or None if nothing names one.
        source: What determined the graph root, for people: an option, a file or a default.
        options: The options of the driver, without its additional image stores.
        image_stores: The graph roots of the additional image stores.
    """

    graph_root: str
    run_root: str
    driver: str | None
    source: str
    options: Mapping[str, str] = field(default_factory=dict)
    image_stores: tuple[str, ...] = ()

    @property
    def all_options(self) -> dict[str, str]:
        """All options, including the additional image stores, for `LayerStore.open`."""
        stores = {"additionalimagestores": ",".join(self.image_stores)} if self.image_stores else {}
        return {**self.options, **stores}


def find_store(
    graph_root: str | os.PathLike[str] | None = None,
    run_root: str | os.PathLike[str] | None = None,
    driver: str | None = None,
    *,
    options: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> StorePlace:
    """Return the store that Podman would open for this user. Arguments take precedence over configuration.

    Nothing is created, and only configuration files are read. With both roots given, not even these are read.

    Args:
        graph_root: The graph root. As with `podman --root`, the driver and options of the configuration are ignored.
        run_root: The run root.
        driver: The name of the driver.
        options: Options such as "overlay.mountopt=nodev", which replace those of the configuration, as in `podman
            --storage-opt`.
        environ: The environment, by default that of this process.
        uid: The user whose store to find, by default the user of this process.

    Raises:
        StoreCorrupt: A configuration file is not valid TOML, or a value has the wrong type.
        StoreMissing: An environment variable names a configuration file that does not exist.
        StoreAccess: This user may not read a configuration file.
    """
    environ = os.environ if environ is None else environ
    uid = user_id(environ) if uid is None else uid
    settings = Settings() if graph_root and run_root else read_settings(config_files(environ, uid))
    found, source = _graph_root(settings, environ, uid)
    named = environ.get("STORAGE_DRIVER") or settings.text("driver") or None
    given = _given_options(environ, options)
    if given is None:
        given = [] if graph_root else _options(settings, uid)
    image_stores, rest = _split_options(given)
    if settings.text("imagestore") and not graph_root:
        image_stores = [_expand(settings.text("imagestore"), environ, uid), *image_stores]
    return StorePlace(
        graph_root=os.fspath(graph_root or found),
        run_root=os.fspath(run_root or _run_root(settings, environ, uid)),
        # The configured driver need not be that of a graph root passed by the caller.
        driver=driver or (None if graph_root or named is None else current_name(named)),
        source="--root" if graph_root else source,
        options=rest,
        image_stores=tuple(dict.fromkeys(image_stores)),
    )


def user_id(environ: Mapping[str, str]) -> int:
    """Return the user whose store to find: in a rootless user namespace, the user who created it and not its root."""
    made_by = environ.get("_CONTAINERS_ROOTLESS_UID", "")
    if environ.get("_CONTAINERS_USERNS_CONFIGURED") and made_by.isdecimal():
        return int(made_by)
    return os.geteuid()


def config_files(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the existing configuration files for a user, where later files override earlier ones.

    Raises:
        StoreMissing: CONTAINERS_STORAGE_CONF or CONTAINERS_STORAGE_CONF_OVERRIDE names a file that does not exist.
    """
    override = environ.get("CONTAINERS_STORAGE_CONF")
    if override:
        found = [_must_exist(override, "CONTAINERS_STORAGE_CONF")]
    else:
        mains = (_user_config(environ), SYSTEM_CONFIG, VENDOR_CONFIG)
        found = [*[path for path in mains if os.path.exists(path)][:1], *_drop_ins(environ, uid)]
    last = environ.get("CONTAINERS_STORAGE_CONF_OVERRIDE")
    return [*found, _must_exist(last, "CONTAINERS_STORAGE_CONF_OVERRIDE")] if last else found


def default_run_root() -> str:
    """Return the run root that Podman uses for this user."""
    return find_store().run_root


def _must_exist(path: str, variable: str) -> str:
    if not os.path.exists(path):
        raise StoreMissing(path, f"{variable} names this file, but it does not exist")
    return path


def _user_config(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(home, "containers", "storage.conf")


def _drop_ins(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the drop-in files sorted by name. If folders have files of the same name, the later folder wins."""
    by_name: dict[str, str] = {}
    for folder in _drop_in_folders(environ, uid):
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        by_name.update((name, os.path.join(folder, name)) for name in names if name.endswith(".conf"))
    return [by_name[name] for name in sorted(by_name)]


def _drop_in_folders(environ: Mapping[str, str], uid: int) -> list[str]:
    folders = []
    for main in (VENDOR_CONFIG, SYSTEM_CONFIG):
        special = f"{main.removesuffix('.conf')}.{'rootless' if uid else 'rootful'}.conf.d"
        folders += [f"{main}.d", special, *([os.path.join(special, str(uid))] if uid else [])]
    return [*folders, f"{_user_config(environ)}.d"]


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _graph_root(settings: Settings, environ: Mapping[str, str], uid: int) -> tuple[str, str]:
    """Return the graph root, and what determined it."""
    configured = _expand(settings.text("graphroot"), environ, uid)
    for_users = _expand(settings.text("rootless_storage_path"), environ, uid) if uid else ""
    if configured and _applies(settings, "graphroot", configured, uid):
        return configured, settings.source("graphroot")
    if for_users:
        return for_users, settings.source("rootless_storage_path")
    if uid == 0:
        return ROOTFUL_GRAPH_ROOT, "the default for root"
    shared = read_settings([path for path in (SYSTEM_CONFIG, VENDOR_CONFIG) if os.path.exists(path)][:1])
    if "CONTAINERS_STORAGE_CONF" not in environ and shared.text("rootless_storage_path"):
        return _expand(shared.text("rootless_storage_path"), environ, uid), shared.source("rootless_storage_path")
    data = environ.get("XDG_DATA_HOME") or os.path.join(_home(environ), ".local", "share")
    return os.path.join(data, "containers", "storage"), "the default for users"


def _applies(settings: Settings, key: str, path: str, uid: int) -> bool:
    """Return whether a configured folder applies. One that is set for all users does only if this user can use it."""
    for_all_users = settings.source(key) in {SYSTEM_CONFIG, VENDOR_CONFIG}
    return uid == 0 or not for_all_users or (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))


def _run_root(settings: Settings, environ: Mapping[str, str], uid: int) -> str:
    configured = _expand(settings.text("runroot"), environ, uid)
    if configured and _applies(settings, "runroot", configured, uid):
        return configured
    return ROOTFUL_RUN_ROOT if uid == 0 else _rootless_run_root(environ, uid)


def _rootless_run_root(environ: Mapping[str, str], uid: int) -> str:
    """Return the run root of an ordinary user (pkg/homedir), or that of an older version if it has data there."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(os.path.realpath(runtime), "containers")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - as in containers/storage; the folder in it must be private
    candidates = [f"/run/user/{uid}/containers", *(os.path.join(temporary, name.format(uid)) for name in _RUN_FOLDERS)]
    used = [path for path in candidates if _is_private(os.path.dirname(path), uid) and _has_layers(path)]
    if used:
        return used[0]
    return candidates[0] if _is_private(f"/run/user/{uid}", uid) else candidates[1]


def _is_private(folder: str, uid: int) -> bool:
    """Return whether no other user can have created or modified a folder in /tmp."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return status.st_uid in {uid, os.geteuid()} and status.st_mode & 0o722 == 0o700


def _has_layers(run_root: str) -> bool:
    try:
        return any(name.endswith("-layers") for name in os.listdir(run_root))
    except OSError:
        return False


def _given_options(environ: Mapping[str, str], options: Sequence[str] | None) -> list[str] | None:
    """Return the options that replace those of the configuration, or None. Unknown ones in STORAGE_OPTS are ignored."""
    if options is not None:
        return [option for option in options if option]
    if "STORAGE_OPTS" not in environ:
        return None
    given = [(option, option.partition("=")[0].rpartition(".")[2]) for option in environ["STORAGE_OPTS"].split(",")]
    return [option for option, key in given if key in OPTIONS or key in IMAGE_STORES]


def _options(settings: Settings, uid: int) -> list[str]:
    """Return the options of the configuration. Those for one driver come last, so that they take precedence."""
    found = [f"additionalimagestore={path}" for path in settings.texts("options.additionalimagestores")]
    for key in sorted(OPTIONS):
        owners = [name for name, driver in DRIVERS.items() if key in driver.options]
        for owner in ("", *owners):
            value = settings.text(f"options.{owner}.{key}" if owner else f"options.{key}")
            if value and uid and key == MOUNT_OPTIONS:
                value = _without_metacopy(value)
            elif not value:
                continue
            # An option that only one driver has is meant for that driver.
            prefix = owner or (owners[0] if len(owners) == 1 else "")
            found.append(f"{prefix}.{key}={value}" if prefix else f"{key}={value}")
    return found


def _without_metacopy(value: str) -> str:
    """Return the mount options that the kernel takes from ordinary users, as containers/storage does."""
    return ",".join(part for part in value.split(",") if part != "metacopy=on")


def _split_options(options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the image stores and the other options by name. The last option of a name takes precedence."""
    image_stores: list[str] = []
    rest: dict[str, str] = {}
    for option in options:
        key, _, value = option.partition("=")
        key = key.strip()
        if key.rpartition(".")[2] in IMAGE_STORES:
            image_stores += [path for path in value.split(",") if path]
        else:
            rest[key.lstrip(".")] = value
    return image_stores, rest


def _expand(path: str, environ: Mapping[str, str], uid: int) -> str:
    if not path:
        return ""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return str(uid) if name == "UID" else environ.get(name, "")

    expanded = re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, path)
    try:
        return os.path.realpath(expanded, strict=True)
    except OSError:
        return os.path.normpath(expanded)
