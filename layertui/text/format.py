"""Formatting of sizes, ages, rates and counts."""

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
"""Shown for an unknown value."""


def size_text(size: int | None) -> str:
    """Return a size in at most eight characters, with a decimal unit and one decimal place so that columns align."""
    if size is None:
        return UNKNOWN
    return f"{size} B" if abs(size) < 1000 else naturalsize(size, format="%.1f")


def exact_size(size: int | None) -> str:
    """Return a rounded size followed by the exact number of bytes."""
    if size is None:
        return UNKNOWN
    return size_text(size) if abs(size) < 1000 else f"{size_text(size)} ({intcomma(size)} bytes)"


def parse_size(text: str) -> int | None:
    """Return the bytes of a typed size such as "100MB", "1.5 GiB" or "4k", None if it is invalid."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, prefix, binary = match.groups()
    factor = (_BINARY if binary else _DECIMAL)[prefix.lower()]
    return round(float(number) * factor)


def age_text(then: datetime | None, now: datetime) -> str:
    """Return an age in at most four characters, such as "5m", "3h" or "2mo", or `UNKNOWN` if `then` is None."""
    if then is None:
        return UNKNOWN
    seconds = _seconds(then, now)
    for span, short, _ in _SPANS:
        if seconds >= span:
            return f"{int(seconds // span)}{short}"
    return "now"


def time_text(then: datetime | None, now: datetime) -> str:
    """Return the date, the time, the time zone and the age, or `UNKNOWN` if `then` is None."""
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
    """Return a count with its noun, such as "1 layer" or "2,000 layers".

    `many` is an irregular plural.
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def duration_text(seconds: float) -> str:
    """Return a duration, such as "0.4 s", "12 s", "3 min 5 s" or "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate_text(size: float, seconds: float) -> str:
    """Return a rate, such as "85.0 MB/s", or "" for less than 0.2 seconds, which is too short to measure."""
    return f"{size_text(round(size / seconds))}/s" if seconds >= 0.2 else ""


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(then: datetime, now: datetime) -> float:
    return (_aware(now) - _aware(then)).total_seconds()
