"""Real files as layers: a Debian root with packages on top, and a Python environment."""

from __future__ import annotations

import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest

from layerstore import ChangeKind, Compression, LayerStore
from support.needs import need_program, need_root, skip
from support.peers import Peer

PACKAGES = ("hello", "tree", "jq")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the data.tar files of packages, compressed as in the package."""
    need_root()
    need_program("apt-get")
    work = tmp_path_factory.mktemp("packages")
    fetched = subprocess.run(["apt-get", "download", *PACKAGES], cwd=work, capture_output=True, check=False)
    if fetched.returncode:
        skip(f"packages cannot be downloaded: {fetched.stderr.decode(errors='replace')[-300:]}")
    found = []
    for package in sorted(work.glob("*.deb")):
        member = next(
            name
            for name in subprocess.run(["ar", "t", package], capture_output=True, text=True, check=True).stdout.split()
            if name.startswith("data.tar")
        )
        data = subprocess.run(["ar", "p", package, member], capture_output=True, check=True).stdout
        found.append(work / f"{package.stem}.{member}")
        found[-1].write_bytes(data)
    return found


def test_a_debian_root_with_packages_on_top(
    peer: Peer, ours: LayerStore, debian_root: Path, packages: list[Path], tmp_path: Path
) -> None:
    with debian_root.open("rb") as file:
        base, _ = ours.put(file, names=["debian"])
    layers, tars = [base], [debian_root]
    for package in packages:
        with package.open("rb") as file:
            layer, size = ours.put(file, parent=layers[-1].id)
        assert size > 10_000
        layers.append(layer)
        tars.append(package)
    for layer, tar in zip(layers, tars, strict=True):
        exported = tmp_path / "exported"
        with ours.diff(layer.id, compression=Compression.NONE) as reader, exported.open("wb") as out:
            reader.copy_to(out)
        assert reader.diff_digest == layer.diff_digest
        peer("diff", "-u", "-f", str(tmp_path / "theirs"), layer.id)
        subprocess.run(["cmp", exported, tmp_path / "theirs"], check=True)
        if tar == debian_root:
            subprocess.run(["cmp", exported, tar], check=True)
    for layer in layers[1:]:
        changes = ours.changes(layer.id)
        assert [(change.kind, change.path) for change in changes] == peer.changes(layer.id)
        assert {change.kind for change in changes} <= {ChangeKind.ADD, ChangeKind.MODIFY}
    for layer in reversed(layers):
        ours.delete(layer.id)
    assert peer.layers() == {}


def test_ten_thousand_small_files_of_a_python_environment(peer: Peer, ours: LayerStore, tmp_path: Path) -> None:
    source = Path(sysconfig.get_paths()["purelib"])
    tar = tmp_path / "site-packages.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for copy in range(10):  # add copies until there are ten thousand files
            archive.add(source, arcname=f"env{copy}/site-packages", filter=_plain)
            if len(archive.getmembers()) > 10_000:
                break
        assert len(archive.getmembers()) > 10_000
    with tar.open("rb") as file:
        layer, _ = ours.put(file, id="env")
    with ours.diff("env") as reader, (tmp_path / "out").open("wb") as out:
        reader.copy_to(out)
    subprocess.run(["cmp", tar, tmp_path / "out"], check=True)
    assert layer.diff_size == tar.stat().st_size
    peer("diff", "-u", "-f", str(tmp_path / "theirs"), "env")
    subprocess.run(["cmp", tar, tmp_path / "theirs"], check=True)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Skip large files, and files that can change while the tests run."""
    return None if "__pycache__" in info.name or info.size > 1 << 20 else info
