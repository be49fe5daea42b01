"""The session file: panel, sort order, folded layers and cursor of each store, and the theme chosen last.

The session is best effort: a file that cannot be read counts as empty, and missing permissions or disk space
when writing it are not reported.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
from platformdirs import user_state_path

from layerstore import write_file
from layertui.model.order import Order

STORES = 50
"""The maximum number of stores. The least recently opened one is dropped first."""

FOLDS = 500
"""The maximum number of folded layers per store. The outermost ones are kept."""

_LARGEST = 16 << 20
_IGNORED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


class StoreState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state in which a store was left.

    `panel` and `sort` are IDs, `cursor` and `folded` layer IDs; `zoom` is the pane that filled the screen, "" for none.
    """

    panel: str = ""
    sort: str = ""
    cursor: str = ""
    folded: tuple[str, ...] = ()
    zoom: str = ""

    @property
    def order(self) -> Order | None:
        """The sort order, None if this version does not know it."""
        return Order(self.sort) if self.sort in {order.value for order in Order} else None


class _File(msgspec.Struct, omit_defaults=True):
    """The content of `session.json`. `theme` was chosen in the palette while `instead_of` was the configured theme."""

    theme: str = ""
    instead_of: str = ""
    stores: dict[str, StoreState] = {}


class Session:
    """The session file and the changes to save in it. Not thread-safe.

    The file is read by the constructor and merged with the changes by `save`, so two programs that run at the same
    time keep each other's stores unless they save at the same instant.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_state_path("layertui") / "session.json"
        self._saved = self._read()
        self._stores: dict[str, StoreState] = {}
        self._theme: tuple[str, str] | None = None

    def store(self, graph_root: Path, driver: str) -> StoreState:
        """Return the state in which a store was left, in this run or an earlier one."""
        key = _key(graph_root, driver)
        return self._stores.get(key) or self._saved.stores.get(key) or StoreState()

    def keep_store(self, graph_root: Path, driver: str, state: StoreState) -> None:
        """Remember the state of a store."""
        folded = tuple(_plain(layer_id) for layer_id in state.folded[:FOLDS])
        plain = StoreState(state.panel, state.sort, _plain(state.cursor), folded, state.zoom)
        self._stores[_key(graph_root, driver)] = plain

    def theme(self, configured: str) -> str:
        """Return the theme to start with.

        This is the theme chosen in the palette, or the `configured` one if none was chosen or the settings have changed
        since.
        """
        return self._saved.theme if self._saved.theme and self._saved.instead_of == configured else configured

    def keep_theme(self, theme: str, configured: str) -> None:
        """Remember a theme, or forget the remembered one if `theme` is the configured one."""
        self._theme = (theme, configured) if theme != configured else ("", "")

    def save(self) -> None:
        """Write the changes to the file, if there are any.

        Root writes nothing into the home directory of another user, which `sudo -E` would otherwise do.

        Raises:
            OSError: The file cannot be written for a reason other than missing permission or disk space.
        """
        if not self._stores and self._theme is None:
            return
        try:
            if os.geteuid() == 0 and _owner(self.path) != 0:
                return
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(str(self.path), msgspec.json.encode(self._merged()), sync=False)
        except OSError as error:
            if error.errno not in _IGNORED:
                raise

    def _merged(self) -> _File:
        file = self._read()
        if self._theme is not None:
            file.theme, file.instead_of = self._theme
        for key, state in self._stores.items():
            file.stores.pop(key, None)
            file.stores[key] = state
        for key in list(file.stores)[:-STORES]:
            del file.stores[key]
        return file

    def _read(self) -> _File:
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(_LARGEST), type=_File)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return _File()


def _owner(path: Path) -> int:
    """Return the owner of the file or, if it does not exist, of its nearest existing parent directory."""
    return next(place for place in (path, *path.parents) if place.exists()).stat().st_uid


def _key(graph_root: Path, driver: str) -> str:
    return _plain(f"{driver}:{os.path.realpath(graph_root)}")


def _plain(text: str) -> str:
    """Return text that can be encoded as UTF-8. Names from disk may contain other bytes, as surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()
