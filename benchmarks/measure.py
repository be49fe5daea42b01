"""Run commands as whole processes, and measure their time and peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Sample:
    """The runs of one command: wall seconds and peak resident MiB of each."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        return max(self.mib)


def run(command: Sequence[str], sample: Sample, environment: dict[str, str] | None = None) -> None:
    """Run a command, discard its output, and add the run to the sample."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    sample.seconds.append(time.perf_counter() - start)
    sample.mib.append(usage.ru_maxrss / 1024)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\nfailed: {errors.decode(errors='replace')}")


def in_turn(
    commands: dict[str, Callable[[], Sequence[str]]],
    rounds: int,
    clean: Callable[[], None],
    environments: dict[str, dict[str, str]] | None = None,
) -> dict[str, Sample]:
    """Run the commands alternately, A B A B, so that a slow phase of the machine affects all of them.

    The first round warms up and does not count. Each round builds its commands again, and calls `clean` after each
    run; neither is timed.
    """
    samples = {name: Sample() for name in commands}
    for number in range(rounds + 1):
        for name, make in commands.items():
            run(make(), samples[name] if number else Sample(), (environments or {}).get(name))
            clean()
    return samples
