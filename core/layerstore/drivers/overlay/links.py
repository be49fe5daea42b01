"""The short names of layers, and the lists of the layers below that are made of them.

The format is that of containers/storage's drivers/overlay. `<ID>/link` holds a name of 26 base32 characters. `l/<name>`
is a symbolic link to `../<ID>/diff`. `<ID>/lower` lists the layers below as `l/A:l/B`, the topmost first. The names are
short because the options of a mount once had to fit into one page of memory.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from layerstore.errors import NotSupported, StoreCorrupt, UnusableID
from layerstore.linux.atomic import write_file
from layerstore.records.layout import file_name
from layerstore.records.readfile import open_file

FOLDER = "l"
RESERVED = frozenset({FOLDER, "staging", "tempdirs"})
"""Names in the driver's folder that are not layers. Names that start with a dot are not layers either."""

MAX_LOWERS = 500
"""The maximum number of layers below a layer, in the kernel and in containers/storage."""

_LENGTH = 26
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644  # regardless of the umask, because tools of other users read them
_NAME = re.compile(rf"[A-Z2-7]{{{_LENGTH}}}")
_TARGET = re.compile(r"\.\./([^/\0]+)/diff")
_MAX_BYTES = 1 << 20


class Lower(NamedTuple):
    """A layer below: its short name, its ID, and whether `l` has a valid link of that name.

    `home` is the driver's folder in the image store that has the layer, "" for the driver's own folder.
    """

    link: str
    layer: str
    intact: bool = True
    home: str = ""

    @property
    def path(self) -> str:
        """The shortest path of its files, relative to the driver's folder or absolute."""
        return os.path.join(self.home, f"{FOLDER}/{self.link}" if self.intact else self.diff)

    @property
    def diff(self) -> str:
        """The path of its files that does not use the link, relative to the driver's folder or absolute."""
        return os.path.join(self.home, f"{self.layer}/diff")


def is_layer_name(name: str) -> bool:
    """Return whether a name in the driver's folder can be that of a layer."""
    return name not in RESERVED and not name.startswith(".")


