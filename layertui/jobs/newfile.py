"""Writes a file that the user named, and reserves the name while it is being written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Self

from layerstore import PendingFile


class NewFile:
    """A new file that is complete after `commit`, and leaves nothing behind if its `with` block ends without one.

    Without `overwrite`, entering the block creates an empty file under the name. So an existing file is noticed before
    the work begins, and no other process can take the name in the meantime.

    Raises:
        FileExistsError: On entering, if the file exists and `overwrite` is False.
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
            self._pending = PendingFile(str(self._path), mode=mode)
        except OSError:
            self._give_back()
            raise
        self.file: BinaryIO = self._pending.file
        return self

    def commit(self) -> None:
        """Sync the file to disk, and rename it into place."""
        self._pending.commit()
        self._committed = True

    def __exit__(self, *details: object) -> None:
        if not self._committed:
            self._pending.abort()
            self._give_back()

    def _give_back(self) -> None:
        if not self._overwrite:
            self._path.unlink(missing_ok=True)
