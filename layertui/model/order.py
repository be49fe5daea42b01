"""The sort orders of the layer list, in a module that the settings can import before the first frame."""

from __future__ import annotations

from enum import Enum


class Order(Enum):
    """The sort orders of the layer list.

    All but `TREE` list the layers without a hierarchy: the largest or newest first, or by name.
    """

    TREE = "tree"
    SIZE = "size"
    TOTAL = "total"
    AGE = "age"
    NAME = "name"

    @property
    def next(self) -> Order:
        """The next order in the cycle."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]
