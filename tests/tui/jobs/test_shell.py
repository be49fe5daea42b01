"""A shell in a layer: the real program hands over its terminal and takes it back."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerstore.model import Layer
from layerstore.store import LayerStore
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.shell import ShellDialog
from layertui.jobs import shell
from layertui.jobs.shell import ShellCall
from support.browser import Place, browsing
from support.dialog_host import HOSTILE, assert_harmless, screen_text, shown
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.program import Program
from support.tars import make_tar

ESCAPE = "\x1b"


def store_at(root: Path, driver: str = "vfs", members: dict[str, bytes | str | None] | None = None) -> LayerStore:
    store = LayerStore.open(root / "g", root / "r", driver=driver)
    store.put(make_tar(members or {"etc": None, "etc/motd": b"hello"}), id="f" * 64, names=["the-layer"])
    return store


@contextmanager
def running(root: Path) -> Iterator[Program]:
    program = Program(root)
    try:
        program.read_until("the-layer")
        yield program
    finally:
        program.close()
        unmount_below(root)


def start(program: Program, *keys: str) -> None:
    program.press("s")
    program.read_until("Shell in")
    program.output.clear()
    program.press(*keys, "\r")
    program.read_until("to return to layertui")


def tell(program: Program, command: str, answer: str) -> None:
    """Type a command into the shell, and wait for its output."""
    os.write(program.terminal, f"{command}\n".encode())
    program.read_until(answer)


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.delenv("ENV", raising=False)


def test_the_shell_runs_in_the_layer_and_returns_to_the_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "yes")
    store = store_at(tmp_path)
    with running(tmp_path) as program:
        start(program)
        program.read_until("[layer ffffffffffff]")
        tell(program, 'echo "<$LAYERTUI_LAYER|$NO_COLOR|$(pwd)|$(cat etc/motd)>"', f"<{'f' * 64}|yes|{tmp_path}")
        assert b"hello>" in program.output
        assert store.get("the-layer").mount_count == 1
        os.write(program.terminal, b"\x03\x1c")
        program.read(1)  # the terminal drops keys that arrive before the signals are handled
        tell(program, "echo still-$((20+3))", "still-23")
        tell(program, "touch made-here; exit", "exit")
        program.read_until("was mounted for the shell")
        assert program.ended(0.1) is None, "only the shell gets ctrl+c"
        assert (tmp_path / "g/vfs/dir" / ("f" * 64) / "made-here").exists()
        program.press("\r")
        program.read_until("Unmounted")
        assert store.get("the-layer").mount_count == 0
        program.press("q")
        assert program.ended(10) == 0


def test_an_earlier_mount_keeps_its_count(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.mount("the-layer")
    with running(tmp_path) as program:
        start(program)
        tell(program, "echo count-$((1+1))", "count-2")
        assert store.get("the-layer").mount_count == 2
        tell(program, "exit", "exit")
        program.read_until("Still mounted by others")
        program.read_until("1 mount")
        assert store.get("the-layer").mount_count == 1
        assert b"was mounted for the shell" not in program.output
        assert b"all users" not in program.output, "a mount of others is not ours to unmount"
        program.press("q")
        assert program.ended(10) == 0


def test_a_mount_made_meanwhile_stays(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with running(tmp_path) as program:
        start(program)
        store.mount("the-layer")
        store.mount("the-layer")
        tell(program, "exit", "exit")
        program.read_until("was mounted for the shell")
        program.press("\r")
        program.read_until("Still mounted by others")
        program.read_until("2 mounts")
        assert store.get("the-layer").mount_count == 2
        assert b"all users" not in program.output
        program.output.clear()
        program.press("u")
        program.read_until("all users")
        program.press("q")
        assert program.ended(10) == 0


def test_the_terminal_is_taken_back_from_a_killed_shell(tmp_path: Path) -> None:
    store_at(tmp_path)
    with running(tmp_path) as program:
        start(program)
        os.write(program.terminal, b"kill -9 $$\n")
        program.read_until("was mounted for the shell")
        program.press(ESCAPE, "q")
        assert program.ended(10) == 0


def _shell_with_libraries() -> dict[str, bytes | str | None]:
    """Return /bin/sh of this host and the libraries that it needs, by their paths in a layer."""
    need_program("ldd")
    real = os.path.realpath("/bin/sh")
    listed = subprocess.run(["ldd", real], capture_output=True, text=True, check=False).stdout
    members: dict[str, bytes | str | None] = {"bin": None, "bin/sh": Path(real).read_bytes()}
    for library in re.findall(r"(/\S+) \(0x", listed):
        folder = ""
        for part in Path(library).parent.parts[1:]:
            folder = f"{folder}/{part}".lstrip("/")
            members.setdefault(folder, None)
        members[library.lstrip("/")] = Path(library).read_bytes()
    members["only-here"] = b"inside"
    return members


def test_root_can_run_the_shell_of_the_layer(tmp_path: Path) -> None:
    need_root()
    need_program("chroot")
    members = _shell_with_libraries()
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="overlay")
    _put_executable(store, members)
    with running(tmp_path) as program:
        start(program, "c")
        tell(program, 'read -r line < /only-here; echo "<$line|$LAYERTUI_LAYER|$HOME>"', f"<inside|{'f' * 64}|/root>")
        tell(program, "exit", "exit")
        program.read_until("was mounted for the shell")
        program.press("\r")
        program.read_until("Unmounted")
        assert not [state for state in store.mounts() if state.count]
        program.press("q")
        assert program.ended(10) == 0


def _put_executable(store: LayerStore, members: dict[str, bytes | str | None]) -> None:
    """Create a layer in which every file is executable, unlike those of `make_tar`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                assert isinstance(content, bytes)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    store.put(buffer.getvalue(), id="f" * 64, names=["the-layer"])


