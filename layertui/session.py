"""What the program remembers of its last runs: for each store the panel, order, folds and cursor; and the theme.

All of it is a comfort: a file that cannot be read counts as empty, and one that cannot be written is left alone.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
from platformdirs import user_state_path

from layerstore.linux.atomic import write_file
from layertui.model.order import Order

STORES = 50
"""How many stores are remembered; the one that was not opened for the longest time goes first."""

FOLDS = 500
"""How many folded layers are remembered of a store, the outermost first."""

_LARGEST = 16 << 20
_NOT_FOR_US = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


class StoreState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a store was left: IDs of panel and order, layer IDs, and which pane had the whole screen ("" for none)."""

    panel: str = ""
    sort: str = ""
    cursor: str = ""
    folded: tuple[str, ...] = ()
    zoom: str = ""

    @property
    def order(self) -> Order | None:
        """The order of the list, if this program knows it."""
        return Order(self.sort) if self.sort in {order.value for order in Order} else None


class _File(msgspec.Struct, omit_defaults=True):
    """`session.json`. `theme` was chosen in the palette when the settings said `instead_of`."""

    theme: str = ""
    instead_of: str = ""
    stores: dict[str, StoreState] = {}


class Session:
    """The file and what is to go into it. Used by one thread: read before the event loop starts, written after its end.

    Two programs at a time do not lose each other's stores, unless they end in the same instant.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_state_path("layertui") / "session.json"
        self._past = self._read()
        self._stores: dict[str, StoreState] = {}
        self._theme: tuple[str, str] | None = None

    def store(self, graph_root: Path, driver: str) -> StoreState:
        """Return how a store was left, in this run or an earlier one."""
        key = _key(graph_root, driver)
        return self._stores.get(key) or self._past.stores.get(key) or StoreState()

    def keep_store(self, graph_root: Path, driver: str, state: StoreState) -> None:
        """Remember how a store is left."""
        folded = tuple(_plain(one) for one in state.folded[:FOLDS])
        plain = StoreState(state.panel, state.sort, _plain(state.cursor), folded, state.zoom)
        self._stores[_key(graph_root, driver)] = plain

    def theme(self, configured: str) -> str:
        """Return the theme to start with: the one chosen in the palette, until the settings say another than then."""
        return self._past.theme if self._past.theme and self._past.instead_of == configured else configured

    def keep_theme(self, theme: str, configured: str) -> None:
        """Remember a theme, if it is another than the settings say."""
        self._theme = (theme, configured) if theme != configured else ("", "")

    def save(self) -> None:
        """Write what was kept, if anything was. Root leaves no files in another user's home, as with `sudo -E`.

        Raises:
            OSError: but not for want of permission or room.
        """
        if not self._stores and self._theme is None:
            return
        try:
            if os.geteuid() == 0 and _owner(self.path) != 0:
                return
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(str(self.path), msgspec.json.encode(self._merged()), sync=False)
        except OSError as error:
            if error.errno not in _NOT_FOR_US:
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
    """Return who owns the file, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists()).stat().st_uid


def _key(graph_root: Path, driver: str) -> str:
    return _plain(f"{driver}:{os.path.realpath(graph_root)}")


def _plain(text: str) -> str:
    """Return text that JSON can hold: names from disk may have bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
