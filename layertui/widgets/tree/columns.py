"""Columns: one value a row, of many rows. Marks are columns of bytes: 1 where a row is meant, 0 where not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

_Value = TypeVar("_Value")
_Value_co = TypeVar("_Value_co", covariant=True)


class Column(Protocol[_Value_co]):
    """A value for each row, by its number; may be made up when it is asked for."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Value_co]: ...
    def __getitem__(self, row: int, /) -> _Value_co: ...


class Picked(Generic[_Value]):
    """The values of a column in some of its rows, given by their numbers; each is looked up when it is asked for."""

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
    """Return the numbers from 0 to at least `count` - 1; whoever takes a slice of them has it at once."""
    global _numbers  # noqa: PLW0603 - made once, and larger when more are needed
    if len(_numbers) < count:
        _numbers = array("i", range(count))
    return _numbers


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


_TURNED = bytes([1]) + bytes(255)
