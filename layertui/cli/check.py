"""`layertui check`: what an integrity check finds, for a terminal or a script."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from layerstore.check.findings import Finding, Kind, unreadable
from layerstore.errors import LayerStoreError, StoreCorrupt
from layertui.text.format import plural, size_text
from layertui.text.safe import safe

if TYPE_CHECKING:
    from layerstore import LayerStore, Progress

NOTHING_FOUND, FOUND, NOT_CHECKED = 0, 1, 2
"""The exit status."""

_PAUSE = 0.2


def run(
    open_store: Callable[[], LayerStore], *, deep: bool, as_json: bool, layers: Sequence[str] = (), out: TextIO
) -> int:
    """Check the store, write each finding as it comes, and return the exit status.

    A store that cannot be opened since a file of it does not parse has that for its one finding. The status is
    `NOT_CHECKED` if all that was found is that some layers could not be looked into, or if the check could not be done
    to its end, for which the reason goes to standard error.
    """
    meter = _Meter(sys.stderr) if sys.stderr.isatty() else None
    seen: list[Finding] = []

    def found() -> Iterator[Finding]:
        for finding in _findings(open_store, deep, layers, meter):
            if meter is not None:
                meter.clear()
            seen.append(finding)
            yield finding

    try:
        (_write_json if as_json else _write_text)(found(), out)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        sys.stderr.write("layertui: stopped; what was found so far holds\n")
        return NOT_CHECKED
    except (LayerStoreError, OSError) as error:
        sys.stderr.write(f"layertui: {safe(str(error))}\n")
        return NOT_CHECKED
    finally:
        if meter is not None:
            meter.clear()
    if not as_json:
        out.write(f"{_summary(seen)}\n")
    if any(finding.kind is not Kind.UNCHECKED for finding in seen):
        return FOUND
    return NOT_CHECKED if seen else NOTHING_FOUND


def _findings(
    open_store: Callable[[], LayerStore], deep: bool, layers: Sequence[str], meter: Progress | None
) -> Iterator[Finding]:
    try:
        store = open_store()
    except StoreCorrupt as error:
        yield unreadable(error)
        return
    yield from store.check(deep=deep, refs=layers or None, progress=meter)


def _summary(seen: Sequence[Finding]) -> str:
    if not seen:
        return "nothing found"
    counts = Counter(finding.severity.value for finding in seen)
    parts = ", ".join(f"{count:,} {severity}" for severity, count in counts.items())
    return f"{plural(len(seen), 'finding')}: {parts}"


def _write_text(findings: Iterable[Finding], out: TextIO) -> None:
    for finding in findings:
        lines = [f"{finding.severity} ({finding.kind}): {safe(finding.text)}"]
        if finding.users:
            lines.append(f"    takes down: {safe(', '.join(finding.users))}")
        if finding.repair is not None:
            lines.append(f"    repair: {safe(finding.repair)}")
        elif finding.hint:
            lines.append(f"    what helps: {safe(finding.hint)}")
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()


def _write_json(findings: Iterable[Finding], out: TextIO) -> None:
    separator = "["
    try:
        for finding in findings:
            out.write(separator + json.dumps(_values(finding)))
            out.flush()
            separator = ",\n"
    finally:
        out.write("[]\n" if separator == "[" else "]\n")


def _values(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "layer": safe(finding.layer),
        "path": safe(finding.path),
        "text": safe(finding.text),
        "images": list(map(safe, finding.images)),
        "containers": list(map(safe, finding.containers)),
        "repair": None if finding.repair is None else safe(finding.repair),
    }


class _Meter:
    """One line of progress on a terminal, written a few times a second."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            of = f" of {size_text(total)}" if total is not None else ""
            self._terminal.write(f"\r\x1b[Kchecked {size_text(done)}{of}")
            self._terminal.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        self._terminal.write("\r\x1b[K")
        self._terminal.flush()
