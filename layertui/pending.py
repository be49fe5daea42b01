"""A file that is written aside and takes its name when it is complete."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Self


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
        self._mode = 0o644
        if not self._overwrite:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            self._mode = os.fstat(descriptor).st_mode & 0o777
            os.close(descriptor)
        elif self._path.exists():
            self._mode = self._path.stat().st_mode & 0o777
        try:
            descriptor, self._aside = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name[:80]}.")
        except OSError:
            self._give_back()
            raise
        self.file: BinaryIO = os.fdopen(descriptor, "wb")
        return self

    def commit(self) -> None:
        """Put the file in its place, once all that was written is on disk."""
        self.file.flush()
        os.fchmod(self.file.fileno(), self._mode)
        os.fsync(self.file.fileno())
        os.replace(self._aside, self._path)
        self._committed = True

    def __exit__(self, *details: object) -> None:
        self.file.close()
        if not self._committed:
            Path(self._aside).unlink(missing_ok=True)
            self._give_back()

    def _give_back(self) -> None:
        if not self._overwrite:
            self._path.unlink(missing_ok=True)
