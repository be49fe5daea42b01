"""Repair: the plan says what is lost, nothing else is changed, and the next check finds nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from layerstore import LayerStore, StoreReadOnly
from layerstore.check.findings import Kind
from layerstore.check.repair import Outcome, RepairStep
from support.mounts import unmount_below
from support.needs import need_program, need_root
from support.places import OVERLAY_DAMAGE, Place
from support.tars import make_tar


def plan(place: Place, **options: bool) -> list[RepairStep]:
    store = place.open()
    return store.repair_plan(store.check(), **options)


def mend(place: Place, **options: bool) -> None:
    """Repair everything that can be repaired, and assert that it succeeds and that the next check finds nothing."""
    results = place.open().repair(plan(place, **options))
    assert results
    assert {result.outcome for result in results} == {Outcome.DONE}, results
    assert place.check(deep=True) == []


@pytest.mark.parametrize("name", OVERLAY_DAMAGE)
def test_overlay_links(tmp_path: Path, name: str) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    damage, kind, _ = OVERLAY_DAMAGE[name]
    merged = place.open().mount("leaf")
    before = sorted(str(path.relative_to(merged)) for path in merged.rglob("*"))
    place.open().unmount("leaf")
    damage(place)
    assert any(step.destructive for step in plan(place)) == (kind is Kind.NO_DIFF)
    mend(place)
    if kind is not Kind.NO_DIFF:
        merged = place.open().mount("leaf")
        assert sorted(str(path.relative_to(merged)) for path in merged.rglob("*")) == before
    unmount_below(tmp_path)


def test_a_folder_without_a_record_is_removed_and_its_size_is_known(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = plan(place, sizes=True)
    folder = next(step for step in steps if step.finding.kind is Kind.ORPHAN_FOLDER)
    assert folder.destructive
    assert folder.frees is not None
    assert folder.frees.inodes >= 2
    mend(place)
    assert not (place.home / "side").exists()
    assert not (place.layers / "side.tar-split.gz").exists()


def test_removing_a_folder_without_a_link_file_leaves_no_link(tmp_path: Path) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    place.write([record for record in place.records() if record["id"] != "side"])
    (place.home / "side/link").unlink()
    mend(place)
    assert len(os.listdir(place.home / "l")) == 3
    unmount_below(tmp_path)


def test_a_lower_file_is_rewritten_and_nothing_else(tmp_path: Path) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    (place.home / "leaf/lower").unlink()
    place.link("base").unlink()
    steps = [step for step in plan(place) if step.finding.kind is Kind.LOWER]
    (result,) = place.open().repair(steps)
    assert result.outcome is Outcome.DONE
    assert not os.path.lexists(place.link("base"))
    mend(place)
    (place.home / "leaf/lower").unlink()
    (place.home / "base/link").unlink()
    steps = plan(place)
    assert [step.finding.kind for step in steps] == [Kind.LINK_FILE, Kind.LOWER]
    (result,) = place.open().repair(steps[1:])
    assert result.outcome is Outcome.FAILED
    assert "repair that layer first" in result.text
    mend(place)
    unmount_below(tmp_path)


def test_a_folder_that_an_image_needs_is_removed_only_by_force(place: Place) -> None:
    place.users("images", {"id": "i", "names": ["one"], "layer": "leaf"})
    place.write([record for record in place.records() if record["id"] != "leaf"])
    assert plan(place) == []
    steps = plan(place, force=True)
    assert steps
    assert all("image one" in step.loses for step in steps)
    assert (place.home / "leaf").exists()


def test_folders_below_a_layer_with_a_record_stay(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] == "leaf"])
    removed = {step.layer for step in plan(place) if step.finding.kind is Kind.ORPHAN_FOLDER}
    # a vfs folder does not tell its parent, so only the parent in the leaf's record is known
    assert removed == ({"side"} if place.driver == "overlay" else {"side", "base"})


def test_a_folder_that_is_mounted_stays(tmp_path: Path) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = plan(place)
    merged = place.home / "side/merged"
    subprocess.run(["mount", "-t", "tmpfs", "none", str(merged)], check=True)
    try:
        assert not [step for step in plan(place) if step.finding.kind is Kind.ORPHAN_FOLDER]
        results = place.open().repair([step for step in steps if step.finding.kind is Kind.ORPHAN_FOLDER])
        assert [result.outcome for result in results] == [Outcome.FAILED]
    finally:
        unmount_below(tmp_path)
    assert merged.exists()


def test_a_folder_that_is_mounted_in_another_namespace_stays(tmp_path: Path) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = [step for step in plan(place) if step.finding.kind is Kind.ORPHAN_FOLDER]
    mounting = f"mount -t tmpfs none {place.home}/side/merged && echo mounted && exec sleep 60"
    command = [need_program("unshare"), "--mount", "sh", "-c", mounting]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"mounted\n"
            (result,) = place.open().repair(steps)
        finally:
            process.kill()
    assert result.outcome is Outcome.FAILED
    assert "another mount namespace" in result.text
    assert "sleep" in result.text
    assert place.files("side").exists()


def test_a_folder_that_a_process_works_in_stays_if_it_is_visible_there(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = [step for step in plan(place) if step.finding.kind is Kind.ORPHAN_FOLDER]
    with subprocess.Popen(["sleep", "60"], cwd=place.files("side")) as process:
        try:
            (result,) = place.open().repair(steps)
        finally:
            process.kill()
    if place.driver == "vfs":
        assert result.outcome is Outcome.FAILED
        assert "sleep" in result.text
        assert place.files("side").exists()
    else:  # processes use an overlay layer through its mount, and there is none
        assert result.outcome is Outcome.DONE
        assert not (place.home / "side").exists()


def test_a_broken_chain_is_removed_with_all_layers_based_on_it(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "base"])
    steps = plan(place)
    assert [step.layer for step in steps if step.finding.kind is Kind.NO_PARENT] == ["leaf", "top", "side"]
    assert all(step.loses for step in steps)
    results = place.open().repair(steps)
    assert {result.outcome for result in results} == {Outcome.DONE}
    mend(place)  # the folder below is not needed any more
    assert place.open().layers() == []
    assert os.listdir(place.home) in (["l"], [])


def test_a_broken_chain_in_use_is_removed_only_by_force(place: Place) -> None:
    place.users("images", {"id": "i", "names": ["one"], "layer": "leaf"})
    place.users("containers", {"id": "c", "names": ["box"], "layer": "side"})
    shutil.rmtree(place.home / "base")
    assert not [step for step in plan(place) if step.destructive]
    steps = [step for step in plan(place, force=True) if step.finding.kind is Kind.NO_FOLDER]
    assert [step.layer for step in steps] == ["leaf", "side", "top", "base"]
    assert "image one" in steps[0].loses
    assert "container box" in steps[1].loses
    assert {result.outcome for result in place.open().repair(steps)} == {Outcome.DONE}
    assert place.open().layers() == []


def test_a_layer_that_came_into_use_after_the_plan_stays(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    steps = plan(place)
    place.users("images", {"id": "i", "names": ["one"], "layer": "side"})
    outcome = {result.step.finding.kind: result for result in place.open().repair(steps)}
    assert outcome[Kind.NO_FOLDER].outcome is Outcome.FAILED
    assert "image" in outcome[Kind.NO_FOLDER].text
    assert place.open().exists("side")


def test_a_folder_that_came_into_use_after_the_plan_stays(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = plan(place)
    assert {step.finding.kind for step in steps} == {Kind.ORPHAN_FOLDER, Kind.ORPHAN_DATA}
    place.users("containers", {"id": "c", "names": ["box"], "layer": "side"})
    results = place.open().repair(steps)
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert all("box" in result.text for result in results)
    assert place.files("side").exists()


def test_records_in_a_circle(place: Place) -> None:
    place.change("base", parent="leaf")
    steps = [step for step in plan(place) if step.finding.kind is Kind.CIRCLE]
    assert {step.layer for step in steps} == {"base", "top", "leaf", "side"}
    results = place.open().repair(steps)
    assert {result.outcome for result in results} <= {Outcome.DONE, Outcome.GONE}, results
    assert not [finding for finding in place.check() if finding.kind is Kind.CIRCLE]


def test_incomplete_layers(place: Place) -> None:
    place.change("leaf", flags={"incomplete": True})
    place.change("side", flags={"incomplete": True})
    mend(place)
    assert [layer.id for layer in place.open().layers()] == ["base", "top"]


def test_names_mounts_and_leftovers(place: Place) -> None:
    place.change("leaf", names=["named"])
    path = place.run / f"{place.driver}-layers" / "mountpoints.json"
    path.write_text(json.dumps([{"id": "gone", "path": "/nowhere/merged", "count": 1}]))
    (place.graph / place.driver / "tempdirs/temp-dir-5/0-x").mkdir(parents=True)
    (place.layers / "tmp/temp-dir-6/0-x").mkdir(parents=True)
    place.change("top", **{"big-data-names": ["kept"]})
    (place.layers / "top").mkdir()
    for name in ("kept", "stray"):
        (place.layers / "top" / name).write_bytes(b"1")
    assert [step.finding.kind for step in plan(place) if step.destructive] == [Kind.STRAY_BIG_DATA]
    mend(place)
    assert place.open().get("named").id == "leaf"
    assert os.listdir(place.layers / "top") == ["kept"]
    assert json.loads(path.read_text()) == []


def test_staging_folders_are_removed_only_if_their_lock_is_free(tmp_path: Path) -> None:
    need_root()
    place = Place(tmp_path, "overlay")
    for name in ("locked", "unlocked"):
        folder = place.home / "staging" / name
        folder.mkdir(parents=True)
        if name == "locked":
            (folder / "staging.lock").touch()
        os.utime(folder, (1_600_000_000, 1_600_000_000))
    assert [Path(step.finding.path).name for step in plan(place)] == ["locked"]
    (result,) = place.open().repair(plan(place))
    assert result.outcome is Outcome.DONE
    assert os.listdir(place.home / "staging") == ["unlocked"]


def test_only_what_is_in_the_plan_is_done(place: Place) -> None:
    place.change("leaf", flags={"incomplete": True})
    shutil.rmtree(place.home / "side")
    steps = [step for step in plan(place) if step.finding.kind is Kind.NO_FOLDER]
    place.open().repair(steps)
    assert place.open().get("leaf").incomplete
    assert not place.open().exists("side")


def test_a_fault_that_no_longer_exists_is_skipped(place: Place) -> None:
    shutil.move(place.home / "side", place.folder / "aside")
    steps = plan(place)
    shutil.move(place.folder / "aside", place.home / "side")
    assert {result.outcome for result in place.open().repair(steps)} == {Outcome.GONE}
    assert place.check(deep=True) == []


def test_a_file_that_does_not_parse_is_never_written(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    store, steps = place.open(), plan(place)
    path = place.layers / "layers.json"
    path.write_text('[{"id":')
    results = store.repair(steps)
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert "layers.json" in results[0].text
    assert path.read_text() == '[{"id":'


def test_nothing_is_removed_if_its_users_are_unknown(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "side"])
    steps = plan(place)
    place.users("images")
    (place.graph / f"{place.driver}-images/images.json").write_text("[{")
    assert plan(place) == []
    assert {result.outcome for result in place.open().repair(steps)} == {Outcome.FAILED}
    assert (place.home / "side").exists()


def test_cancellation_between_two_steps(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    place.change("leaf", flags={"incomplete": True})
    seen: list[tuple[int, int]] = []
    store, steps = place.open(), plan(place)
    results = store.repair(
        steps, progress=lambda done, total: seen.append((done, total)), should_stop=lambda: bool(seen)
    )
    assert [result.outcome for result in results] == [Outcome.DONE, *[Outcome.SKIPPED] * (len(steps) - 1)]
    assert seen[-1] == (len(steps), len(steps))


def test_a_read_only_store_gets_a_plan_but_no_repair(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    store = LayerStore.open(place.graph, place.run, driver=place.driver, read_only=True)
    steps = store.repair_plan(store.check())
    assert steps
    with pytest.raises(StoreReadOnly):
        store.repair(steps)


def test_a_removed_layer_can_be_created_again(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    mend(place)
    store = place.open()
    store.put(make_tar({"side": b"2"}), id="side", parent="base")
    assert place.check(deep=True) == []
