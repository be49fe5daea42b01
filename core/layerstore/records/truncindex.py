"""Layers by the beginning of their IDs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable


class TruncIndex:
    """A sorted list of IDs that answers which of them begin with a prefix (pkg/truncindex).

    Looking up takes O(log n); the list is built once and does not change.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = sorted(ids)

    def matches(self, prefix: str, *, limit: int = 16) -> list[str]:
        """Return up to `limit` IDs that begin with `prefix`, in order. An empty prefix matches none."""
        if not prefix:
            return []
        start = bisect_left(self._ids, prefix)
        found: list[str] = []
        for layer_id in self._ids[start : start + limit]:
            if not layer_id.startswith(prefix):
                break
            found.append(layer_id)
        return found
