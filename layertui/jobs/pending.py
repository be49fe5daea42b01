"""A file that somebody asked for by name: written aside, and the name kept free for it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Self

from layerstore.linux import atomic


class PendingFile:
    """A new file: complete after `commit`, and without a trace when its `with` block ends before.

    Without `overwrite` the name is taken at once, so that a file which is there is found before the work begins, and
    nobody else can take the name meanwhile.

    Raises:
        FileExistsError: on entering, when another file has the name and `overwrite` is False.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path = path
        self._overwrite = overwrite
        self._committed = False

    def __enter__(self) -> Self:
        mode = 0o644
        if not self._overwrite:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            mode = os.fstat(descriptor).st_mode & 0o777
            os.close(descriptor)
        elif self._path.exists():
            mode = self._path.stat().st_mode & 0o777
        try:
            self._pending = atomic.PendingFile(str(self._path), mode=mode)
        except OSError:
            self._give_back()
            raise
        self.file: BinaryIO = self._pending.file
        return self

    def commit(self) -> None:
        """Put the file in its place, once all that was written is on disk."""
        self._pending.commit()
        self._committed = True

    def __exit__(self, *details: object) -> None:
        if not self._committed:
            self._pending.abort()
            self._give_back()

    def _give_back(self) -> None:
        if not self._overwrite:
            self._path.unlink(missing_ok=True)
