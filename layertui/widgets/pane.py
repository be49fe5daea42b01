"""A pane of the browser, with a title in its border."""

from __future__ import annotations

from typing import Self

from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region


class Pane(Vertical):
    """Draws no more than its upper border when it gets another title: what is in it stays as it is."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id, classes=classes)
        self._title = ""
        self._titling = False

    def put_title(self, title: str) -> None:
        """Take a title, which must be fit for the screen."""
        if title != self._title:
            self._title = title
            self._titling = True
            self.border_title = Content(title)
            self._titling = False

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Draw anew: of a title only its line."""
        if self._titling:
            regions = (Region(-1, -1, self.outer_size.width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
