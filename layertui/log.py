"""The log: what failed, with tracebacks, in a rotating file in the user's state folder."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from platformdirs import user_state_path

_LARGEST = 1 << 20
_KEPT = 2  # older files
_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
_LOGGERS = ("layerstore", "layertui")

_started: list[_LogFile] = []


class _LogFile(RotatingFileHandler):
    """A log file that only its user can read. It is created with its first record, or silently not at all.

    A log that cannot be written must never disturb the program or its screen.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "a", _LARGEST, _KEPT, encoding="utf-8", delay=True, errors="backslashreplace")
        self.setFormatter(logging.Formatter(_FORMAT))
        self.failed = False

    def _open(self):  # type: ignore[no-untyped-def]
        os.makedirs(os.path.dirname(self.baseFilename), mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return open(descriptor, self.mode, encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as in logging
        """Remember that the log cannot be written."""
        del record
        self.failed = True


def start_log(path: Path | None = None) -> None:
    """Write what the program and the store log to a file, by default `layertui.log` in the user's state folder."""
    stop_log()
    handler = _LogFile(path or user_state_path("layertui") / "layertui.log")
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # a record on standard error would garble the screen
    _started.append(handler)


def stop_log() -> None:
    """Close the log."""
    while _started:
        handler = _started.pop()
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            logger.removeHandler(handler)
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
        handler.close()


def log_file() -> Path | None:
    """Return the file that the log is written to, None if there is no log or it cannot be written."""
    handler = _started[0] if _started else None
    return Path(handler.baseFilename) if handler is not None and not handler.failed else None
