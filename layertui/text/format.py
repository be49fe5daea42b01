"""Sizes, ages, rates and counts as people read them. Plain functions of plain values; no clock of their own."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from humanize import intcomma, naturalsize

_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)

_SPANS = (
    (365 * 86400, "y", "year"),
    (30 * 86400, "mo", "month"),
    (7 * 86400, "w", "week"),
    (86400, "d", "day"),
    (3600, "h", "hour"),
    (60, "m", "minute"),
)

UNKNOWN = "–"
"""Shown where nobody has looked yet."""


def size_text(size: int | None) -> str:
    """Return a size in at most eight characters: one decimal, so that points stand below each other, powers of ten."""
    if size is None:
        return UNKNOWN
    return f"{size} B" if abs(size) < 1000 else naturalsize(size, format="%.1f")


def exact_size(size: int | None) -> str:
    """Return a size for a place with room: rounded, and to the byte."""
    if size is None:
        return UNKNOWN
    return size_text(size) if abs(size) < 1000 else f"{size_text(size)} ({intcomma(size)} bytes)"


def parse_size(text: str) -> int | None:
    """Read a size that somebody typed ("100MB", "1.5 GiB", "4k"); None when it is not one."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, prefix, binary = match.groups()
    factor = (_BINARY if binary else _DECIMAL)[prefix.lower()]
    return round(float(number) * factor)


def age_text(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was, in at most four characters ("5m", "3h", "2mo"); UNKNOWN without a time."""
    if then is None:
        return UNKNOWN
    seconds = _seconds(then, now)
    for span, short, _ in _SPANS:
        if seconds >= span:
            return f"{int(seconds // span)}{short}"
    return "now"


def time_text(then: datetime | None, now: datetime) -> str:
    """Return a point in time for a place with room: date, time, zone and how long ago."""
    if then is None:
        return UNKNOWN
    aware = _aware(then)
    stamp = f"{aware:%Y-%m-%d %H:%M:%S} {aware.tzname() or ''}".rstrip()
    seconds = _seconds(then, now)
    for span, _, name in _SPANS:
        if seconds >= span:
            return f"{stamp} ({plural(int(seconds // span), name)} ago)"
    return f"{stamp} (just now)"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return "1 layer", "2 layers"; thousands are set apart."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def duration_text(seconds: float) -> str:
    """Return how long something takes ("0.4 s", "12 s", "3 min 5 s", "2 h 10 min")."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate_text(size: float, seconds: float) -> str:
    """Return a speed ("85.0 MB/s"); "" while too little time has passed to tell."""
    return f"{size_text(round(size / seconds))}/s" if seconds >= 0.2 else ""


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(then: datetime, now: datetime) -> float:
    return (_aware(now) - _aware(then)).total_seconds()
