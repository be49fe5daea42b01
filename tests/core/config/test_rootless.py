"""Enter namespaces as a real ordinary user, with stores made by Podman and Buildah."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.config import rootless
from support.needs import need_program, skip
from support.users import User, wait_for_end

OPEN = """
import hashlib
from layerstore import LayerStore, find_store
from layerstore.config import rootless
place = find_store()
entered = rootless.enter()
assert find_store() == place, (find_store(), place)
def open_store(**options):
    return LayerStore.open(place.graph_root, place.run_root, driver=place.driver, options=place.all_options, **options)
"""
LOOK = """
store = open_store(create=False)
found = []
for layer in store.layers():
    with store.diff(layer.id) as reader:
        digest = "sha256:" + hashlib.sha256(reader.read()).hexdigest()
    changes = [f"{change.kind.name} {change.path}" for change in store.changes(layer.id)]
    found.append({"id": layer.id, "parent": layer.parent, "recorded": layer.diff_digest, "digest": digest,
        "changes": changes})
"""
MOUNT_TOP = """
store = open_store(create=False)
top = next(layer for layer in store.layers() if layer.parent)
merged = store.mount(top.id)
kind = [line.split(" - ")[1].split()[0] for line in open("/proc/self/mountinfo") if f" {merged} " in line][0]
status = (merged / "two").stat()
seen = {"how": entered.how.name, "pid": entered.pid, "merged": merged, "names": sorted(os.listdir(merged)),
    "kind": kind, "owner": [status.st_uid, status.st_gid], "id": top.id}
"""


@pytest.fixture
def user(the_user: User) -> Iterator[User]:
    """Yield the user, without a pause process and with the default configuration."""
    the_user.end_pause()
    yield the_user
    the_user.end_pause()
    the_user.configure()
    (the_user.graph / "overlay/.has-mount-program").unlink(missing_ok=True)
    (the_user.run_root / "overlay-layers/mountpoints.json").unlink(missing_ok=True)


def pause(user: User) -> int:
    """Let Podman create its namespaces, and return the PID of its pause process."""
    user.run("podman", "unshare", "true")
    return int(user.pause_file().read_text())


def test_podmans_namespaces_are_joined_and_mounts_are_shared(user: User) -> None:
    pid = pause(user)
    seen = user.python(OPEN + MOUNT_TOP + "tell(seen)")
    assert (seen["how"], seen["pid"]) == ("JOINED", pid)
    assert (seen["names"], seen["kind"], seen["owner"]) == (["d", "link", "two"], "overlay", [7, 8])
    assert user.run("podman", "unshare", "ls", seen["merged"]).split() == ["d", "link", "two"]
    assert user.run("podman", "unshare", "cat", f"{seen['merged']}/d/new") == "new\n"
    assert user.run("ls", seen["merged"]) == ""  # not visible outside
    told = user.python(OPEN + f"store = open_store()\ntell([store.unmount({seen['id']!r}), store.mounts()])")
    assert told == [False, []]
    assert user.run("podman", "unshare", "ls", seen["merged"]) == ""


def test_a_mount_of_podman_is_found_and_counted(user: User) -> None:
    pause(user)
    where = user.run("podman", "unshare", "podman", "image", "mount", "base").strip()
    code = "store = open_store()\ntell([[m.path, m.count, m.place.name] for m in store.mounts()])"
    assert user.python(OPEN + code) == [[where, 1, "HERE"]]
    both = f"""
