"""Threads that work on one stream: a bounded channel between two of them, and one that hashes.

A thread of this module belongs to the object that started it and has ended when that object is closed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 4
"""Pieces of up to 1 MiB that wait in a channel at most."""


class ChannelClosed(Exception):
    """The other side has gone; there is nobody to work for."""


class Channel(Generic[T]):
    """A queue of at most `depth` items between one thread that puts and one that gets.

    Either side may end it: the putting side by `finish` or `fail`, after which the items in it are still given out; the
    getting side by `close`, which wakes a blocked `put`. Two of the C library's queues, one with the items and one with
    the free places, hand over in a third of the time of a condition variable, which would cost a diff all it gains.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._places.put(None)
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item, waiting for room.

        Raises:
            ChannelClosed: The getting side has closed the channel.
        """
        if not self._closed:
            self._places.get()
        if self._closed:
            raise ChannelClosed
        self._items.put(item)

    def get(self, timeout: float | None = None) -> T | None:
        """Return the next item, or None at the end of the stream.

        Raises:
            TimeoutError: There was none for `timeout` seconds.
            ChannelClosed: The channel was closed.
            BaseException: Whatever the putting side has failed with.
        """
        if self._closed:
            raise ChannelClosed
        try:
            item = self._items.get(timeout=timeout)
        except Empty:
            raise TimeoutError from None
        if self._closed:
            raise ChannelClosed
        if item is None:
            self._items.put(None)  # the end stays the end, however often it is asked for
            if self._error is not None:
                raise self._error
            return None
        self._places.put(None)
        return item

    def finish(self) -> None:
        """Say that no item follows."""
        self._items.put(None)

    def fail(self, error: BaseException) -> None:
        """Say that no item follows because of an error, which the getting side then raises."""
        self._error = error
        self.finish()

    def close(self) -> None:
        """Let every `put` and `get` fail, a blocked one at once; doing so again does nothing."""
        self._closed = True
        self._places.put(None)
        self._items.put(None)


class HashThread:
    """Computes SHA-256 digests and lengths of several streams at once, on a thread of its own.

    `put` may come from any one thread; `finish` waits for the rest of the work, `close` drops it. Should hashing itself
    fail, both of the first raise that error.
    """

    def __init__(self, streams: int = 1) -> None:
        self._hashes = [hashlib.sha256() for _ in range(streams)]
        self._sizes = [0] * streams
        self._error: BaseException | None = None
        self._work: Channel[tuple[int, bytes | memoryview]] = Channel()
        self._thread = threading.Thread(target=self._run, name="layerstore-hash", daemon=True)
        self._thread.start()

    def put(self, data: bytes | memoryview, stream: int = 0) -> None:
        """Add bytes to a stream; they must not change afterwards.

        Raises:
            ChannelClosed: `close` was called.
        """
        try:
            self._work.put((stream, data))
        except ChannelClosed:
            self._raise_error()
            raise

    def finish(self) -> None:
        """Wait until everything is hashed."""
        self._work.finish()
        self._thread.join()
        self._raise_error()

    def close(self) -> None:
        """End the thread, whatever is still to be hashed; doing so again does nothing."""
        self._work.close()
        # A reader that nobody closed is closed by the garbage collector, which may run in any thread, in this one too.
        if self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def digests(self) -> Sequence[str]:
        """The digest of each stream, as "sha256:" and 64 hex digits; right once `finish` has returned."""
        return [f"sha256:{value.hexdigest()}" for value in self._hashes]

    @property
    def sizes(self) -> Sequence[int]:
        """The bytes of each stream; right once `finish` has returned."""
        return list(self._sizes)

    def _run(self) -> None:
        try:
            while (item := self._work.get()) is not None:
                stream, data = item
                self._hashes[stream].update(data)
                self._sizes[stream] += len(data)
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that has bytes hashed
            self._error = error
            self._work.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
