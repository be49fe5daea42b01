"""Tests of when the garbage collector runs."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from layertui.app import Collector

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 collects incrementally and has other generations"
)


@pytest.fixture
def collected() -> Iterator[list[tuple[int, int]]]:
    """Yield a list to which each collection appends its generation and the number of objects it freed."""
    seen: list[tuple[int, int]] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append((info["generation"], info["collected"]))

    thresholds = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)


def draw_frame() -> None:
    """Create reference cycles, as drawing a frame does."""
    for _ in range(3000):
        circle: list[object] = []
        circle.append(circle)


async def test_it_collects_after_a_frame_and_not_before(collected: list[tuple[int, int]]) -> None:
    collector = Collector()
    collector.begin()
    keep = [[number] for number in range(4000)]  # two frames stay below the automatic threshold
    draw_frame()
    collector.drawn()
    collector.drawn()
    assert not collected, "the frame has not been written yet"
    await asyncio.sleep(0.1)
    ((generation, count),) = collected
    assert generation == 0
    assert count >= 3000
    collector.drawn()
    await asyncio.sleep(0.1)
    assert len(collected) == 1, "nothing is due"
    assert len(keep) == 4000


async def test_older_generations_are_collected_less_often(collected: list[tuple[int, int]]) -> None:
    collector = Collector()
    collector.begin()
    for _ in range(30):
        draw_frame()
        collector.drawn()
        await asyncio.sleep(0.02)
    generations = [generation for generation, _ in collected]
    assert [generations.count(number) for number in range(3)] == [24, 5, 1]


async def test_nothing_is_collected_before_the_browser_has_begun(collected: list[tuple[int, int]]) -> None:
    gc.set_threshold(100_000, 10, 10)
    draw_frame()
    Collector().drawn()
    await asyncio.sleep(0.1)
    assert not collected
