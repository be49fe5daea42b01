"""The check screen and the repair of findings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Button, Input

from layerstore.check.findings import Finding, Kind, Severity
from layerstore.store import LayerStore
from layertui.dialogs.repair import RepairDialog, ResultsDialog, result_lines
from layertui.jobs.strip import JobsStrip
from layertui.screens.check.model import brief, build_findings
from layertui.screens.check.screen import CheckScreen
from layertui.screens.check.tree import FindingsTree
from support.browser import Browser, Place, browsing, check, check_of
from support.dialog_host import HOSTILE, assert_harmless, screen_text
from support.tars import large_tar, make_tar


def words(browser: Browser) -> str:
    """Return the text on the screen without frames and repeated blanks."""
    return " ".join(screen_text(browser.app).replace("│", " ").split())


def orphan(place: Place, name: str, size: int = 5000) -> Path:
    folder = place.root / "vfs" / "dir" / name
    folder.mkdir()
    (folder / "file").write_bytes(b"x" * size)
    return folder


async def test_a_sound_store_says_what_was_checked(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        await check(browser)
        assert "No problems found" in words(browser)
        assert "the records of all layers" in words(browser)
        assert "Not checked" in words(browser)
        await browser.press("D")
        await browser.until(lambda: "every file" in words(browser))
        await browser.press("escape")
        assert browser.app.screen is browser.screen


async def test_findings_are_grouped_and_explained(place: Place, store: LayerStore) -> None:
    orphan(place, "gone")
    base = store.get("base").id
    (place.root / "vfs" / "dir" / base / "etc" / "os-release").write_bytes(b"ID=evil!!\n")
    async with browsing(place.open) as browser:
        tree = await check(browser)
        assert [node.value for node in tree.found.nodes if isinstance(node, Severity)] == ["leftover"]
        assert "1 leftover" in words(browser)
        await browser.press("D")
        await browser.until(lambda: not check_of(browser).checking)
        await browser.settle()
        assert "1 damaged, 1 leftover" in words(browser)
        assert "Affects image docker.io/library/web:1" in words(browser)
        assert "container web-1" in words(browser)
        assert f"Layer {base}" in words(browser), "the full ID"
        assert "Repair No automatic fix. To fix: apply the layer's tar again" in words(browser)
        assert "Press a in the list of layers." in words(browser)
        await browser.press("f")
        assert isinstance(browser.app.screen, CheckScreen), "this finding has no repair to plan"
        await browser.press("G")
        assert "Repair delete the folder" in words(browser)


async def test_findings_of_a_later_check_get_the_focus(place: Place, store: LayerStore) -> None:
    async with browsing(place.open) as browser:
        tree = await check(browser)
        assert "No problems found" in words(browser)
        await browser.press("D")
        await browser.until(lambda: "No problems found" in words(browser) and not check_of(browser).checking)
        assert "Not checked: the copies in vfs layers" in words(browser)
        folder = orphan(place, "gone")
        await browser.press("R")
        await browser.until(lambda: not check_of(browser).checking)
        await browser.settle()
        assert folder.name in words(browser)
        await browser.press("space")
        assert len(tree.marks) == 1


async def test_a_cursor_that_was_moved_stays_where_it_is(place: Place, store: LayerStore) -> None:
    finding = Finding(Kind.STRAY_BIG_DATA, "1", Severity.LEFTOVER, f"layer {'ab' * 32} is too long for a list", "/a")
    other, damage = replace(finding, path="/b"), replace(finding, path="/c", severity=Severity.DAMAGE)
    async with browsing(place.open) as browser:
        tree = await check(browser)
        tree.show([finding])
        tree.show([finding, other])
        assert tree.cursor_finding is finding
        tree.action_move(1)
        tree.show([finding, other, damage])
        assert tree.cursor_finding is other
        tree.show([])
        tree.show([finding])
        tree.show([finding, damage])
        assert tree.cursor_finding is damage
    assert brief(finding) == f"layer {'ab' * 6} is too long for a list"


async def test_a_destructive_repair_needs_a_typed_word(place: Place, store: LayerStore) -> None:
    first, second = orphan(place, "gone"), orphan(place, "gone-too")
    async with browsing(place.open) as browser:
        await check(browser)
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        assert str(first.name) in words(browser)
        assert "loses its content" in words(browser)
        assert "1 step cannot be undone · frees" in words(browser)
        await browser.press("enter")
        assert isinstance(browser.app.screen, RepairDialog), "nothing happens before the word is typed"
        await browser.type("repair")
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ResultsDialog))
        assert "1 of 1 step done" in words(browser)
        assert not first.exists()
        assert second.exists(), "the finding that was not chosen stays"
        await browser.press("escape")
        await browser.until(lambda: not check_of(browser).checking)
        await browser.settle()
        assert len(check_of(browser).query_one(FindingsTree).found.nodes) == 2, "the store was checked again"


async def test_marks_choose_what_is_repaired(place: Place, store: LayerStore) -> None:
    folders = [orphan(place, f"gone-{number}") for number in range(3)]
    async with browsing(place.open) as browser:
        tree = await check(browser)
        await browser.press("g", "space")
        assert len(tree.marks) == 3, "on a group, all of its findings"
        await browser.press("g", "j", "space")
        assert len(tree.marks) == 2
        assert "2 marked" in words(browser)
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        assert "gone-0" not in words(browser).partition("Repair: 2 steps")[2].partition("cannot be undone")[0]
        await browser.type("repair")
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ResultsDialog))
    assert [folder.exists() for folder in folders] == [True, False, False]


async def test_layers_in_use_are_left_out_until_they_are_included(place: Place, store: LayerStore) -> None:
    middle = store.get("middle").id
    place.rewrite(lambda records: records.pop(next(i for i, one in enumerate(records) if one["id"] == middle)))
    orphaned = {store.get(name).id for name in ("app", "tool")}
    async with browsing(place.open) as browser:
        tree = await check(browser)
        no_parent = [finding for finding in tree.found.nodes if isinstance(finding, Finding)]
        assert orphaned <= {finding.layer for finding in no_parent if finding.kind is Kind.NO_PARENT}
        for key, node in zip(tree.found.keys, tree.found.nodes, strict=True):
            if isinstance(node, Finding) and node.kind is Kind.NO_PARENT and node.images:
                tree.go_to_key(key)
        await browser.settle()
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        assert "Nothing to repair" in words(browser)
        assert "1 finding left out" in words(browser)
        assert browser.app.screen.query_one("#repair", Button).disabled
        await browser.press("i")
        await browser.until(lambda: "Repair: 1 step" in words(browser))
        await browser.settle()
        assert "needed by image docker.io/library/web:1, container web-1" in words(browser)
        browser.app.screen.query_one("#word", Input).value = "repair"
        await browser.pilot.pause()
        await browser.press("y") if not browser.app.screen.query_one("#word").has_focus else None
        await browser.pilot.click("#repair") if isinstance(browser.app.screen, RepairDialog) else None
        await browser.until(lambda: isinstance(browser.app.screen, ResultsDialog))
    assert store.get("tool").id in orphaned
    assert not store.exists("app")


async def test_a_step_that_fails_says_why(place: Place, store: LayerStore) -> None:
    folder = orphan(place, "gone")
    async with browsing(place.open) as browser:
        await check(browser)
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        (place.root / "vfs-images" / "images.json").write_text("{broken")
        await browser.type("repair")
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ResultsDialog))
        assert "0 of 1 step done" in words(browser)
        assert "images.json" in words(browser)
    assert folder.exists()


async def test_a_read_only_store_shows_the_plan_and_repairs_nothing(place: Place, store: LayerStore) -> None:
    folder = orphan(place, "gone")
    async with browsing(lambda: place.open(read_only=True)) as browser:
        await check(browser)
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        assert "open read-only" in words(browser)
        assert browser.app.screen.query_one("#repair", Button).disabled
        await browser.press("y", "escape")
        assert isinstance(browser.app.screen, CheckScreen)
    assert folder.exists()


async def test_a_deep_check_is_stopped_and_keeps_what_it_found(place: Place, tmp_path: Path) -> None:
    large_tar(tmp_path / "large.tar", 600 << 20)
    with (tmp_path / "large.tar").open("rb") as tar:
        place.open().put(tar, names=["large"])
    orphan(place, "gone")
    async with browsing(place.open) as browser:
        tree = await check(browser)
        screen = check_of(browser)
        screen.action_perform("check.deep")
        strip = screen.query_one(JobsStrip)
        await browser.until(lambda: bool(strip.running) and strip.running[-1].done > 0)
        assert strip.running[-1].total
        screen.action_perform("check.cancel")
        await browser.until(lambda: "stopped" in words(browser))
        assert len(tree.found.nodes) == 2


async def test_leaving_stops_the_check_and_shows_what_was_repaired(place: Place, store: LayerStore) -> None:
    def unfinished(records: list[dict[str, object]]) -> None:
        next(one for one in records if one.get("names") == ["lone"])["flags"] = {"incomplete": True}

    place.rewrite(unfinished)
    async with browsing(place.open) as browser:
        assert "lone" in browser.titles
        await check(browser)
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        await browser.type("repair")
        await browser.press("enter")
        await browser.until(lambda: isinstance(browser.app.screen, ResultsDialog))
        await browser.press("escape", "D", "escape")
        await browser.until(lambda: browser.app.screen is browser.screen)
        await browser.until(lambda: "lone" not in browser.titles)
        await browser.until(lambda: browser.app.jobs.idle)
    assert "lone" not in json.dumps(json.loads(place.layers_json.read_bytes()))


async def test_hostile_findings_are_escaped(place: Place, store: LayerStore) -> None:
    orphan(place, "bad\x1b[31m[red]\u202e")
    async with browsing(place.open) as browser:
        await check(browser)
        assert_harmless(browser.app)
        await browser.press("f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        assert_harmless(browser.app)


def test_findings_are_grouped_under_unique_keys() -> None:
    found = build_findings(
        Finding(Kind.ORPHAN_FOLDER, "", list(Severity)[number % 3], HOSTILE, path=f"/x/{number // 2}")
        for number in range(10_000)
    )
    assert len(found.nodes) == 10_003
    assert len(set(found.keys)) == 10_003
    assert found.finding(0) is None
    assert len(found.below(0)) == len([n for n in range(10_000) if n % 3 == 0])
    assert found.below(1) == [1]
    assert result_lines(()) == []


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_repair_dialog_fits_every_screen(place: Place, store: LayerStore, size: tuple[int, int]) -> None:
    for number in range(60):
        orphan(place, f"gone-{number:02}" + "n" * 150)
    store.put(make_tar({"a": b"b"}), names=["more"])
    async with browsing(place.open, size) as browser:
        await check(browser)
        await browser.press("g", "f")
        await browser.until(lambda: isinstance(browser.app.screen, RepairDialog))
        await browser.settle()
        for part in ("#steps", "#sum", "#word", "#repair"):
            region = browser.app.screen.query_one(part).region
            assert region.bottom < size[1]
            assert region.height > 0
