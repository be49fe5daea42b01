"""The store is looked for where Podman looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerstore import StoreCorrupt, find_store
from layerstore import config as config_module


@pytest.fixture(autouse=True)
def no_system_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", str(tmp_path / "etc.conf"))
    monkeypatch.setattr(config_module, "VENDOR_CONFIG", str(tmp_path / "vendor.conf"))


def test_defaults_of_root() -> None:
    place = find_store(environ={}, uid=0)
    assert (place.graph_root, place.run_root) == ("/var/lib/containers/storage", "/run/containers/storage")
    assert place.driver is None


def test_defaults_of_a_user(tmp_path: Path) -> None:
    place = find_store(environ={"HOME": "/home/u", "XDG_RUNTIME_DIR": str(tmp_path)}, uid=1000)
    assert place.graph_root == "/home/u/.local/share/containers/storage"
    assert place.run_root == f"{tmp_path}/containers"
    assert find_store(environ={"HOME": "/h", "XDG_DATA_HOME": "/d"}, uid=1000).graph_root == "/d/containers/storage"


def test_the_system_file_counts_before_the_vendors(tmp_path: Path) -> None:
    (tmp_path / "vendor.conf").write_text('[storage]\ndriver="vfs"\ngraphroot="/v"\n')
    assert find_store(environ={}, uid=0).graph_root == "/v"
    (tmp_path / "etc.conf").write_text('[storage]\ndriver="overlay2"\nrunroot="/r"\ngraphroot="/e"\n')
    place = find_store(environ={}, uid=0)
    assert (place.graph_root, place.run_root, place.driver) == ("/e", "/r", "overlay")
    assert place.source.endswith("etc.conf")


def test_a_users_file_and_variables_in_it(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/storage.conf").write_text('[storage]\nrootless_storage_path="$HOME/s/$UID"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/home/u"}
    assert find_store(environ=environ, uid=1000).graph_root == "/home/u/s/1000"


def test_the_administrators_path_for_users(tmp_path: Path) -> None:
    (tmp_path / "etc.conf").write_text('[storage]\ngraphroot="/root-only"\nrootless_storage_path="/srv/$UID"\n')
    assert find_store(environ={"HOME": "/h"}, uid=7).graph_root == "/srv/7"


def test_environment_and_flags_have_the_last_word(tmp_path: Path) -> None:
    named = tmp_path / "named.conf"
    named.write_text('[storage]\ngraphroot="/named"\ndriver="overlay"\n')
    environ = {"CONTAINERS_STORAGE_CONF": str(named), "STORAGE_DRIVER": "vfs"}
    assert find_store(environ=environ, uid=0).driver == "vfs"
    assert find_store(environ=environ, uid=0).graph_root == "/named"
    place = find_store("/flag", "/run-flag", environ=environ, uid=0)
    assert (place.graph_root, place.run_root, place.driver) == ("/flag", "/run-flag", None)
    assert find_store("/flag", driver="overlay", environ=environ, uid=0).driver == "overlay"


@pytest.mark.parametrize("text", ["[storage", "[storage]\ngraphroot=5\n", "storage=5"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "etc.conf"
    path.write_text(text)
    with pytest.raises(StoreCorrupt, match=r"etc\.conf"):
        find_store(environ={}, uid=0)
