"""`layertui check`: an integrity check for a terminal or a script."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from layerstore import Finding, Kind, LayerStoreError, StoreCorrupt, unreadable
from layertui.cli.options import find_place, open_store, with_existing_driver
from layertui.text.format import plural, size_text
from layertui.text.safe import safe

if TYPE_CHECKING:
    from layerstore import LayerStore, Progress

NOTHING_FOUND, FOUND, NOT_CHECKED = 0, 1, 2
"""Exit statuses."""

_PAUSE = 0.2  # seconds between two updates of the progress line


def run(options: argparse.Namespace) -> int:
    """Check the store that the options select and return the exit status."""

    def open_selected() -> LayerStore:
        place = with_existing_driver(find_place(options), options.driver)
        return open_store(place, read_only=options.read_only)

    return check(open_selected, deep=options.deep, as_json=options.json, layers=options.layers, out=sys.stdout)


def check(
    open_selected: Callable[[], LayerStore], *, deep: bool, as_json: bool, layers: Sequence[str] = (), out: TextIO
) -> int:
    """Check a store, write each finding as soon as it is known, and return the exit status.

    If the store cannot be opened because one of its files cannot be parsed, that is the only finding. The status is
    `NOT_CHECKED` if the only findings are layers that could not be checked, or if the check ended early; the reason
    then goes to standard error.
    """
    meter = _Meter(sys.stderr) if sys.stderr.isatty() else None
    seen: list[Finding] = []

    def found() -> Iterator[Finding]:
        for finding in _findings(open_selected, deep, layers, meter):
            if meter is not None:
                meter.clear()
            seen.append(finding)
            yield finding

    try:
        (_write_json if as_json else _write_text)(found(), out)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        sys.stderr.write("layertui: interrupted; the check is incomplete\n")
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
    open_selected: Callable[[], LayerStore], deep: bool, layers: Sequence[str], meter: Progress | None
) -> Iterator[Finding]:
    try:
        store = open_selected()
    except StoreCorrupt as error:
        yield unreadable(error)
        return
    yield from store.check(deep=deep, refs=layers or None, progress=meter)


def _summary(seen: Sequence[Finding]) -> str:
    if not seen:
        return "no problems found"
    counts = Counter(finding.severity.value for finding in seen)
    parts = ", ".join(f"{count:,} {severity}" for severity, count in counts.items())
    return f"{plural(len(seen), 'finding')}: {parts}"


def _write_text(findings: Iterable[Finding], out: TextIO) -> None:
    for finding in findings:
        lines = [f"{finding.severity} ({finding.kind}): {safe(finding.text)}"]
        if finding.users:
            lines.append(f"    affects: {safe(', '.join(finding.users))}")
        if finding.repair is not None:
            lines.append(f"    repair: {safe(finding.repair)}")
        elif finding.hint:
            lines.append(f"    to fix: {safe(finding.hint)}")
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
    """A progress line on a terminal, updated a few times a second."""

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
        """Erase the line so that other text can be written."""
        self._terminal.write("\r\x1b[K")
        self._terminal.flush()