store = open_store()
layer = store.mounts()[0].id
tell([store.mount(layer), store.unmount(layer), store.unmount(layer), os.listdir({where!r})])
"""
    assert user.python(OPEN + both) == [where, True, False, []]


@pytest.mark.parametrize("joined", [True, False])
def test_every_diff_is_the_original_one(user: User, joined: bool) -> None:
    if joined:
        pause(user)
    layers = user.python(OPEN + LOOK + "tell(found)")
    assert len(layers) == 2
    assert all(layer["digest"] == layer["recorded"] for layer in layers)
    assert layers[1]["parent"] == layers[0]["id"]
    assert layers[0]["changes"] == [f"ADD /{p}" for p in ("d", "d/e", "d/e/four", "d/three", "link", "one", "two")]
    assert layers[1]["changes"] == ["DELETE /d", "ADD /d/new", "DELETE /one", "MODIFY /two"]
    marks = next((user.graph / "overlay" / layers[1]["id"] / "diff").glob("d"))
    assert "user.overlay.opaque" in os.listxattr(marks)


def test_layers_that_we_create_belong_to_podmans_ids(user: User) -> None:
    pause(user)
    code = """
from io import BytesIO
import tarfile
def tar(*members):
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid, info.mode = kind, 33, 44, 0o755
            file.addfile(info)
    return buffer.getvalue()
store = open_store()
base = next(layer for layer in store.layers() if not layer.parent)
dir, file = tarfile.DIRTYPE, tarfile.REGTYPE
ours, _ = store.put(tar((".wh.one", file), ("d", dir), ("d/.wh..wh..opq", file), ("d/mine", file)), parent=base.id)
merged = store.mount(ours.id)
status = (merged / "d/mine").stat()
names = [sorted(os.listdir(folder)) for folder in (merged, merged / "d")]
tell([ours.id, *names, status.st_uid, status.st_gid, store.unmount(ours.id)])
"""
    layer, *rest = user.python(OPEN + code)
    assert rest == [["d", "link", "two"], ["mine"], 33, 44, False]
    diff = user.graph / "overlay" / layer / "diff"
    assert os.getxattr(diff / "d", "user.overlay.opaque") == b"y"
    assert (diff / "d/mine").stat().st_uid != 33  # a subordinate ID
    user.python(OPEN + f"store = open_store()\nstore.delete({layer!r})\ntell(1)")
    assert not diff.exists()


def test_without_podman_new_namespaces_are_created(user: User) -> None:
    code = (
        MOUNT_TOP
        + """
import subprocess
environ = {key: os.environ[key] for key in os.environ if key.startswith("_CONTAINERS")}
child = subprocess.run(["ls", str(merged)], capture_output=True, text=True).stdout.split()
tell([seen, environ, child, os.getuid(), os.getgid(), os.getcwd(), open("/proc/self/uid_map").read().split()])
"""
    )
    seen, environ, child, *rest, maps = user.python(OPEN + code)
    assert (seen["how"], seen["pid"], seen["names"], seen["owner"]) == ("OWN", 0, ["d", "link", "two"], [7, 8])
    ids = {"_CONTAINERS_ROOTLESS_UID": str(user.uid), "_CONTAINERS_ROOTLESS_GID": str(user.uid)}
    assert environ == {"_CONTAINERS_USERNS_CONFIGURED": "done", **ids}
    assert child == ["d", "link", "two"]
    assert rest == [0, 0, str(user.home)]
    assert maps[:3] == ["0", str(user.uid), "1"]
    assert int(maps[5]) >= 65536
    assert user.run("ls", seen["merged"]) == ""
    assert user.run("podman", "unshare", "ls", seen["merged"]) == ""
    assert user.python(OPEN + "tell([m.place.name for m in open_store().mounts()])") == ["STALE"]


def test_podmans_namespaces_are_found_without_a_runtime_folder(user: User) -> None:
    """Podman then uses a private folder in TMPDIR, as after `su`."""
    temporary = user.place / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    environ = {"XDG_RUNTIME_DIR": "", "TMPDIR": temporary}
    remembered = user.graph / "libpod/bolt_state.db"  # records the folders of the first run
    remembered.unlink(missing_ok=True)
    user.run("podman", "unshare", "true", **environ)
    (file,) = temporary.glob("*/libpod/tmp/pause.pid")
    pid = int(file.read_text())
    try:
        assert user.python(OPEN + "tell([entered.how.name, entered.pid])", **environ) == ["JOINED", pid]
    finally:
        os.kill(pid, signal.SIGKILL)
        remembered.unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["other", "root", "gone", "nonsense"])
def test_a_stale_pause_pid_is_ignored(user: User, what: str) -> None:
    other = subprocess.Popen(user.command("sleep", "60"), start_new_session=True)
    try:
        pid = {"other": other.pid, "root": os.getpid(), "gone": 4_194_303, "nonsense": "x" * 100}[what]
        user.write(user.pause_file(), str(pid))
        assert user.python(OPEN + "tell(entered.how.name)") == "OWN"
    finally:
        other.kill()
        other.wait()
        user.pause_file().unlink()


def test_a_pause_file_that_others_can_write_is_ignored(user: User) -> None:
    pause(user)
    user.runtime.chmod(0o777)
    try:
        assert user.python(OPEN + "tell(entered.how.name)") == "OWN"
    finally:
        user.runtime.chmod(0o700)
    assert user.python(OPEN + "tell(entered.how.name)") == "JOINED"


def test_namespaces_with_file_handles_are_joined(user: User) -> None:
    pause(user)
    code = """
