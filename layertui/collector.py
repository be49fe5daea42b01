"""When Python's garbage collector works: after a picture, never between a key and its picture.

Each line that Textual draws refers to itself, so that only the collector frees it: a page of them is some thousand
objects, which takes a few milliseconds, and a full collection 20 to 50. After the picture nobody waits for it.
"""

from __future__ import annotations

import asyncio
import gc

_MANY = (20_000, 10, 10)  # until it works unasked: more than a picture needs, for threads that make much at once
_DUE = (700, 4, 4)  # from here on it works after a picture; of both, the count of each generation
_WRITTEN = 0.005  # seconds after which a picture has left for the terminal


class Collector:
    """Lets the collector work between pictures; `__main__` has turned it off for the time of the start."""

    def __init__(self) -> None:
        self._begun = self._planned = False

    def begin(self) -> None:
        """Take what is there by now out of the collector's sight: it is here to stay, and large. Then start it."""
        gc.freeze()
        gc.set_threshold(*_MANY)
        gc.enable()
        self._begun = True

    def drawn(self) -> None:
        """Plan a collection of what is due; called on the event loop after each picture."""
        if self._begun and not self._planned and gc.get_count()[0] >= _DUE[0]:
            self._planned = True
            asyncio.get_running_loop().call_later(_WRITTEN, self._collect)

    def _collect(self) -> None:
        self._planned = False
        _, middle, old = gc.get_count()
        gc.collect(2 if old >= _DUE[2] else 1 if middle >= _DUE[1] else 0)
