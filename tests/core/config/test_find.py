"""`find_store` returns the store that Podman would use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from layerstore import StoreCorrupt, StoreMissing, find_store
from layerstore.config import find as config_module
from layerstore.config.find import user_id
from layerstore.drivers import parse_options
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.trees import NOBODY, as_nobody


@pytest.fixture(autouse=True)
def no_system_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", str(tmp_path / "etc.conf"))
    monkeypatch.setattr(config_module, "VENDOR_CONFIG", str(tmp_path / "vendor.conf"))


def test_defaults_for_root() -> None:
    place = find_store(environ={}, uid=0)
    assert (place.graph_root, place.run_root) == ("/var/lib/containers/storage", "/run/containers/storage")
    assert place.driver is None


def test_defaults_for_a_user(tmp_path: Path) -> None:
    place = find_store(environ={"HOME": "/home/u", "XDG_RUNTIME_DIR": str(tmp_path)}, uid=1000)
    assert place.graph_root == "/home/u/.local/share/containers/storage"
    assert place.run_root == f"{tmp_path}/containers"
    assert find_store(environ={"HOME": "/h", "XDG_DATA_HOME": "/d"}, uid=1000).graph_root == "/d/containers/storage"


def test_the_file_of_the_system_takes_precedence_over_that_of_the_vendor(tmp_path: Path) -> None:
    (tmp_path / "vendor.conf").write_text('[storage]\ndriver="vfs"\ngraphroot="/v"\n')
    assert find_store(environ={}, uid=0).graph_root == "/v"
    (tmp_path / "etc.conf").write_text('[storage]\ndriver="overlay2"\nrunroot="/r"\ngraphroot="/e"\n')
    place = find_store(environ={}, uid=0)
    assert (place.graph_root, place.run_root, place.driver) == ("/e", "/r", "overlay")
    assert place.source.endswith("etc.conf")


def test_variables_in_the_file_of_a_user_are_expanded(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/storage.conf").write_text('[storage]\nrootless_storage_path="$HOME/s/$UID"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/home/u"}
    assert find_store(environ=environ, uid=1000).graph_root == "/home/u/s/1000"


def test_the_path_that_the_administrator_sets_for_users(tmp_path: Path) -> None:
    (tmp_path / "etc.conf").write_text('[storage]\ngraphroot="/root-only"\nrootless_storage_path="/srv/$UID"\n')
    assert find_store(environ={"HOME": "/h"}, uid=7).graph_root == "/srv/7"


def test_environment_and_arguments_take_precedence(tmp_path: Path) -> None:
    named = tmp_path / "named.conf"
    named.write_text('[storage]\ngraphroot="/named"\ndriver="overlay"\n')
    environ = {"CONTAINERS_STORAGE_CONF": str(named), "STORAGE_DRIVER": "vfs"}
    assert find_store(environ=environ, uid=0).driver == "vfs"
    assert find_store(environ=environ, uid=0).graph_root == "/named"
    place = find_store("/flag", "/run-flag", environ=environ, uid=0)
    assert (place.graph_root, place.run_root, place.driver) == ("/flag", "/run-flag", None)
    assert find_store("/flag", driver="overlay", environ=environ, uid=0).driver == "overlay"


@pytest.mark.parametrize("text", ["[storage", "[storage]\ngraphroot=5\n", "storage=5"])
def test_an_invalid_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "etc.conf"
    path.write_text(text)
    with pytest.raises(StoreCorrupt, match=r"etc\.conf"):
        find_store(environ={}, uid=0)


# Several files


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[storage]\n{text}\n")


def test_the_file_of_the_user_takes_precedence_for_root_too(tmp_path: Path) -> None:
    write(tmp_path / "home/.config/containers/storage.conf", 'graphroot="/of-the-user"')
    write(tmp_path / "etc.conf", 'graphroot="/e"\nrunroot="/r"')
    place = find_store(environ={"HOME": str(tmp_path / "home")}, uid=0)
    assert (place.graph_root, place.run_root) == ("/of-the-user", "/run/containers/storage")
    assert find_store(environ={"HOME": "/nowhere"}, uid=0).graph_root == "/e"


def test_drop_ins_apply_by_name_and_later_folders_replace_files_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path / "vendor.conf", 'graphroot="/v"\nrunroot="/vr"\ndriver="vfs"')
    write(tmp_path / "vendor.conf.d/20-root.conf", 'graphroot="/vendor-20"')
    write(tmp_path / "etc.conf.d/10-first.conf", 'graphroot="/etc-10"\nrunroot="/etc-10-run"')
    write(tmp_path / "etc.conf.d/ignored.txt", 'graphroot="/txt"')
    write(tmp_path / "etc.rootful.conf.d/30-root.conf", 'driver="overlay2"')
    write(tmp_path / "etc.rootless.conf.d/40-users.conf", 'graphroot="/users"')
    write(tmp_path / "etc.rootless.conf.d/7/50-seven.conf", 'graphroot="/seven"')
    place = find_store(environ={"HOME": "/nowhere"}, uid=0)
    assert (place.graph_root, place.run_root, place.driver) == ("/vendor-20", "/etc-10-run", "overlay")
    assert place.source.endswith("20-root.conf")
    write(tmp_path / "etc.conf.d/20-root.conf", 'graphroot="/etc-20"')
    assert find_store(environ={"HOME": "/nowhere"}, uid=0).graph_root == "/etc-20"
    assert find_store(environ={"HOME": "/nowhere"}, uid=8).graph_root == "/users"
    assert find_store(environ={"HOME": "/nowhere"}, uid=7).graph_root == "/seven"
    write(tmp_path / "home/.config/containers/storage.conf.d/60-own.conf", 'graphroot="/own"')
    assert find_store(environ={"HOME": str(tmp_path / "home")}, uid=7).graph_root == "/own"
    assert find_store(environ={"HOME": str(tmp_path / "home")}, uid=0).graph_root == "/own"


def test_a_named_file_is_read_alone_and_an_override_last(tmp_path: Path) -> None:
    write(tmp_path / "etc.conf.d/10.conf", 'runroot="/dropped-in"')
    write(tmp_path / "named.conf", 'graphroot="/named"')
    write(tmp_path / "last.conf", 'graphroot="/last"')
    environ = {"HOME": "/nowhere", "CONTAINERS_STORAGE_CONF": str(tmp_path / "named.conf")}
    place = find_store(environ=environ, uid=0)
    assert (place.graph_root, place.run_root) == ("/named", "/run/containers/storage")
    environ["CONTAINERS_STORAGE_CONF_OVERRIDE"] = str(tmp_path / "last.conf")
    assert find_store(environ=environ, uid=0).graph_root == "/last"
    environ["CONTAINERS_STORAGE_CONF"] = str(tmp_path / "missing.conf")
    with pytest.raises(StoreMissing, match=r"missing\.conf"):
        find_store(environ=environ, uid=0)
    assert find_store("/g", "/r", environ=environ, uid=0).graph_root == "/g"


# Ordinary users


def test_a_folder_for_all_users_applies_if_the_user_can_use_it(tmp_path: Path) -> None:
    def work(home: Path) -> list[str]:
        config_module.SYSTEM_CONFIG = str(home / "etc.conf")
        config_module.VENDOR_CONFIG = str(home / "vendor.conf")
        write(home / "etc.conf", f'graphroot="{home}/shared/$UID"\nrunroot="/run/containers/storage"')
        environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        found = [find_store(environ=environ).graph_root]
        (home / "shared" / str(NOBODY)).mkdir(parents=True)
        place = find_store(environ=environ)
        found += [place.graph_root, place.run_root]
        write(home / "etc.conf", 'graphroot="/root"')
        return [*[path.replace(str(home), "~") for path in found], find_store(environ=environ).graph_root[-18:]]

    found = as_nobody(work)
    assert found == ["~/.local/share/containers/storage", f"~/shared/{NOBODY}", "~/containers", "containers/storage"]


def test_in_a_user_namespace_the_store_is_that_of_its_creator(tmp_path: Path) -> None:
    environ = {"HOME": "/home/u", "XDG_RUNTIME_DIR": str(tmp_path), "_CONTAINERS_ROOTLESS_UID": "1000"}
    assert user_id(environ) == os.geteuid()
    environ["_CONTAINERS_USERNS_CONFIGURED"] = "done"
    assert user_id(environ) == 1000
    assert find_store(environ=environ).graph_root == "/home/u/.local/share/containers/storage"
    environ["_CONTAINERS_ROOTLESS_UID"] = "0"
    assert find_store(environ=environ).graph_root == "/var/lib/containers/storage"


@pytest.mark.parametrize("folder", ["storage-run-{}", "podman-run-{}", "containers-user-{}"])
def test_without_a_runtime_folder_the_run_root_is_where_there_is_data(tmp_path: Path, folder: str) -> None:
    uid = os.geteuid() or 54321
    environ = {"HOME": "/h", "TMPDIR": str(tmp_path)}
    default = f"{tmp_path}/storage-run-{uid}/containers"
    runtime = tmp_path / folder.format(uid)
    assert find_store(environ=environ, uid=uid).run_root == default
    (runtime / "containers" / "overlay-layers").mkdir(parents=True)
    runtime.chmod(0o777)  # any user may have created what is in it
    assert find_store(environ=environ, uid=uid).run_root == default
    runtime.chmod(0o700)
    assert find_store(environ=environ, uid=uid).run_root == f"{runtime}/containers"
    (runtime / "containers" / "overlay-layers").rmdir()
    assert find_store(environ=environ, uid=uid).run_root == default


# Options

EVERYTHING = """
imagestore = "/images"
[storage.options]
mountopt = "nodev"
ignore_chown_errors = "false"
size = "10G"
additionalimagestores = ["/one", "/two"]
unknown = 5
[storage.options.overlay]
mountopt = "nodev,metacopy=on"
mount_program = "/usr/bin/fuse-overlayfs"
skip_mount_home = "true"
[storage.options.vfs]
ignore_chown_errors = "true"
[storage.options.thinpool]
"""


def test_options_and_image_stores(tmp_path: Path) -> None:
    write(tmp_path / "etc.conf", EVERYTHING)
    place = find_store(environ={"HOME": "/nowhere"}, uid=0)
    assert place.image_stores == ("/images", "/one", "/two")
    assert place.options == {
        "ignore_chown_errors": "false",
        "vfs.ignore_chown_errors": "true",
        "overlay.mount_program": "/usr/bin/fuse-overlayfs",
        "overlay.mountopt": "nodev,metacopy=on",
    }
    assert place.all_options["additionalimagestores"] == "/images,/one,/two"
    assert parse_options("vfs", place.all_options).ignore_chown_errors
    assert not parse_options("overlay", place.all_options).ignore_chown_errors
    assert find_store(environ={"HOME": "/nowhere"}, uid=7).options["overlay.mountopt"] == "nodev"
    by_hand = find_store("/elsewhere", environ={"HOME": "/nowhere"}, uid=0)
    assert (by_hand.options, by_hand.image_stores) == ({}, ())


def test_a_later_list_replaces_or_appends(tmp_path: Path) -> None:
    write(tmp_path / "etc.conf", '[storage.options]\nadditionalimagestores=["/one"]')
    write(tmp_path / "etc.conf.d/1.conf", '[storage.options]\nadditionalimagestores=["/two", {append=true}]')
    assert find_store(environ={"HOME": "/nowhere"}, uid=0).image_stores == ("/one", "/two")
    write(tmp_path / "etc.conf.d/2.conf", '[storage.options]\nadditionalimagestores=["/three"]')
    assert find_store(environ={"HOME": "/nowhere"}, uid=0).image_stores == ("/three",)


def test_options_of_the_environment_and_the_caller_replace_those_of_files(tmp_path: Path) -> None:
    write(tmp_path / "etc.conf", EVERYTHING.replace('imagestore = "/images"', ""))
    environ = {"HOME": "/nowhere", "STORAGE_OPTS": "overlay.mountopt=noexec,overlay.size=1G,imagestore=/three"}
    place = find_store(environ=environ, uid=0)
    assert (place.options, place.image_stores) == ({"overlay.mountopt": "noexec"}, ("/three",))
    place = find_store("/g", options=["additionalimagestore=/a,/b", "colour=red"], environ=environ, uid=0)
    assert (place.options, place.image_stores) == ({"colour": "red"}, ("/a", "/b"))
    place = find_store(options=[""], environ=environ, uid=0)
    assert (place.options, place.image_stores) == ({}, ())
    assert find_store(environ={**environ, "STORAGE_OPTS": ""}, uid=0).options == {}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("driver=1", "driver"),
        ("options=1", "options"),
        ("[storage.options]\noverlay=1", "overlay"),
        ("[storage.options]\nmountopt=true", "mountopt"),
        ("[storage.options.overlay]\nmountopt=['nodev']", "mountopt"),
        ("[storage.options]\nadditionalimagestores='/one'", "additionalimagestores"),
        ("[storage.options]\nadditionalimagestores=[1]", "additionalimagestores"),
        ("[storage.options]\nadditionalimagestores=[{append='yes'}]", "additionalimagestores"),
    ],
)
def test_a_wrong_type_is_named_with_its_file(tmp_path: Path, text: str, key: str) -> None:
    write(tmp_path / "etc.conf.d/one.conf", text)
    with pytest.raises(StoreCorrupt, match=key) as caught:
        find_store(environ={"HOME": "/nowhere"}, uid=0)
    assert caught.value.file == str(tmp_path / "etc.conf.d/one.conf")


def test_podman_finds_the_same_store(tmp_path: Path) -> None:
    need_root()
    program = need_program("podman")
    named = tmp_path / "named.conf"
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "graph").mkdir()
    write(named, f'driver="vfs"\ngraphroot="{tmp_path}/link/$WHERE"\nrunroot="${{BASE}}/run"')
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(named), "WHERE": "graph", "BASE": str(tmp_path)}
    done = subprocess.run(
        [program, "info", "--format", "{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.GraphDriverName}}"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place = find_store(environ=environ)
    assert done.stdout.split() == [place.graph_root, place.run_root, place.driver]
    unmount_below(tmp_path)
