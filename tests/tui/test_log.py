"""The log: what failed leaves its traceback there, and never on the screen."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import LayerStore, NotSupported
from layertui.dialogs.error import ErrorDialog
from layertui.jobs.runner import Job
from layertui.log import log_file, start_log, stop_log
from support.browser import Place, browsing
from support.dialog_host import screen_text
from support.program import Program
from support.tars import make_tar


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state" / "layertui.log"
    start_log(path)
    yield path
    stop_log()


def test_a_log_is_created_by_its_first_record_and_readable_only_by_its_user(log: Path) -> None:
    assert not log.parent.exists()
    logging.getLogger("layerstore.linux").warning("cannot set %s", "an xattr\udcff")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "WARNING" in log.read_text()
    assert "cannot set an xattr\\udcff" in log.read_text()
    assert log_file() == log


def test_nothing_goes_to_standard_error(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("layertui.app").error("it failed")
    assert "it failed" in log.read_text()
    assert capfd.readouterr() == ("", "")


def test_a_log_rotates_and_keeps_two_older_files(log: Path) -> None:
    line = "x" * 1000
    for _ in range(5000):
        logging.getLogger("layertui.jobs").info(line)
    files = sorted(log.parent.iterdir())
    assert [file.name for file in files] == ["layertui.log", "layertui.log.1", "layertui.log.2"]
    assert all(file.stat().st_size <= 1 << 20 for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


@pytest.mark.parametrize("kind", ["file in place of the folder", "folder in place of the file", "link"])
def test_a_log_that_cannot_be_written_disturbs_nobody(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state" / "layertui.log"
    victim = tmp_path / "victim"
    if kind == "file in place of the folder":
        path.parent.write_text("")
    elif kind == "folder in place of the file":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir()
        path.symlink_to(victim)
    start_log(path)
    try:
        logging.getLogger("layertui.jobs").error("it failed")
        assert log_file() is None
        assert not victim.exists()
        assert capfd.readouterr() == ("", "")
    finally:
        stop_log()


async def test_an_unexpected_error_leaves_its_traceback_in_the_log_and_in_the_copied_report(
    log: Path, store: LayerStore, place: Place
) -> None:
    def fail(job: Job[None]) -> None:
        raise KeyError("key\x1b[/]")

    async with browsing(place.open) as browser:
        browser.app.jobs.submit(Job("Do something", fail), browser.screen)
        await browser.until(lambda: isinstance(browser.app.screen, ErrorDialog))
        await browser.settle()
        shown = "".join(screen_text(browser.app).split())
        assert "layertui.log" in shown
        assert "Traceback" not in shown
        await browser.press("y")
        report = browser.app.clipboard
    assert "Traceback (most recent call last)" in log.read_text()
    assert "Do something failed unexpectedly" in log.read_text()
    assert "Traceback (most recent call last)" in report
    assert "test_log.py" in report
    assert "\x1b" not in report


async def test_an_error_that_the_store_raises_on_purpose_is_one_line_in_the_log(
    log: Path, store: LayerStore, place: Place
) -> None:
    def fail(job: Job[None]) -> None:
        raise NotSupported("a composefs image")

    async with browsing(place.open) as browser:
        browser.app.jobs.submit(Job("Mount", fail), browser.screen)
        await browser.until(lambda: isinstance(browser.app.screen, ErrorDialog))
        await browser.press("y")
        assert "Traceback" not in browser.app.clipboard
    assert log.read_text().count("\n") == 1
    assert "Mount failed: a composefs image" in log.read_text()


_CRASH = """
import sys
from layertui.screens.main.screen import LayersScreen
def crash(self):
    secret = "the value of a variable"
    raise ValueError("[red]\\x1b]0;title")
LayersScreen.reload = crash
from layertui.cli import main
main(sys.argv[1:])
"""


def test_a_crash_ends_with_status_1_and_one_message_and_its_traceback_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.put(make_tar({"file": b"x"}), names=["base-layer"])
    program = Program(tmp_path, code=_CRASH)
    try:
        program.read_until("base-layer")
        os.write(program.terminal, b"R")
        program.read_until("This is a bug")
        assert program.ended(20) == 1
        output = bytes(program.output)
        assert b"ValueError: [red]\\x1b]0;title" in output
        assert b"Traceback" not in output
        assert b"the value of a variable" not in output
    finally:
        program.close()
    log = own_home / "state" / "layertui" / "layertui.log"
    assert "Traceback (most recent call last)" in log.read_text()
    assert "in crash" in log.read_text()
