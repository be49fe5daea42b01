"""The lock files of all drivers' stores below one graph root."""

from __future__ import annotations

from pathlib import Path

from layerstore.errors import LockTimeout
from layerstore.linux.lockfile import first_busy


def busy_lock(graph_root: str) -> LockTimeout | None:
    """Return the error that a reader of the store would get from the first busy lock, or None if all are free.

    Creates no file and does not wait.
    """
    root = Path(graph_root)
    return first_busy((root / "storage.lock", *sorted(root.glob("*-*/*.lock"))))
