"""Tests of the session file and of what the browser restores from it."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from layerstore.store import LayerStore
from layertui import session as session_module
from layertui.app import LayertuiApp
from layertui.model.order import Order
from layertui.session import FOLDS, STORES, Session, StoreState
from layertui.settings import Settings, View
from layertui.theme import DARK, LIGHT
from support.browser import NOW, Browser, Place, wait_for
from support.needs import need_root
from support.program import Program

ROOT = Path("/graph")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "layertui" / "session.json"


# The file


def test_the_state_of_a_store_is_kept_by_root_and_driver(file: Path) -> None:
    session = Session(file)
    state = StoreState("changes", "size", "abc", ("a", "b"), "list")
    session.keep_store(ROOT, "overlay", state)
    session.save()
    again = Session(file)
    assert again.store(ROOT / "." / "x" / "..", "overlay") == state
    assert again.store(ROOT, "overlay").order is Order.SIZE
    assert again.store(ROOT, "vfs") == StoreState()
    assert again.store(Path("/other"), "overlay") == StoreState()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_written_without_changes(file: Path) -> None:
    Session(file).save()
    assert not file.parent.exists()


def test_the_default_location_is_the_state_folder(own_home: Path) -> None:
    assert Session().path == own_home / "state" / "layertui" / "session.json"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"stores": {"vfs:/graph": {"folded": "x"}}}', b"null"])
def test_a_corrupt_file_counts_as_empty_and_is_replaced(file: Path, raw: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(raw)
    session = Session(file)
    assert session.store(ROOT, "vfs") == StoreState()
    session.keep_store(ROOT, "vfs", StoreState("lineage"))
    session.save()
    assert Session(file).store(ROOT, "vfs").panel == "lineage"
    assert os.listdir(file.parent) == [file.name]


def test_the_file_of_a_later_version_can_be_read(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('{"new": 1, "stores": {"vfs:/graph": {"panel": "flames", "sort": "inodes", "extra": []}}}')
    state = Session(file).store(ROOT, "vfs")
    assert state.panel == "flames"
    assert state.order is None


def test_the_oldest_entries_are_dropped(file: Path) -> None:
    for number in range(STORES + 3):
        session = Session(file)
        session.keep_store(Path(f"/{number}"), "vfs", StoreState(cursor=str(number)))
        if number == STORES:
            session.keep_store(Path("/0"), "vfs", StoreState(cursor="again"))
        session.save()
    stores = json.loads(file.read_text())["stores"]
    assert len(stores) == STORES
    assert "vfs:/0" in stores
    assert "vfs:/1" not in stores
    assert f"vfs:/{STORES + 2}" in stores
    session = Session(file)
    session.keep_store(ROOT, "vfs", StoreState(folded=tuple(str(number) for number in range(FOLDS * 2))))
    session.save()
    assert len(Session(file).store(ROOT, "vfs").folded) == FOLDS


def test_two_programs_do_not_lose_each_others_stores(file: Path) -> None:
    one, other = Session(file), Session(file)
    one.keep_store(Path("/one"), "vfs", StoreState("changes"))
    one.keep_theme(LIGHT.name, "")
    one.save()
    other.keep_store(Path("/other"), "vfs", StoreState("lineage"))
    other.save()
    again = Session(file)
    assert again.store(Path("/one"), "vfs").panel == "changes"
    assert again.store(Path("/other"), "vfs").panel == "lineage"
    assert again.theme("") == LIGHT.name


def test_names_that_are_not_utf8_can_be_saved(file: Path) -> None:
    root = Path(os.fsdecode(b"/gr\xffaph"))
    session = Session(file)
    session.keep_store(root, "vfs", StoreState("changes", cursor="\ud800", folded=("\udcff",)))
    session.save()
    assert Session(file).store(root, "vfs").panel == "changes"


def test_a_theme_from_the_palette_is_used_until_the_configured_one_changes(file: Path) -> None:
    session = Session(file)
    session.keep_theme("nord", "monokai")
    session.save()
    assert Session(file).theme("monokai") == "nord"
    assert Session(file).theme("dracula") == "dracula"
    session = Session(file)
    session.keep_theme("monokai", "monokai")
    session.save()
    assert Session(file).theme("monokai") == "monokai"
    assert "nord" not in file.read_text()


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EPERM])
def test_missing_permission_and_disk_space_are_ignored(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    attempts: list[str] = []

    def fail(path: str, *arguments: Any, **options: Any) -> None:
        attempts.append(path)
        raise OSError(number, os.strerror(number))

    session = Session(file)
    session.keep_store(ROOT, "vfs", StoreState("changes"))
    monkeypatch.setattr(session_module, "write_file", fail)
    session.save()
    assert attempts == [str(file)]
    assert not file.exists()


def test_other_errors_are_raised(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    session = Session(tmp_path / "state" / "layertui" / "session.json")
    session.keep_store(ROOT, "vfs", StoreState("changes"))
    with pytest.raises(OSError, match="state"):
        session.save()


def test_root_writes_nothing_into_the_home_of_another_user(tmp_path: Path, file: Path) -> None:
    need_root()
    os.chown(tmp_path, 65534, 65534)
    session = Session(file)
    session.keep_store(ROOT, "vfs", StoreState("changes"))
    session.save()
    assert os.listdir(tmp_path) == []


# The program


@asynccontextmanager
async def run(place: Place, session: Session, settings: Settings = Settings()) -> AsyncIterator[Browser]:  # noqa: B008
    """Run the app and quit it with the `q` key."""
    app = LayertuiApp(place.open, clock=lambda: NOW, settings=settings, session=session)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await wait_for(lambda: len(app.screen_stack) > 1 and bool(app.screen.query("#layers")), pilot)
        browser = Browser(app, pilot)
        await browser.settle()
        yield browser
        await pilot.press("q")
    session.save()


async def test_panel_order_folds_and_cursor_are_restored(store: LayerStore, place: Place, file: Path) -> None:
    async with run(place, Session(file)) as browser:
        assert "app" in browser.titles
        browser.tree.go_to_key(browser.screen.view.names["middle"])
        await browser.press("left", "2", "end", "z")
        hidden, cursor = browser.titles, browser.cursor
        assert "app" not in hidden
    async with run(place, Session(file)) as browser:
        assert browser.titles == hidden
        assert browser.cursor == cursor
        assert browser.screen.panel.id == "changes"
        assert browser.screen.query_one("#list").has_class("-zoom")
        assert browser.tree.has_focus
        await browser.press("z", "o", "o", "g")
    async with run(place, Session(file)) as browser:
        assert browser.screen.order is Order.TOTAL
        assert browser.tree.cursor_line == 0
        await browser.press("o", "o", "o")
        assert browser.titles == hidden


async def test_a_zoomed_panel_is_restored_with_the_focus(store: LayerStore, place: Place, file: Path) -> None:
    async with run(place, Session(file)) as browser:
        await browser.press("4", "4", "z")
        assert browser.screen.query_one("#panels").has_class("-zoom")
    async with run(place, Session(file)) as browser:
        assert browser.screen.query_one("#panels").has_class("-zoom")
        assert browser.screen.panel.focus_target.has_focus


async def test_unknown_values_are_ignored(store: LayerStore, place: Place, file: Path) -> None:
    session = Session(file)
    session.keep_store(place.root, "vfs", StoreState("no panel", "no order", "no layer", ("gone",), "no pane"))
    async with run(place, session, Settings(view=View(sort=Order.NAME))) as browser:
        assert browser.titles == sorted(browser.titles)
        assert browser.tree.cursor_line == 0
        assert browser.screen.panel.id == "summary"


async def test_quitting_in_a_dialog_or_before_the_first_screen_keeps_the_saved_state(
    store: LayerStore, place: Place, file: Path
) -> None:
    state = StoreState("changes", "tree", "", (), "")
    session = Session(file)
    session.keep_store(place.root, "vfs", state)
    async with run(place, session) as browser:
        await browser.press("y")
        browser.app.exit()
    assert Session(file).store(place.root, "vfs").panel == "changes"

    app = LayertuiApp(place.open, session=Session(file))
    async with app.run_test():
        app.exit()
    app._session.save()  # type: ignore[union-attr]
    assert Session(file).store(place.root, "vfs").panel == "changes"


async def test_a_theme_is_remembered_only_if_it_was_changed(store: LayerStore, place: Place, file: Path) -> None:
    async with run(place, Session(file)) as browser:
        assert browser.app.theme == DARK.name
    assert "theme" not in json.loads(file.read_text())
    async with run(place, Session(file)) as browser:
        browser.app.theme = LIGHT.name
    async with run(place, Session(file)) as browser:
        assert browser.app.theme == LIGHT.name
    async with run(place, Session(file), Settings(theme="nord")) as browser:
        assert browser.app.theme == "nord"


async def test_an_unknown_theme_is_ignored(store: LayerStore, place: Place, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('{"theme": "from-the-future"}')
    async with run(place, Session(file)) as browser:
        assert browser.app.theme == DARK.name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = LayerStore.open(tmp_path / "g", tmp_path / "r", driver="vfs")
    store.create(names=["one-layer"])
    return tmp_path


def wait_for_the_end(program: Program) -> None:
    """Wait until the program exits. Its terminal may be closed already."""
    if program.terminal >= 0:
        assert program.ended(15) == 0
        return
    until = time.monotonic() + 15
    while os.waitpid(program.pid, os.WNOHANG)[0] == 0:
        assert time.monotonic() < until, "the program is still running"
        time.sleep(0.05)
    program.pid = 0


@pytest.mark.parametrize("how", ["quit", "hang up"])
def test_the_session_is_saved_on_quit_and_on_hangup(root: Path, own_home: Path, how: str) -> None:
    program = Program(root)
    try:
        program.read_until("one-layer")
        program.press("2")
        if how == "quit":
            program.press("q")
        else:
            os.close(program.terminal)
            program.terminal = -1
        wait_for_the_end(program)
        found = json.loads((own_home / "state" / "layertui" / "session.json").read_text())
    finally:
        program.close()
    assert [state["panel"] for state in found["stores"].values()] == ["changes"]


def test_remember_false_leaves_no_file(root: Path, own_home: Path) -> None:
    (own_home / "config" / "layertui").mkdir(parents=True)
    (own_home / "config" / "layertui" / "config.toml").write_text("remember = false")
    program = Program(root)
    try:
        program.read_until("one-layer")
        program.press("2", "q")
        assert program.ended(15) == 0
    finally:
        program.close()
    assert not (own_home / "state").exists()
