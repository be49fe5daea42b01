"""What several test files need: tars made in a line, and skips that continuous integration turns into failures."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("LAYERTUI_REQUIRE_ALL") == "1"

Content = bytes | str | None | tarfile.TarInfo
"""A file's bytes, a symbolic link's target, None for a folder, or a header of one's own."""


def make_tar(members: Mapping[str, Content], *, format: int = tarfile.PAX_FORMAT, mtime: int = 1_700_000_000) -> bytes:
    """Return an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for path, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(path)
            info.mtime = mtime
            data = b""
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, content
            else:
                info.mode, data = 0o644, content
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def skip(reason: str) -> NoReturn:
    """Skip the test, or fail where nothing may be skipped."""
    if REQUIRE_ALL:
        pytest.fail(f"must run here, but: {reason}")
    pytest.skip(reason)


def need_root() -> None:
    """Skip unless root runs the tests."""
    if os.geteuid() != 0:
        skip("needs root")


def need_program(name: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(name)
    if path is None:
        skip(f"needs the program {name}")
    return path


def unmount_below(folder: Path) -> None:
    """End every mount that a test has left below its folder, the innermost first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        fields = [line.split()[4] for line in table]
    points = [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field) for field in fields]
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=False)
