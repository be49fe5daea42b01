"""Columns of values, one per row. Marks are columns of bytes: 1 for a marked row, 0 for others."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

_Value = TypeVar("_Value")
_Value_co = TypeVar("_Value_co", covariant=True)


class Column(Protocol[_Value_co]):
    """A value for each row, which may be computed on access."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Value_co]: ...
    def __getitem__(self, row: int, /) -> _Value_co: ...


class Picked(Generic[_Value]):
    """The values of a column in some of its rows, looked up on access."""

    def __init__(self, column: Column[_Value], numbers: Sequence[int]) -> None:
        self.column = column
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[_Value]:
        return map(self.column.__getitem__, self.numbers)

    def __getitem__(self, place: int, /) -> _Value:
        return self.column[self.numbers[place]]


_numbers = array("i")


def numbers_to(count: int) -> array[int]:
    """Return an array of the numbers from 0 to at least `count` - 1, shared by all callers because slicing is fast."""
    global _numbers  # noqa: PLW0603 - grows when more numbers are needed
    if len(_numbers) < count:
        _numbers = array("i", range(count))
    return _numbers


def both(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return marks for the rows that are marked in both of two columns."""
    together = int.from_bytes(one, "little") & int.from_bytes(other, "little")
    return together.to_bytes(len(one), "little")


def either(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return marks for the rows that are marked in at least one of two columns."""
    together = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return together.to_bytes(len(one), "little")


def neither(marks: bytes | bytearray) -> bytes:
    """Return marks for the rows that are not marked."""
    return bytes(marks).translate(_INVERTED)


_INVERTED = bytes([1]) + bytes(255)
