"""Cleaning up mounts that tests leave behind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder, the innermost mounts first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        fields = [line.split()[4] for line in table]
    points = [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field) for field in fields]
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=False)
