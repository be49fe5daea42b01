"""When Python's garbage collector works: after a picture, never in the middle of one.

Each line that Textual draws refers to itself, so that a page of lines is freed by the collector only. A full collection
takes 20 to 50 ms, which one sees where it lies between a key and its picture, and does not see after it.
"""

from __future__ import annotations

import asyncio
import gc

_YOUNG, _MIDDLE = 700, 10  # Python's own
_DUE = 10  # collections of the middle generation until a full one is due, Python's own as well
_OVERDUE = 100  # until there is one in any case: while nothing is drawn, or without a pause
_WRITTEN = 0.005  # seconds after which a picture has left for the terminal


class Collector:
    """Lets the collector work between pictures; `__main__` has turned it off for the time of the start."""

    def __init__(self) -> None:
        self._begun = self._planned = False

    def begin(self) -> None:
        """Take what is there by now out of the collector's sight: it is here to stay, and large. Then start it."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _OVERDUE)
        gc.enable()
        self._begun = True

    def drawn(self) -> None:
        """Plan a full collection if one is due; called on the event loop after each picture."""
        if self._begun and not self._planned and gc.get_count()[2] > _DUE:
            self._planned = True
            asyncio.get_running_loop().call_later(_WRITTEN, self._collect)

    def _collect(self) -> None:
        self._planned = False
        gc.collect()
