"""A pane with a title in its border."""

from __future__ import annotations

from typing import Self

from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region


class Pane(Vertical):
    """A pane that redraws only its top border when its title changes."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes=classes)
        self._title = ""
        self._titling = False

    def put_title(self, title: str) -> None:
        """Set the title, which must be printable."""
        if title != self._title:
            self._title = title
            self._titling = True
            self.border_title = Content(title)
            self._titling = False

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Redraw the pane, or only the top border while the title changes."""
        if self._titling:
            regions = (Region(-1, -1, self.outer_size.width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
