"""Marks of many rows, a byte each: 1 where a row is meant, 0 where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import TypeVar

_Value = TypeVar("_Value")


def both(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return what is marked in both of two sets of marks for the same rows."""
    together = int.from_bytes(one, "little") & int.from_bytes(other, "little")
    return together.to_bytes(len(one), "little")


def either(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return what is marked in one of two sets of marks for the same rows, or in both."""
    together = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return together.to_bytes(len(one), "little")


def neither(marks: bytes | bytearray) -> bytes:
    """Return what is not marked."""
    return bytes(marks).translate(_TURNED)


def picked(column: Sequence[_Value], numbers: Sequence[int], marks: Sequence[int]) -> Iterator[_Value]:
    """Return a column's values in the marked rows, whose numbers are `numbers`, the quicker way for so many."""
    return map(column.__getitem__, numbers) if few(numbers, marks) else compress(column, marks)


def few(numbers: Sequence[int], marks: Sequence[int]) -> bool:
    """Tell whether so few rows are marked that looking each up is quicker than going through all."""
    return len(numbers) * 8 < len(marks)


_TURNED = bytes([1]) + bytes(255)