import ctypes, struct
def handle(name):
    descriptor = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    buffer = ctypes.create_string_buffer(struct.pack("=Ii128s", 128, 0, b""), 136)
    mount = ctypes.c_int()
    if ctypes.CDLL(None).name_to_handle_at(descriptor, b"", buffer, ctypes.byref(mount), 0x1000) < 0:
        return b""
    return buffer.raw
content = handle("user") + handle("mnt")
open(os.environ["XDG_RUNTIME_DIR"] + "/libpod/tmp/ns_handles", "wb").write(content)
from layerstore.config import rootless
rootless.enter()
tell([len(content), os.readlink("/proc/self/ns/user")])
"""
    handles = user.pause_file().parent / "ns_handles"
    pid = int(user.pause_file().read_text())
    length, space = user.python(code, within=("podman", "unshare"))
    try:
        if length != 272:
            skip("needs handles of namespaces (Linux 6.18)")
        user.pause_file().rename(user.place / "pause.pid")
        told = user.python(OPEN + "tell([entered.how.name, entered.pid, os.readlink('/proc/self/ns/user')])")
        assert told == ["JOINED", 0, space]
    finally:
        handles.unlink()
        if (user.place / "pause.pid").exists():
            (user.place / "pause.pid").rename(user.pause_file())
    user.end_pause()
    wait_for_end(pid)


UNAVAILABLE = OPEN + "tell([entered.how.name, entered.reason, entered.hint, os.getuid(), dict(os.environ)])"


def test_a_missing_newuidmap_is_reported(user: User) -> None:
    how, reason, hint, uid, environ = user.python(UNAVAILABLE, PATH="/nowhere")
    assert (how, uid) == ("UNAVAILABLE", user.uid)
    assert "newuidmap is missing" in reason
    assert "uidmap" in hint
    assert not any(key.startswith("_CONTAINERS") for key in environ)


def test_missing_subordinate_ids_are_reported(user: User) -> None:
    lines = Path("/etc/subuid").read_text().splitlines()
    first, count = next(line.split(":")[1:] for line in lines if line.startswith(f"{user.name}:"))
    span = f"{first}-{int(first) + int(count) - 1}"
    subprocess.run(["usermod", "--del-subuids", span, user.name], check=True)
    try:
        how, reason, hint, uid, _ = user.python(UNAVAILABLE)
    finally:
        subprocess.run(["usermod", "--add-subuids", span, user.name], check=True)
    assert (how, uid) == ("UNAVAILABLE", user.uid)
    assert "no subordinate IDs in /etc/subuid" in reason
    assert "usermod --add-subuids" in hint
    assert user.name in hint


def test_a_failing_newuidmap_is_quoted_and_leaves_no_process(user: User) -> None:
    user.write(user.home / "bin/newuidmap", "#!/bin/sh\necho no such luck >&2\nexit 1\n")
    (user.home / "bin/newuidmap").chmod(0o755)
    how, reason, _, uid, _ = user.python(UNAVAILABLE, PATH=f"{user.home}/bin:/usr/bin:/bin")
    assert (how, uid) == ("UNAVAILABLE", user.uid)
    assert "no such luck" in reason
    assert user.processes() == []


def test_a_refusal_of_the_kernel_is_quoted(user: User) -> None:
    how, reason, hint, uid, _ = user.python(UNAVAILABLE, chroot=True)
    assert (how, uid) == ("UNAVAILABLE", user.uid)
    assert "create a user namespace (Operation not permitted)" in reason
    assert "max_user_namespaces" in hint


def test_nothing_is_needed_in_a_namespace(user: User) -> None:
    code = OPEN + "tell([entered.how.name, os.getuid(), place.graph_root])"
    assert user.python(code, within=("podman", "unshare")) == ["NOT_NEEDED", 0, str(user.graph)]


def test_root_and_processes_in_a_namespace_need_nothing() -> None:
    if os.geteuid() == 0:
        assert rootless.enter({}) == rootless.Entered(rootless.Entry.NOT_NEEDED)
    assert rootless.enter({rootless.CONFIGURED: "done"}).how is rootless.Entry.NOT_NEEDED


def test_threads_are_refused(user: User) -> None:
    code = """
