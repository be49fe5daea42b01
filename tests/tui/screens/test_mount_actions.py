"""The actions on mounts: stale ones, and those in use by processes or containers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from layerstore import Layer, MountPlace, MountState
from layerstore.linux.mounttable import Process
from layerstore.operations.mount import MountUsers
from layerstore.store import LayerStore
from layertui.dialogs.confirm import ConfirmDialog
from layertui.dialogs.delete import DeleteDialog
from layertui.dialogs.error import ErrorDialog
from layertui.jobs.write import delete_job
from layertui.model.query import build_listing
from layertui.model.rows import LayerRow
from layertui.model.summary import Details, summarize
from layertui.model.unmounting import unmount_warning
from layertui.model.view import StoreView, build_view
from layertui.panels.layers.badges import badges_of
from support.browser import NOW, Browser, NoUsers, Place, browsing, view_of
from support.dialog_host import screen_text

HERE, ELSEWHERE, STALE = MountPlace.HERE, MountPlace.ELSEWHERE, MountPlace.STALE


def row_with(count: int, place: MountPlace, pid: int = 0) -> tuple[StoreView, LayerRow]:
    plain = view_of([Layer("a", names=("app",))])
    view = build_view(plain.info, plain.table, NoUsers(), mounts=[MountState("a", "/m", count, place, pid)])
    return view, view["a"]


@pytest.mark.parametrize(
    ("count", "place", "words", "label"),
    [
        (2, HERE, ("mounted×2", "mnt×2"), "Mounted"),
        (0, HERE, ("mounted×0", "mnt×0"), "Mounted"),
        (1, ELSEWHERE, ("↗mounted", "↗mnt"), "Namespace"),
        (3, STALE, ("!stale mount", "!mnt"), "Stale"),
    ],
)
def test_every_mount_state_has_its_own_badge_and_fields(
    count: int, place: MountPlace, words: tuple[str, str], label: str
) -> None:
    view, row = row_with(count, place, 812 if place is ELSEWHERE else 0)
    assert tuple(badges_of(row, short=short)[0].text for short in (False, True)) == words
    (group,) = [group for group in summarize(view, row, Details(), NOW) if group.title == "Mount"]
    fields = {field.label: field.value for field in group.fields}
    assert label in fields
    assert fields["Path"] == "/m"
    if place is STALE:
        assert fields["Stale"].startswith("recorded as mounted 3 times but not mounted")
        assert "Mounted" not in fields
    if place is ELSEWHERE:
        assert "PID 812" in fields["Namespace"]
    assert view.mounted == (place is not STALE)
    for word in ("stale", "mounted"):
        assert build_listing(view, f"is:{word}").matches == ((word == "stale") == (place is STALE))


def warning(count: int, *, force: bool = False, place: MountPlace = HERE, **users: Any) -> str:
    row = row_with(count, place)[1]
    return unmount_warning([row], {"a": MountUsers(row.mount, **users)}, force=force)


def test_unmounting_does_not_ask_if_nothing_would_notice() -> None:
    sleep = Process(7, "sleep 9", "root")
    assert warning(1) == ""
    assert warning(2, containers=("web",), processes=(sleep,)) == ""
    assert warning(1, place=STALE, containers=("web",)) == ""
    assert warning(1, place=ELSEWHERE, processes=(sleep,)) == ""


def test_the_warning_names_containers_and_processes() -> None:
    text = warning(1, containers=("web",), processes=(Process(7, "sleep 9", "root"),))
    assert "Container web" in text
    assert "sleep 9 (PID 7)" in text
    assert "podman stop" in text
    assert "no running process" in warning(1, containers=("web",))
    text = warning(1, processes=(Process(8, "bash", "cwd"), Process(9, "tail", "/m/log")))
    assert "has its working folder here: bash (PID 8)" in text
    assert "has /log open: tail (PID 9)" in text
    assert "cannot unmount an overlay" in text
    assert "mounted 3 times" in warning(3, force=True)
    many = warning(1, processes=tuple(Process(number, "x", "root") for number in range(50)))
    assert "and 44 more" in many


def lines(place: Place) -> Path:
    return place.run / "vfs-layers/mountpoints.json"


def record_stale(store: LayerStore, place: Place, *names: str) -> None:
    for name in names:
        store.mount(name)
        store.mount(name)
    records = json.loads(lines(place).read_bytes())
    lines(place).write_text(json.dumps([{**record, "path": f"/gone/{record['id']}"} for record in records]))


@contextmanager
def process_in(folder: Path) -> Iterator[int]:
    """Run a process with this working directory, and yield its PID."""
    process = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


async def dialog(browser: Browser, kind: type) -> str:
    await browser.until(lambda: isinstance(browser.app.screen, kind))
    await browser.settle()
    return screen_text(browser.app)


async def test_u_clears_a_stale_mount_after_a_question(store: LayerStore, place: Place) -> None:
    record_stale(store, place, "lone", "base")
    async with browsing(place.open, (220, 40)) as browser:
        assert "2 stale mounts" in browser.text("HeaderBar")
        assert "mounted" not in browser.text("HeaderBar")
        assert "!stale mount" in browser.text("#layers")
        assert "recorded as mounted 2 times" in " ".join(browser.text("FieldList").split())
        await browser.press("u")
        assert "Clear stale mounts?" in await dialog(browser, ConfirmDialog)
        await browser.press("n")
        assert len(json.loads(lines(place).read_bytes())) == 2
        await browser.press("u", "y")
        assert [record["id"] for record in json.loads(lines(place).read_bytes())] == [store.lookup("lone")]
        assert browser.text("#layers").count("!stale mount") == 1


async def test_the_palette_clears_all_stale_mounts(store: LayerStore, place: Place) -> None:
    record_stale(store, place, "lone", "base")
    async with browsing(place.open) as browser:
        await browser.press("ctrl+p")
        await browser.type("Clear all stale")
        await browser.pilot.pause(0.3)
        await browser.press("enter")
        assert "2 layers recorded" in await dialog(browser, ConfirmDialog)
        await browser.press("y")
        assert lines(place).read_bytes() == b"[]"
        browser.screen.action_perform("layers.clear-stale")
        await browser.settle()
        assert any("There is no stale mount" in toast.message for toast in browser.app._notifications)


async def test_unmounting_warns_about_processes_in_the_layer(store: LayerStore, place: Place) -> None:
    path = store.mount("base")
    async with browsing(place.open) as browser:
        with process_in(path) as pid:
            await browser.press("u")
            assert f"sleep 60 (PID {pid})" in await dialog(browser, ConfirmDialog)
            await browser.press("enter")
            assert store.get("base").mount_count == 1
            await browser.press("u", "y")
            assert store.get("base").mount_count == 0


async def test_unmounting_warns_about_a_container_of_the_layer(store: LayerStore, place: Place) -> None:
    store.mount("app")
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "u")
        assert "Container web-1 uses this mount" in await dialog(browser, ConfirmDialog)
        await browser.press("escape")
        assert store.get("app").mount_count == 1


async def test_unmount_for_all_users(store: LayerStore, place: Place) -> None:
    for _ in range(3):
        store.mount("base")
    async with browsing(place.open) as browser:
        await browser.press("u")
        assert store.get("base").mount_count == 2
        browser.screen.action_perform("layer.unmount-all")
        assert "mounted 2 times" in await dialog(browser, ConfirmDialog)
        await browser.press("y")
        assert store.get("base").mount_count == 0


async def test_delete_refuses_while_a_process_is_in_the_layer(store: LayerStore, place: Place) -> None:
    path = store.mount("lone")
    async with browsing(place.open) as browser:
        with process_in(path) as pid:
            await browser.press("end", "d")
            shown = await dialog(browser, DeleteDialog)
            assert f"sleep 60 (PID {pid})" in shown
            assert "Type force" not in shown
            await browser.press("y", "escape")
            assert browser.screen.browser.row is not None
            browser.app.jobs.submit(delete_job(store, [browser.screen.browser.row], force=True), browser.screen)
            assert f"sleep 60 (PID {pid})" in await dialog(browser, ErrorDialog)
            assert store.exists("lone")
            await browser.press("escape")


async def test_deleting_a_stale_mount_needs_no_typed_word(store: LayerStore, place: Place) -> None:
    record_stale(store, place, "lone")
    async with browsing(place.open) as browser:
        await browser.press("end", "d")
        assert "mounted 2 times" not in await dialog(browser, DeleteDialog)
        await browser.press("y")
        assert not store.exists("lone")
        assert lines(place).read_bytes() == b"[]"
