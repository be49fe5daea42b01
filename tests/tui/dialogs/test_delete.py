"""Tests of the dialog for deleting layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.widgets import Button

from layertui.dialogs.delete import DeleteDialog, DeleteRequest, PlanLines
from layertui.model.deletion import build_delete_plan
from support.dialog_host import HOSTILE, Host, assert_harmless, play, screen_text, shown, still
from support.plan_rows import TREE, rows_of


def dialog(ids: Sequence[str], **more: dict[str, Any]) -> Callable[[], DeleteDialog]:
    return lambda: DeleteDialog(build_delete_plan(rows_of(TREE, **more), ids))


def button(app: Host, name: str) -> Button:
    return app.screen.query_one(f"#{name}", Button)


def delete_dialog(app: Host) -> DeleteDialog:
    screen = app.screen
    assert isinstance(screen, DeleteDialog)
    return screen


async def test_enter_alone_deletes_nothing() -> None:
    async with shown(dialog(["top"])) as (app, pilot):
        assert app.focused is button(app, "cancel")
        await pilot.press("enter")
        assert app.results == [None]


@pytest.mark.parametrize("keys", [["right", "enter"], ["y"]])
async def test_an_unused_layer_is_deleted_after_one_question(keys: list[str]) -> None:
    async with shown(dialog(["top", "left"])) as (app, pilot):
        await pilot.press(*keys)
        assert app.results == [DeleteRequest(("top", "left"))]


@pytest.mark.parametrize("key", ["escape", "n"])
async def test_the_question_can_be_declined(key: str) -> None:
    async with shown(dialog(["top"])) as (app, pilot):
        await pilot.press(key)
        assert app.results == [None]


async def test_child_layers_refuse_it_until_they_are_included() -> None:
    async with shown(dialog(["base"])) as (app, pilot):
        assert button(app, "delete").disabled
        assert "child layer left would lose its parent" in screen_text(app)
        await pilot.press("y")
        assert not app.results
        await pilot.press("i")
        assert "Delete 4 layers?" in screen_text(app)
        assert not button(app, "include").display
        await pilot.press("y")
        assert app.results == [DeleteRequest(("top", "left", "right", "base"))]


async def test_the_mouse_includes_and_deletes() -> None:
    async with shown(dialog(["base"])) as (app, pilot):
        await pilot.click("#include")
        await pilot.click("#delete")
        assert len(app.results[0].ids) == 4


async def test_a_layer_without_a_name_is_labelled_with_its_image() -> None:
    more = {"top": {"images": ("other:1", "app:1"), "tops": ("app:1",)}, "left": {"images": ("b:1",), "names": ("n",)}}
    async with shown(dialog(["top", "left"], **more)) as (app, _):
        text = screen_text(app)
        assert "top  (app:1)" in text
        assert "left  n" in text
        assert "(b:1)" not in text


async def test_a_layer_in_use_needs_the_word() -> None:
    more = {"top": {"images": ("app:1",), "containers": ("web",), "mount_count": 2}}
    async with shown(dialog(["top"], **more)) as (app, pilot):
        text = screen_text(app)
        assert "image app:1 becomes unusable" in text
        assert "container web loses its files" in text
        assert "mounted 2 times" in text
        await play(pilot, "'forc'", "enter")
        assert button(app, "delete").disabled
        assert not app.results
        await pilot.press("e", "enter")
        assert app.results == [DeleteRequest(("top",), force=True)]


async def test_the_podman_commands_for_broken_images_and_containers_are_shown() -> None:
    more = {"top": {"images": ("app:1", "app:2"), "containers": ("web",)}}
    async with shown(dialog(["top"], **more)) as (app, _):
        text = screen_text(app)
        assert '"layer not known"' in text
        assert "podman rm web" in text
        assert "podman rmi app:1 app:2" in text
    async with shown(dialog(["top"], top={"mount_count": 1})) as (app, _):
        assert "podman" not in screen_text(app)


async def test_layers_with_processes_cannot_be_deleted_by_force() -> None:
    asked: list[tuple[str, ...]] = []
    plan = build_delete_plan(rows_of(TREE, top={"mount_count": 1}), ["top"])
    async with shown(lambda: DeleteDialog(plan, lambda ids, _: asked.append(ids))) as (app, pilot):
        assert asked == [("top",)]
        delete_dialog(app).take_inhabitants(("other",), (("other", "elsewhere"),))
        delete_dialog(app).take_inhabitants(("top",), ())
        await pilot.pause()
        assert app.screen.query_one("#force-field").display
        delete_dialog(app).take_inhabitants(("top",), (("top", "sleep 9 (PID 7)"),))
        await pilot.pause()
        assert "sleep 9 (PID 7)" in screen_text(app)
        assert "elsewhere" not in screen_text(app)
        assert not app.screen.query_one("#force-field").display
        assert button(app, "delete").disabled


async def test_including_users_asks_for_the_word() -> None:
    async with shown(dialog(["left"], top={"images": ("app",)})) as (app, pilot):
        await play(pilot, "i", "'force'", "enter")
        assert app.results == [DeleteRequest(("top", "left"), force=True)]


async def test_a_read_only_store_refuses() -> None:
    async with shown(dialog(["top"], top={"read_only": True})) as (app, _):
        assert "The store is read-only." in screen_text(app)
        assert "free" not in screen_text(app).lower()
        assert button(app, "delete").disabled
        assert not button(app, "include").display
        assert not app.screen.query_one("#force-field").display


async def test_layers_that_are_already_gone() -> None:
    async with shown(dialog(["elsewhere"])) as (app, _):
        assert "Nothing to delete" in screen_text(app)
        assert "1 layer already deleted by another program." in screen_text(app)
        assert button(app, "delete").disabled


async def test_a_refused_plan_shows_what_it_would_free() -> None:
    async with shown(dialog(["left"])) as (app, pilot):
        delete_dialog(app).take_size(("left",), 4096)
        await pilot.pause()
        assert "Would free 4.1 kB on disk" in screen_text(app)
        assert "cannot be undone" not in screen_text(app)
        await pilot.press("i")
        assert "Frees " in screen_text(app)
        assert "cannot be undone" in screen_text(app)


async def test_layers_of_unknown_size() -> None:
    async with shown(dialog(["top", "right"], top={"size": None})) as (app, _):
        assert "Frees at least 10 B (1 layer not measured)" in screen_text(app)


async def test_hostile_names_are_escaped() -> None:
    more = {"top": {"names": (HOSTILE,), "images": (HOSTILE,)}}
    async with shown(dialog(["top"], **more)) as (app, _):
        assert r"[red]x[/] [/] \x1b[31m\u009b\u202e\xff" in screen_text(app)
        assert_harmless(app)


def test_lines_are_created_on_access() -> None:
    rows = rows_of(TREE, top={"images": ("a", "b"), "mount_count": 1})
    lines = PlanLines(build_delete_plan(rows, ["top", "left"]))
    assert len(lines) == 5
    assert [line.plain.strip()[:7] for line in lines] == ["10 B  t", "! image", "! image", "! mount", "10 B  l"]
    assert len(lines[1:3]) == 2


async def test_a_hundred_thousand_layers_open() -> None:
    rows = rows_of({"one": ""})
    row = rows["one"]
    many = {str(number): type(row)(str(number)) for number in range(100_000)}
    async with shown(lambda: DeleteDialog(build_delete_plan(many, many))) as (app, pilot):
        await pilot.press("shift+tab", "G")
        assert "99999" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    more = {
        "base": {"names": ("docker.io/library/fedora:41", "second"), "size": 190_000_000},
        "left": {"size": None},
        "top": {"names": ("[b]app[/]:latest",), "images": ("app:latest", "app:1.2"), "mount_count": 2},
    }
    assert snap_compare(Host(dialog(list(TREE), **more)), terminal_size=size, run_before=still)
