"""Tests of the browser run by an ordinary user: in Podman's user namespace, in its own, and without one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from layerstore import LayerStore, StorePlace
from layerstore.config.rootless import Entered, Entry
from layertui.limits import Limits, enter_namespace
from support.needs import need_program
from support.tars import make_tar
from support.users import User

_SIZE = (40, 120)


class Terminal:
    """The browser in a pseudo-terminal."""

    def __init__(self, user: User, *arguments: str | Path, **environ: str | Path) -> None:
        self.screen = pyte.Screen(_SIZE[1], _SIZE[0])
        self._stream = pyte.ByteStream(self.screen)
        command = user.command(sys.executable, "-m", "layertui", *arguments, **environ)
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execvp(command[0], command)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))

    def text(self) -> str:
        """Return the text of the screen on one line, without borders."""
        lines = " ".join(line.strip() for line in self.screen.display)
        return " ".join(lines.replace("│", " ").replace("▌", " ").split())

    def wait_for(self, text: str) -> str:
        until = time.monotonic() + 30
        while text not in self.text():
            if time.monotonic() > until:
                pytest.fail(f"{text!r} did not appear:\n" + "\n".join(self.screen.display))
            self._read()
        return self.text()

    def press(self, key: str) -> None:
        os.write(self._terminal, key.encode())

    def ended(self) -> int:
        """Quit the browser and return the exit status."""
        self.press("q")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                os.close(self._terminal)
                return os.waitstatus_to_exitcode(status)
            self._read()
        pytest.fail("the browser does not exit:\n" + "\n".join(self.screen.display))

    def hung_up(self) -> int:
        """Close the terminal and return the exit status."""
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> None:
        if select.select([self._terminal], [], [], 0.1)[0]:
            try:
                self._stream.feed(os.read(self._terminal, 1 << 16))
            except OSError:
                time.sleep(0.05)


@pytest.fixture
def user(the_user: User) -> Iterator[User]:
    the_user.end_pause()
    yield the_user
    the_user.end_pause()


def counts(user: User) -> list[dict[str, object]]:
    path = user.run_root / "overlay-layers/mountpoints.json"
    return json.loads(path.read_text() or "[]") if path.exists() else []


def test_mounts_outlive_the_browser_in_podman_s_namespace(user: User) -> None:
    user.run("podman", "unshare", "true")
    terminal = Terminal(user)
    terminal.wait_for("following")
    assert "READ-ONLY" not in terminal.text()
    terminal.press("m")
    terminal.wait_for("Visible to Podman too")
    assert terminal.ended() == 0
    (line,) = counts(user)
    assert user.run("podman", "unshare", "ls", str(line["path"])) != ""
    terminal = Terminal(user)
    terminal.wait_for("1 mounted")
    terminal.press("u")
    terminal.wait_for("Unmounted 1 layer")
    assert terminal.ended() == 0
    assert counts(user) == []


@pytest.mark.parametrize("terminal_goes", [False, True])
def test_mounts_and_counts_end_with_the_browser_in_its_own_namespace(user: User, terminal_goes: bool) -> None:
    terminal = Terminal(user)
    terminal.wait_for("following")
    terminal.press("m")
    terminal.wait_for("Visible only to layertui")
    assert len(counts(user)) == 1
    if terminal_goes:
        assert terminal.hung_up() != 0
    else:
        assert terminal.ended() == 0
    assert counts(user) == []
    assert user.processes() == []


def test_without_a_namespace_it_is_read_only_and_says_why(user: User) -> None:
    terminal = Terminal(user, PATH="/nowhere")
    text = terminal.wait_for("shadow-utils")
    assert "READ-ONLY" in text
    assert "but not mounted or changed" in text
    terminal.press("m")
    terminal.wait_for("cannot mount it. The program newuidmap is missing")
    assert terminal.ended() == 0
    assert counts(user) == []


def test_fuse_overlayfs_mounts_without_a_namespace(user: User) -> None:
    programs = user.place / "programs"
    programs.mkdir()
    for name in ("fuse-overlayfs", "fusermount3"):
        (programs / name).symlink_to(need_program(name))
    terminal = Terminal(user, PATH=programs)
    text = terminal.wait_for("fuse-overlayfs mounts the layers")
    assert "READ-ONLY" not in text
    terminal.press("m")
    terminal.wait_for("Mounted; the path is copied")
    (line,) = counts(user)
    assert user.run("ls", str(line["path"])) != ""
    terminal.press("u")
    terminal.wait_for("Unmounted 1 layer")
    assert terminal.ended() == 0


def test_no_namespace_is_entered_for_a_store_of_root(user: User) -> None:
    place = user.place / "roots"
    place.mkdir(mode=0o755)
    LayerStore.open(place / "g", place / "r", driver="vfs")
    (place / "g").chmod(0o755)
    terminal = Terminal(user, "--root", place / "g", "--runroot", place / "r")
    terminal.wait_for("sudo")
    assert terminal.ended() == 0


def test_listing_layers_enters_no_namespace(user: User) -> None:
    said = user.run(sys.executable, "-m", "layertui", "layers", PATH="/nowhere")
    assert len(said.split()) == 2


# Limits without a screen


def test_limits_without_a_namespace() -> None:
    entered = Entered(Entry.UNAVAILABLE, reason="nothing is there", hint="get something")
    assert Limits(entered, {"overlay": "no fuse"}).read_only_reason("overlay") == (
        "Nothing is there: get something. fuse-overlayfs cannot be used instead: no fuse."
    )
    assert Limits(entered, {"overlay": "no fuse"}).notice("overlay")[0] == "Read-only"
    assert Limits(entered, {"overlay": ""}).notice("overlay")[0] == "No user namespace"
    assert Limits(entered, {"overlay": ""}).read_only_reason("overlay") == ""
    for limits in (Limits(entered, {"overlay": "no fuse"}), Limits(entered, {"overlay": ""})):
        assert limits.read_only_reason("vfs") == ""
        assert limits.notice("vfs") == ("", "")
        assert limits.mount_note == ""
    for how in (Entry.JOINED, Entry.OWN, Entry.NOT_NEEDED):
        assert Limits(Entered(how), {"overlay": "no fuse"}).notice("overlay") == ("", "")


def test_leaving_unmounts_what_was_mounted_since_opening(tmp_path: Path) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    for name in ("before", "since"):
        store.put(make_tar({"f": b"x"}), id=name)
    store.mount("before")
    limits = Limits(Entered(Entry.OWN))
    limits.opened(store)
    store.mount("since")
    store.mount("since")
    assert limits.leave() == []
    assert [state.id for state in store.mounts()] == ["before"]
    assert limits.leave() == []
    joined = Limits(Entered(Entry.JOINED, 1))
    joined.opened(store)
    store.mount("since")
    assert joined.leave() == []
    assert len(store.mounts()) == 2


def test_no_namespace_is_entered_for_a_missing_store(tmp_path: Path) -> None:
    place = StorePlace(str(tmp_path / "absent"), str(tmp_path / "r"), None, "--root")
    assert enter_namespace(place).entered.how is Entry.NOT_NEEDED
