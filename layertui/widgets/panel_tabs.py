"""The tabs that switch panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from textual.message import Message
from textual.reactive import reactive

from layertui.widgets.spots import Spot, SpotLine


@dataclass(frozen=True, slots=True)
class PanelTab:
    """The ID, the key and the title of a panel."""

    id: str
    number: str
    title: str


class PanelTabs(SpotLine):
    """One line of tabs. A click posts `Wanted`. A narrow line has smaller gaps, and a narrower one no numbers."""

    DEFAULT_CSS = """
    PanelTabs {
        margin-bottom: 1;
        & .tabs--number { color: $foreground 60%; }
        & .tabs--title { color: $foreground 70%; }
        & .tabs--number-active { color: $accent; text-style: bold; }
        & .tabs--title-active { color: $accent; text-style: bold underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tabs--number",
        "tabs--title",
        "tabs--number-active",
        "tabs--title-active",
    }

    ROOMY = SpotLine.GAP

    active: reactive[str] = reactive("")

    class Wanted(Message):
        """The user has clicked a tab."""

        def __init__(self, tabs: PanelTabs, panel_id: str) -> None:
            self.tabs = tabs
            self.panel_id = panel_id
            super().__init__()

        @property
        def control(self) -> PanelTabs:
            """The tabs."""
            return self.tabs

    def __init__(self, tabs: Sequence[PanelTab], *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self._tabs = tuple(tabs)

    def spots(self) -> list[Spot]:
        """Return one spot per panel."""
        names = sum(cell_len(tab.title) + 1 for tab in self._tabs)
        numbers = sum(cell_len(tab.number) for tab in self._tabs)
        room = self.size.width
        roomy = names + numbers + self.ROOMY * len(self._tabs) <= room
        self.GAP = self.ROOMY if roomy else 1
        numbered = names + numbers <= room
        return [
            Spot(
                (
                    (tab.number * numbered + " " * roomy, f"tabs--number{self._suffix(tab)}"),
                    (tab.title, f"tabs--title{self._suffix(tab)}"),
                ),
                self._asker(tab),
                f"Show {tab.title} (key {tab.number})",
            )
            for tab in self._tabs
        ]

    def _suffix(self, tab: PanelTab) -> str:
        return "-active" if tab.id == self.active else ""

    def _asker(self, tab: PanelTab) -> Callable[[], object]:
        return partial(self.post_message, self.Wanted(self, tab.id))