class Links:
    """The names of the layers below `home`. Methods that read change nothing on disk.

    `others` are the driver's folders of image stores. A name that `home` does not have is looked up there, in their
    order, as in containers/storage. Nothing in them is ever written.
    """

    def __init__(self, home: Path, others: Sequence[Path] = ()) -> None:
        self._home = home
        self._homes = (home, *others)

    def home_of(self, layer_id: str) -> Path:
        """Return the first driver's folder that has a folder of the layer, or `home` if none has."""
        return next((home for home in self._homes if os.path.lexists(home / layer_id)), self._home)

    def lowers(self, layer_id: str) -> list[Lower]:
        """Return the layers below, the topmost first.

        If `l` lacks a name or its link is wrong, as after a crash of the machine, the name is looked up in the `link`
        files of all layers.

        Raises:
            StoreCorrupt: The list is not a list of names, forms a circle, or names a layer that does not exist.
            NotSupported: There are more than 500 layers.
        """
        file = self.home_of(layer_id) / layer_id / "lower"
        text = _read(file)
        if text is None:
            return []
        names = [_lower_name(file, part) for part in text.strip("\n").split(":") if part]
        if len(names) > MAX_LOWERS:
            raise NotSupported(f"{file}: there are {len(names)} layers below, more than the maximum of {MAX_LOWERS}")
        found: list[Lower] = []
        by_link: dict[str, Lower] | None = None
        for name in names:
            lower = self._linked(name)
            if lower is None:
                by_link = self._by_link() if by_link is None else by_link
                lower = by_link.get(name)
            if lower is None:
                reason = f"the layer below named {FOLDER}/{name} does not exist"
                places = " or ".join(str(home / FOLDER / name) for home in self._homes)
                raise StoreCorrupt(file, reason, hint=f"neither {places} nor the `link` file of a layer has the name")
            found.append(lower)
        layers = [layer_id, *(lower.layer for lower in found)]
        if len(set(layers)) != len(layers):
            twice = next(layer for layer in layers if layers.count(layer) > 1)
            raise StoreCorrupt(file, f"layer {twice} is below itself")
        return found

    def repair(self, lowers: Iterable[Lower]) -> list[Lower]:
        """Repair the links of these layers in `l`, and return the layers. Needs the store's write lock.

        Links of image stores are not repaired.
        """
        repaired = []
        for lower in lowers:
            if not lower.intact and not lower.home:
                self._point(lower.link, lower.layer)
                lower = Lower(lower.link, lower.layer)  # noqa: PLW2901 - the same layer
            repaired.append(lower)
        return repaired

    def make(self, layer_id: str) -> None:
        """Give a new layer a short name."""
        import base64

        name = base64.b32encode(os.urandom(17)).decode()[:_LENGTH]
        # The file comes first, because a removal after a crash finds the link through it.
        _write(self._home / layer_id / "link", name)
        self._point(name, layer_id)

    def below_child_of(self, layer_id: str) -> str:
        """Return the content of `lower` for a new layer based on this one. Needs the store's write lock.

        Raises:
            NotSupported: The new layer would have more than 500 layers below it.
            StoreCorrupt: The layer has lost its name, or its list of the layers below is damaged.
        """
        lowers = self.lowers(layer_id)
        if len(lowers) == MAX_LOWERS:
            raise NotSupported(f"layer {layer_id[:16]} already has {MAX_LOWERS} layers below it, which is the maximum")
        self.repair(lowers)
        return self.text([Lower(self._own_name(layer_id), layer_id), *lowers])

    @staticmethod
    def text(lowers: Iterable[Lower]) -> str:
        """Return the content of a `lower` file."""
        return ":".join(f"{FOLDER}/{lower.link}" for lower in lowers)

    def write_lower(self, layer_id: str, text: str) -> None:
        """Write the list of the layers below. A base layer has none."""
        if text:
            _write(self._home / layer_id / "lower", text)

    def path(self, layer_id: str) -> Path | None:
        """Return the layer's link, None if its name is lost or invalid, or if the link leads elsewhere."""
        with contextlib.suppress(StoreCorrupt):
            name = self._name_in_file(layer_id)
            home = self.home_of(layer_id)
            if name is not None and self._target(name, home, must_exist=False) == layer_id:
                return home / FOLDER / name
        return None

    def _own_name(self, layer_id: str) -> str:
        """Return the layer's name. If its `link` file is lost, take the name from `l` and rewrite the file.

        Nothing is repaired in an image store, so a layer there must have its `link` file or a link.
        """
        home = self.home_of(layer_id)
        name = self._name_in_file(layer_id)
        if name is None:
            name = next((name for name in self._names(home) if self._target(name, home) == layer_id), None)
            if name is None:
                raise StoreCorrupt(home / layer_id / "link", "the file is missing, and no link leads to the layer")
            if home == self._home:
                _write(home / layer_id / "link", name)
        if home == self._home and self._target(name, home) != layer_id:
            self._point(name, layer_id)
        return name

    def _name_in_file(self, layer_id: str, home: Path | None = None) -> str | None:
        file = (self.home_of(layer_id) if home is None else home) / layer_id / "link"
        text = _read(file)
        if text is None:
            return None
        name = text.strip("\n")
        if not _NAME.fullmatch(name):
            raise StoreCorrupt(file, f"{name[:40]!r} is not a short name of {_LENGTH} base32 characters")
        return name

    @staticmethod
    def _names(home: Path) -> list[str]:
        try:
            return sorted(name for name in os.listdir(home / FOLDER) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []

    def _linked(self, name: str) -> Lower | None:
        """Return the layer to which a link of this name leads, in the first store that has a valid link."""
        for home in self._homes:
            layer = self._target(name, home)
            if layer is not None:
                return Lower(name, layer, home=self._spelled(home))
        return None

    def _spelled(self, home: Path) -> str:
        return "" if home == self._home else str(home)

    @staticmethod
    def _target(name: str, home: Path, *, must_exist: bool = True) -> str | None:
        """Return the ID of the layer to which `l/<name>` leads, None if it is missing or leads to no layer.

        Only the text of the link counts, so a link to another link is wrong.
        """
        try:
            match = _TARGET.fullmatch(os.readlink(home / FOLDER / name))
        except OSError:  # missing, or not a symbolic link
            return None
        if match is None or not is_layer_name(match[1]):
            return None
        if must_exist and not os.path.isdir(home / match[1] / "diff"):
            return None
        return match[1]

    def _by_link(self) -> dict[str, Lower]:
        """Return the layers by the names in their `link` files. If two have one name, the earlier store wins."""
        names: dict[str, Lower] = {}
        for home in reversed(self._homes):
            with contextlib.suppress(OSError):
                for layer_id in sorted(filter(is_layer_name, os.listdir(home))):
                    with contextlib.suppress(StoreCorrupt, UnusableID, OSError):
                        name = self._name_in_file(file_name(layer_id), home)
                        if name is not None and os.path.isdir(home / layer_id / "diff"):
                            names[name] = Lower(name, layer_id, intact=False, home=self._spelled(home))
        return names

    def _point(self, name: str, layer_id: str) -> None:
        """Make `l/<name>` lead to the layer, atomically because other processes may read it."""
        folder = self._home / FOLDER
        if folder.is_symlink():
            raise StoreCorrupt(folder, "it must be a folder, not a symbolic link")
        if not folder.is_dir():
            os.mkdir(folder)
            os.chmod(folder, _FOLDER_MODE)
        target = os.path.join("..", layer_id, "diff")
        try:
            os.symlink(target, folder / name)
        except FileExistsError:
            fresh = folder / f".{name}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
            os.symlink(target, fresh)
            os.rename(fresh, folder / name)


def _lower_name(file: Path, part: str) -> str:
    folder, _, name = part.partition("/")
    if folder != FOLDER or not _NAME.fullmatch(name):
        raise StoreCorrupt(file, f"{part[:80]!r} names no layer; expected {FOLDER}/ and {_LENGTH} base32 characters")
    return name


def _read(file: Path) -> str | None:
    try:
        with open_file(file) as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise StoreCorrupt(file, "it is not a file") from error
    if len(data) > _MAX_BYTES:
        raise StoreCorrupt(file, f"it is longer than {_MAX_BYTES:,} bytes")
    return data.decode("ascii", "backslashreplace")


def _write(file: Path, text: str) -> None:
    write_file(str(file), text.encode("ascii"), mode=_FILE_MODE, sync=False)