# Without a terminal


async def test_a_terminal_that_cannot_be_handed_over_is_explained(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        await browser.press("s")
        await browser.until(lambda: isinstance(browser.app.screen, ShellDialog))
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ConfirmDialog))
        assert "A shell cannot run in this terminal" in screen_text(browser.app)
        assert [state.count for state in store.mounts()] == [1]
        await browser.press("enter")
        await browser.until(lambda: not store.mounts())


async def test_a_layer_without_a_shell_offers_none(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        browser.tree.go_to_key(store.get("lone").id)
        await browser.settle()
        await browser.press("s")
        await browser.until(lambda: isinstance(browser.app.screen, ShellDialog))
        assert "in the layer" not in screen_text(browser.app).replace("in the layer's", "")
        await browser.press("escape")
        assert not store.mounts(), "nothing is mounted before the user agrees"


async def test_the_dialog_counts_the_users_of_the_layer() -> None:
    layer = Layer(id="a" * 64, names=(HOSTILE,))
    make = lambda: ShellDialog(layer, "/bin/sh", images=2, containers=1, children=1)  # noqa: E731
    async with shown(make) as (app, pilot):
        assert_harmless(app)
        text = " ".join(screen_text(app).split())
        assert "2 images, 1 container, 1 child layer" in text.replace("│ │ ", "")
        await pilot.press("c")
        assert "run as root on this host" in " ".join(screen_text(app).split()).replace("│ │ ", "")
        await pilot.press("enter")
        assert app.results == ["/bin/sh"]


def test_an_id_cannot_run_anything_in_the_prompt() -> None:
    prompt = ShellCall("$(id)`w`\\h\x1b", "t", Path("/x")).environment({}, no_color=False)["PS1"]
    assert prompt[:-2].rstrip() == "[layer ??id??w??h?]"


def test_only_the_hosts_shell_inherits_the_environment() -> None:
    ours = {"TERM": "xterm", "SECRET": "s", "PATH": "/odd", "NO_COLOR": ""}
    outside = ShellCall("f" * 64, "t", Path("/x")).environment(ours, no_color=True)
    inside = ShellCall("f" * 64, "t", Path("/x"), "/bin/busybox")
    assert {name: outside[name] for name in ours} == ours
    values = inside.environment(ours, no_color=True)
    assert "SECRET" not in values
    assert (values["TERM"], values["NO_COLOR"], values["SHELL"]) == ("xterm", "", "/bin/busybox")
    assert "/usr/bin" in values["PATH"]
    assert ShellCall("f", "t", Path("/x")).environment({}, no_color=False).keys() == {"PS1", "LAYERTUI_LAYER"}
    assert inside.command[1:] == ["/x", "/bin/busybox", "sh"]


def test_an_unusable_shell_falls_back_to_bin_sh(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in ("/no/such/shell", "sh", "/etc/passwd", ""):
        monkeypatch.setenv("SHELL", wanted)
        assert shell.host_shell() == "/bin/sh"


def test_the_banner_is_escaped() -> None:
    banner = ShellCall("\x1b" * 64, HOSTILE, Path("/a\x1b[31m")).banner()
    assert all(char.isprintable() or char == "\n" for char in banner)
