"""Tests of the channel between two threads and of the hashing thread."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

import pytest

from layerstore.archive.threads import DEPTH, Channel, ChannelClosed, HashThread

SOON = 5.0


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run `work` in a thread. Its result or exception is added to the list."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def put_all(channel: Channel[int], count: int) -> None:
    for number in range(count):
        channel.put(number)
    channel.finish()


def test_items_arrive_in_order_and_the_end_is_permanent() -> None:
    channel: Channel[int] = Channel()
    thread, _ = in_thread(lambda: put_all(channel, 1000))
    assert list(iter(channel.get, None)) == list(range(1000))
    assert channel.get() is None
    assert channel.get() is None
    thread.join(SOON)
    assert not thread.is_alive()


def test_a_channel_holds_at_most_its_depth() -> None:
    channel: Channel[int] = Channel(depth=2)
    done: list[int] = []

    def put() -> None:
        for number in range(6):
            channel.put(number)
            done.append(number)

    thread, _ = in_thread(put)
    time.sleep(0.05)
    assert done == [0, 1]
    channel.get()
    time.sleep(0.05)
    assert done == [0, 1, 2]
    channel.close()
    thread.join(SOON)
    assert not thread.is_alive()


def test_an_error_is_raised_after_the_items_and_repeatedly() -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.fail(OSError("broken"))
    assert channel.get() == 1
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            channel.get()


def test_get_times_out() -> None:
    with pytest.raises(TimeoutError):
        Channel[int]().get(timeout=0.01)


def test_close_wakes_a_blocked_put_and_later_ones_fail() -> None:
    channel: Channel[int] = Channel()
    thread, outcome = in_thread(lambda: put_all(channel, DEPTH + 1))
    time.sleep(0.02)
    channel.close()
    channel.close()
    thread.join(SOON)
    assert isinstance(outcome[0], ChannelClosed)
    for _ in range(DEPTH + 2):
        with pytest.raises(ChannelClosed):
            channel.put(1)


def test_close_wakes_a_blocked_get_and_later_ones_fail() -> None:
    channel: Channel[int] = Channel()
    thread, outcome = in_thread(channel.get)
    time.sleep(0.02)
    channel.close()
    thread.join(SOON)
    assert isinstance(outcome[0], ChannelClosed)
    for _ in range(3):
        with pytest.raises(ChannelClosed):
            channel.get(timeout=0.1)


def test_hashes_are_those_of_hashlib() -> None:
    hashes = HashThread(streams=2)
    for number in range(50):
        hashes.put(b"%d" % number)
        hashes.put(memoryview(b"other"), 1)
    hashes.finish()
    whole = [b"".join(b"%d" % number for number in range(50)), b"other" * 50]
    assert hashes.digests == [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in whole]
    assert hashes.sizes == [len(data) for data in whole]
    hashes.close()
    hashes.close()


def test_closing_ends_the_thread_and_drops_remaining_work() -> None:
    before = threading.active_count()
    hashes = HashThread()
    for _ in range(DEPTH):
        hashes.put(bytes(1 << 20))
    hashes.close()
    assert threading.active_count() == before
    with pytest.raises(ChannelClosed):
        hashes.put(b"")


def test_an_error_while_hashing_is_raised_and_nothing_blocks() -> None:
    hashes = HashThread()

    def put() -> None:
        for _ in range(DEPTH + 2):
            hashes.put("no bytes")  # type: ignore[arg-type]

    thread, outcome = in_thread(put)
    thread.join(SOON)
    assert isinstance(outcome[0], TypeError)
    with pytest.raises(TypeError):
        hashes.finish()
    hashes.close()
