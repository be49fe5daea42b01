"""Driver options: parsing them, and their effect."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, NotSupported
from layerstore.drivers import parse_options
from layerstore.drivers.options import DriverOptions
from support.mounts import unmount_below
from support.needs import need_program, need_root


@pytest.fixture(autouse=True)
def nothing_stays_mounted(tmp_path: Path) -> Iterator[None]:
    yield
    unmount_below(tmp_path)


def open_overlay(place: Path, options: dict[str, str]) -> LayerStore:
    return LayerStore.open(place / "own", place / "run", driver="overlay", options=options)


def test_options_of_another_driver_are_skipped() -> None:
    options = {
        "mountopt": "nodev",
        "overlay.mountopt": "nodev,,noexec",
        "overlay.mount_program": "/usr/bin/fuse-overlayfs",
        "overlay.ignore_chown_errors": "true",
        "imagestore": "/a",
        "additionalimagestore": "/b,/c",
        "vfs.additionalimagestores": "/v",
    }
    overlay = parse_options("overlay", options)
    assert overlay == DriverOptions(("nodev", "noexec"), "/usr/bin/fuse-overlayfs", True, ("/a", "/b", "/c"))
    assert parse_options("vfs", options) == DriverOptions((), "", False, ("/a", "/b", "/c", "/v"))


def test_mount_options_reach_the_kernel(tmp_path: Path) -> None:
    need_root()
    store = open_overlay(tmp_path, {"overlay.mountopt": "nodev,noexec", "vfs.ignore_chown_errors": ""})
    store.create(id="mine")
    path = store.mount("mine")
    try:
        lines = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {path} " in line]
        assert len(lines) == 1
        assert {"nodev", "noexec"} <= set(lines[0].split()[5].split(","))
    finally:
        store.unmount("mine")
    bad = open_overlay(tmp_path, {"mountopt": "what=ever"})
    with pytest.raises(NotSupported, match="what"):
        bad.mount("mine")


@pytest.mark.parametrize(
    "options", [{"overlay.size": "10G"}, {"colour": "red"}, {"vfs.mountopt": "nodev"}, {"ignore_chown_errors": "maybe"}]
)
def test_unknown_options_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(NotSupported, match=next(iter(options)).rpartition(".")[2]):
        LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs", options=options)
    assert not (tmp_path / "g").exists()


IN_NAMESPACE = """
import sys
from layerstore import LayerStore
store = LayerStore.open(sys.argv[1], sys.argv[1] + "-run", driver="vfs", options={"ignore_chown_errors": sys.argv[2]})
print(store.put(sys.stdin.buffer.read())[1])
"""


def test_ignore_chown_errors_keeps_wrong_owners(tmp_path: Path) -> None:
    unshare = need_program("unshare")
    info = tarfile.TarInfo("theirs")
    info.uid, info.gid, info.size = 5, 5, 3
    link = tarfile.TarInfo("link")
    link.type, link.linkname, link.uid = tarfile.SYMTYPE, "theirs", 7
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info, io.BytesIO(b"abc"))
        tar.addfile(link)

    def put(ignore: str) -> subprocess.CompletedProcess[bytes]:
        command = [unshare, "--user", "--map-root-user", sys.executable, "-c", IN_NAMESPACE, tmp_path / "g", ignore]
        return subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=False)

    refused = put("false")
    if b"unshare" in refused.stderr:
        pytest.skip("needs user namespaces")
    assert b"Invalid argument" in refused.stderr
    allowed = put("true")
    assert allowed.stdout == b"3\n", allowed.stderr.decode()
