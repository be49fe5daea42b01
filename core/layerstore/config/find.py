"""Where Podman would look for a store: flags, environment, storage.conf, defaults.

The files and their order are those of containers/storage today (types/options.go, pkg/configfile): the first there is
of the user's, the system's and the vendor's storage.conf, then every file of the drop-in folders, by name. Programs of
before 2026 read the user's storage.conf or the system's and no drop-ins, and for an ordinary user took from the
system's no folder but `rootless_storage_path`: so does this module where the newer reading leads to a folder that the
user cannot use.
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
"""Run roots of users without XDG_RUNTIME_DIR: today's, that of Podman before 5, of containers/storage before 2023."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is; `driver` is None where nothing names one. `source` says, for people, what decided.

    `options` are those of the driver, for `LayerStore.open`, but for its additional image stores: their graph roots are
    `image_stores`.
    """

    graph_root: str
    run_root: str
    driver: str | None
    source: str
    options: Mapping[str, str] = field(default_factory=dict)
    image_stores: tuple[str, ...] = ()

    @property
    def all_options(self) -> dict[str, str]:
        """The options with the image stores among them, as `LayerStore.open` takes them."""
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
    """Return the store that Podman would open for this user, with what the caller gives taking precedence.

    `options` are such as "overlay.mountopt=nodev", as of `podman --storage-opt`, and replace those of the files. Like
    Podman's `--root`, a `graph_root` leaves the files' driver and options aside. Nothing is created, and nothing opened
    but the configuration files; with a `graph_root` and a `run_root` these neither.

    Raises:
        StoreCorrupt: a configuration file is not TOML, or a value in it has the wrong type.
        StoreMissing: CONTAINERS_STORAGE_CONF names a file that is not there.
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
        # A root that was given by hand need not hold what the configuration names.
        driver=driver or (None if graph_root or named is None else current_name(named)),
        source="--root" if graph_root else source,
        options=rest,
        image_stores=tuple(dict.fromkeys(image_stores)),
    )


def user_id(environ: Mapping[str, str]) -> int:
    """Return the user whose store counts: in a user namespace made by Podman or alike he who made it, not its root."""
    made_by = environ.get("_CONTAINERS_ROOTLESS_UID", "")
    if environ.get("_CONTAINERS_USERNS_CONFIGURED") and made_by.isdecimal():
        return int(made_by)
    return os.geteuid()


def config_files(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the files that count for this user, later ones over earlier ones; those that are there.

    Raises:
        StoreMissing: CONTAINERS_STORAGE_CONF, or the same with _OVERRIDE, names a file that is not there.
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
    """Return the run root that Podman would use for this user."""
    return find_store().run_root


def _must_exist(path: str, variable: str) -> str:
    if not os.path.exists(path):
        raise StoreMissing(path, f"{variable} names this file, and it is not there")
    return path


def _user_config(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(home, "containers", "storage.conf")


def _drop_ins(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the files of the drop-in folders in the order of their names; of one name that of the later folder."""
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
    """Return where the store is, and what says so."""
    configured = _expand(settings.text("graphroot"), environ, uid)
    for_users = _expand(settings.text("rootless_storage_path"), environ, uid) if uid else ""
    if configured and _counts(settings, "graphroot", configured, uid):
        return configured, settings.source("graphroot")
    if for_users:
        return for_users, settings.source("rootless_storage_path")
    if uid == 0:
        return ROOTFUL_GRAPH_ROOT, "the default of root"
    shared = read_settings([path for path in (SYSTEM_CONFIG, VENDOR_CONFIG) if os.path.exists(path)][:1])
    if "CONTAINERS_STORAGE_CONF" not in environ and shared.text("rootless_storage_path"):
        return _expand(shared.text("rootless_storage_path"), environ, uid), shared.source("rootless_storage_path")
    data = environ.get("XDG_DATA_HOME") or os.path.join(_home(environ), ".local", "share")
    return os.path.join(data, "containers", "storage"), "the default of users"


def _counts(settings: Settings, key: str, path: str, uid: int) -> bool:
    """Tell whether a folder from the files is for this user: one for everybody must be there for him to use."""
    everybodys = settings.source(key) in {SYSTEM_CONFIG, VENDOR_CONFIG}
    return uid == 0 or not everybodys or (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))


def _run_root(settings: Settings, environ: Mapping[str, str], uid: int) -> str:
    configured = _expand(settings.text("runroot"), environ, uid)
    if configured and _counts(settings, "runroot", configured, uid):
        return configured
    return ROOTFUL_RUN_ROOT if uid == 0 else _rootless_run_root(environ, uid)


def _rootless_run_root(environ: Mapping[str, str], uid: int) -> str:
    """Return the run root of an ordinary user (pkg/homedir), or the one where older programs have left their data."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(os.path.realpath(runtime), "containers")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - where the peers look; what is there must be private
    candidates = [f"/run/user/{uid}/containers", *(os.path.join(temporary, name.format(uid)) for name in _RUN_FOLDERS)]
    used = [path for path in candidates if _is_private(os.path.dirname(path), uid) and _has_layers(path)]
    if used:
        return used[0]
    return candidates[0] if _is_private(f"/run/user/{uid}", uid) else candidates[1]


def _is_private(folder: str, uid: int) -> bool:
    """Tell whether nobody else can have put something there: all may write to /tmp."""
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
    """Return the options that replace those of the files, if any do; of the variable's those that are known here."""
    if options is not None:
        return [option for option in options if option]
    if "STORAGE_OPTS" not in environ:
        return None
    given = [(option, option.partition("=")[0].rpartition(".")[2]) for option in environ["STORAGE_OPTS"].split(",")]
    return [option for option, key in given if key in OPTIONS or key in IMAGE_STORES]


def _options(settings: Settings, uid: int) -> list[str]:
    """Return the options of the files; what is said of one driver comes after what is said of all, and counts."""
    found = [f"additionalimagestore={path}" for path in settings.texts("options.additionalimagestores")]
    for key in sorted(OPTIONS):
        owners = [name for name, driver in DRIVERS.items() if key in driver.options]
        for owner in ("", *owners):
            value = settings.text(f"options.{owner}.{key}" if owner else f"options.{key}")
            if value and uid and key == MOUNT_OPTIONS:
                value = _without_metacopy(value)
            elif not value:
                continue
            # What only one driver understands is for that driver.
            prefix = owner or (owners[0] if len(owners) == 1 else "")
            found.append(f"{prefix}.{key}={value}" if prefix else f"{key}={value}")
    return found


def _without_metacopy(value: str) -> str:
    """Return the mount options that the kernel takes from ordinary users, as containers/storage does."""
    return ",".join(part for part in value.split(",") if part != "metacopy=on")


def _split_options(options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the image stores, and the other options by their names; of one name the last counts."""
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
