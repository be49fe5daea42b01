"""What a panel is: a folder with a widget, and one line in `PANELS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from layertui.keys.actions import Actions

if TYPE_CHECKING:
    from layertui.panels.widget import Panel


class Sign(NamedTuple):
    """A sign that the screen draws, the style it is drawn in, and its meaning."""

    text: str
    style: str
    meaning: str


@dataclass(frozen=True, slots=True)
class PanelInfo:
    """A panel of the main screen.

    Nothing here imports the panel's widget, so the first frame does not wait for it.

    Attributes:
        id: the panel's ID, also in the settings and the session.
        title: its title.
        key: the key that shows it.
        help: one sentence for the help.
        load: imports and returns its widget.
        places: its actions, by the places in it that can have the focus, the main one first.
        legend: the signs that it draws.
    """

    id: str
    title: str
    key: str
    help: str
    load: Callable[[], type[Panel]]
    places: Mapping[str, tuple[Actions, ...]]
    legend: tuple[Sign, ...] = ()