import threading
from layerstore.config import rootless
event = threading.Event()
threading.Thread(target=event.wait).start()
try:
    rootless.enter()
except RuntimeError as error:
    tell([str(error), os.getuid()])
event.set()
"""
    text, uid = user.python(code)
    assert "before threads are started" in text
    assert uid == user.uid


def test_fuse_by_storage_conf(user: User) -> None:
    user.configure(mount_program=need_program("fuse-overlayfs"))
    pause(user)
    seen, layers = user.python(OPEN + MOUNT_TOP + LOOK + "tell([seen, found])")
    assert (seen["kind"], seen["names"], seen["owner"]) == ("fuse.fuse-overlayfs", ["d", "link", "two"], [7, 8])
    assert len(layers) == 2
    assert all(layer["digest"] == layer["recorded"] for layer in layers)
    assert {"DELETE /one", "ADD /d/new", "MODIFY /two"} <= set(layers[1]["changes"])
    assert user.run("podman", "unshare", "ls", seen["merged"]).split() == ["d", "link", "two"]
    told = user.python(OPEN + f"store = open_store()\ntell([store.unmount({seen['id']!r}), store.mounts()])")
    assert told == [False, []]


def test_fuse_without_a_namespace(user: User) -> None:
    """fusermount3, which is set-user-ID root, mounts and unmounts."""
    programs = user.place / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("fuse-overlayfs", "fusermount3"):
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(need_program(name))
    tail = """
try:
    (merged / "d/more").touch()
    writable = True
except OSError:
    writable = False
tell([seen, writable, store.unmount(top.id), os.listdir(merged), store.mounts()])
"""
    seen, *rest = user.python(OPEN + MOUNT_TOP + tail, PATH=programs)
    assert (seen["how"], seen["kind"], seen["names"]) == ("UNAVAILABLE", "fuse.fuse-overlayfs", ["d", "link", "two"])
    assert rest == [False, False, [], []]
    flag = user.graph / "overlay/.has-mount-program"
    assert not flag.exists() or flag.read_text() == "false"
    user.write(flag, "true")
    seen, *rest = user.python(OPEN + MOUNT_TOP + tail, PATH=programs)
    assert (seen["kind"], seen["names"]) == ("fuse.fuse-overlayfs", ["d", "link", "two"])
    assert rest == [True, False, [], []]
    (user.graph / "overlay" / seen["id"] / "diff/d/more").unlink()
