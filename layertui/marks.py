"""Marks of many rows, a byte each: 1 where a row is meant, 0 where not."""

from __future__ import annotations


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
