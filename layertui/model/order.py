"""The orders of the list, apart from what sorts by them: the settings name one before there is a screen."""

from __future__ import annotations

from enum import Enum


class Order(Enum):
    """The orders of the list; all but TREE are flat, the largest, newest or first name on top."""

    TREE = "tree"
    SIZE = "size"
    TOTAL = "total"
    AGE = "age"
    NAME = "name"

    @property
    def next(self) -> Order:
        """The order that comes after this one in the cycle."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]
