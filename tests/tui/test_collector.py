"""When the garbage collector works."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from layertui.collector import Collector

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 collects by and by, and has no full collections"
)


@pytest.fixture
def full() -> Iterator[list[int]]:
    """Yield a list that gets an entry with each full collection."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            seen.append(info["collected"])

    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)


async def test_a_full_collection_waits_for_a_picture(full: list[int]) -> None:
    collector = Collector()
    collector.begin()
    keep: list[list[object]] = []
    while gc.get_count()[2] <= 10:
        circle: list[object] = []
        circle.append(circle)
        keep.append(circle)
    assert not full, "it came by itself"
    collector.drawn()
    collector.drawn()
    assert not full, "the picture has not left yet"
    keep.clear()
    await asyncio.sleep(0.1)
    assert len(full) == 1
    assert full[0] > 1000
    collector.drawn()
    await asyncio.sleep(0.1)
    assert len(full) == 1, "nothing is due"


async def test_nothing_is_collected_before_the_browser_has_begun(full: list[int]) -> None:
    gc.set_threshold(10, 1, 1_000_000)
    keep: list[list[object]] = []
    while gc.get_count()[2] <= 10:
        keep.append([])
    Collector().drawn()
    await asyncio.sleep(0.1)
    assert not full
