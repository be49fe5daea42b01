"""Threads for processing a stream: a bounded channel between two of them, and one that hashes.

A thread started here belongs to the object that started it and has ended by the time that object is closed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 4
"""How many items a channel holds by default. The items are pieces of up to 1 MiB."""


class ChannelClosed(Exception):
    """The other side has closed the channel."""


class Channel(Generic[T]):
    """A queue of up to `depth` items between one thread that puts and one that gets.

    The putting side ends it with `finish` or `fail`, after which `get` still returns the items in the queue. The
    getting side ends it with `close`, which wakes a blocked `put`. The channel consists of two SimpleQueues, one with
    the items and one with the free slots, because they hand over an item three times as fast as a condition variable.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._places.put(None)
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item, waiting until there is room.

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
            TimeoutError: No item arrived within `timeout` seconds.
            ChannelClosed: The channel was closed.
            BaseException: The error that the putting side passed to `fail`.
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
            self._items.put(None)  # so that every later call ends as well
            if self._error is not None:
                raise self._error
            return None
        self._places.put(None)
        return item

    def finish(self) -> None:
        """Signal the end of the stream."""
        self._items.put(None)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error, which `get` raises after the remaining items."""
        self._error = error
        self.finish()

    def close(self) -> None:
        """Make every `put` and `get` fail, including blocked ones. A second call has no effect."""
        self._closed = True
        self._places.put(None)
        self._items.put(None)


class HashThread:
    """A thread that computes the SHA-256 digests and lengths of one or more streams.

    A single thread may call `put`. `finish` waits for the remaining work, `close` drops it. If hashing fails, `put` and
    `finish` raise the error.
    """

    def __init__(self, streams: int = 1) -> None:
        self._hashes = [hashlib.sha256() for _ in range(streams)]
        self._sizes = [0] * streams
        self._error: BaseException | None = None
        self._work: Channel[tuple[int, bytes | memoryview]] = Channel()
        self._thread = threading.Thread(target=self._run, name="layerstore-hash", daemon=True)
        self._thread.start()

    def put(self, data: bytes | memoryview, stream: int = 0) -> None:
        """Add bytes to a stream. They must not change afterwards.

        Raises:
            ChannelClosed: `close` was called.
        """
        try:
            self._work.put((stream, data))
        except ChannelClosed:
            self._raise_error()
            raise

    def finish(self) -> None:
        """Wait until everything has been hashed."""
        self._work.finish()
        self._thread.join()
        self._raise_error()

    def close(self) -> None:
        """Stop the thread and drop any remaining work. A second call has no effect."""
        self._work.close()
        # The garbage collector closes a reader that was left open, and it may run in any thread, including this one.
        if self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def digests(self) -> Sequence[str]:
        """The digest of each stream, as "sha256:" and 64 hex digits. Final once `finish` has returned."""
        return [f"sha256:{value.hexdigest()}" for value in self._hashes]

    @property
    def sizes(self) -> Sequence[int]:
        """The length of each stream in bytes. Final once `finish` has returned."""
        return list(self._sizes)

    def _run(self) -> None:
        try:
            while (item := self._work.get()) is not None:
                stream, data = item
                self._hashes[stream].update(data)
                self._sizes[stream] += len(data)
        except ChannelClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - `put` and `finish` raise it again
            self._error = error
            self._work.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
