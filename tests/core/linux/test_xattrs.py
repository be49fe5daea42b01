"""Tests of reading and writing extended attributes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from layerstore.linux import xattrs


def test_attributes_are_read_and_written_by_descriptor_and_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    folder = os.open(tmp_path, os.O_RDONLY)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    xattrs.write(descriptor, "user.a", b"1")
    xattrs.write(xattrs.path_at(folder, "file"), b"user.b", b"2")
    assert sorted(xattrs.names(descriptor)) == ["user.a", "user.b"]
    assert xattrs.read(xattrs.path_at(folder, "file"), lambda name: name == "user.b") == {"user.b": b"2"}
    assert xattrs.names(xattrs.path_at(folder, "link")) == [], "links are not followed"
    os.close(descriptor)
    os.close(folder)


@pytest.mark.parametrize(
    ("name", "compared", "packed", "copied"),
    [
        ("user.a", True, True, True),
        ("user.overlay.opaque", True, False, True),
        ("security.capability", True, True, True),
        ("security.ima", False, True, True),
        ("security.selinux", False, False, False),
        ("trusted.a", False, False, True),
    ],
)
def test_which_attributes_count(name: str, *, compared: bool, packed: bool, copied: bool) -> None:
    assert xattrs.is_compared(name) is compared
    assert xattrs.is_packed(name) is packed
    assert xattrs.is_copied(name) is copied


def test_a_warning_names_the_file_and_the_attribute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))

    (tmp_path / "file").touch()
    os.setxattr(tmp_path / "file", "user.large", b"1")
    monkeypatch.setattr(os, "getxattr", refuse)
    folder = os.open(tmp_path, os.O_RDONLY)
    assert xattrs.read(xattrs.path_at(folder, "file"), xattrs.is_packed) == {}
    os.close(folder)
    assert f"{tmp_path}/file: skipping attribute user.large" in caplog.text
