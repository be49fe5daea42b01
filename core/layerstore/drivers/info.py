"""The entry of a driver in the table of drivers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """The facts about a driver that are known without importing it.

    Attributes:
        name: Its name in paths of the store, such as "vfs".
        options: The names of its options, as in "mountopt" for "overlay.mountopt".
        load: Imports and returns its class.
        former_names: Names by which storage.conf may still call it.
    """

    name: str
    options: frozenset[str]
    load: Callable[[], type[Driver]]
    former_names: tuple[str, ...] = ()
