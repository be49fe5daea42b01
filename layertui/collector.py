"""Garbage collection right after a frame is drawn, so that none delays the frame that follows a key press.

The lines that Textual draws are reference cycles, which only the collector frees. A page of them is a few thousand
objects, which take a few milliseconds to collect; a full collection takes 20 to 50 ms.
"""

from __future__ import annotations

import asyncio
import gc

_AUTOMATIC = (20_000, 10, 10)  # thresholds of the automatic collection; a frame stays below, a busy thread may not
_DUE = (700, 4, 4)  # counts of the three generations from which on a frame is followed by a collection
_WRITTEN = 0.005  # seconds until a frame has been written to the terminal


class Collector:
    """Runs the garbage collector between frames. `__main__` disables it during start-up."""

    def __init__(self) -> None:
        self._begun = self._planned = False

    def begin(self) -> None:
        """Exclude the objects that exist now from collection, because most of them stay, and enable the collector."""
        gc.freeze()
        gc.set_threshold(*_AUTOMATIC)
        gc.enable()
        self._begun = True

    def drawn(self) -> None:
        """Schedule a collection if one is due. Call this on the event loop after each frame."""
        if self._begun and not self._planned and gc.get_count()[0] >= _DUE[0]:
            self._planned = True
            asyncio.get_running_loop().call_later(_WRITTEN, self._collect)

    def _collect(self) -> None:
        self._planned = False
        _, middle, old = gc.get_count()
        gc.collect(2 if old >= _DUE[2] else 1 if middle >= _DUE[1] else 0)
