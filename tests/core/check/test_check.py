"""The integrity check: it finds every kind of damage, and nothing in a healthy store."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile

import pytest

from layerstore import Cancelled, LayerStore, LayerUnknown
from layerstore.check import files
from layerstore.check.findings import Kind, Severity
from layerstore.drivers import staging
from layerstore.drivers.survey import FaultKind
from support.needs import need_root
from support.places import BASE, OVERLAY_DAMAGE, Damage, Place, swap
from support.stacks import random_layer
from support.tars import make_tar


def test_a_healthy_store_has_no_findings(place: Place) -> None:
    store = place.open()
    store.create(id="rw", parent="leaf")
    merged = store.mount("rw")
    (merged / "etc/new").write_text("a container may write anything")
    assert place.check(deep=True) == []
    store.unmount("rw")
    assert place.check(deep=True) == []


@pytest.mark.parametrize("seed", range(6))
def test_random_layers_have_no_findings(place: Place, seed: int) -> None:
    import random

    need_root()
    chance, store, parent = random.Random(seed), place.open(), None
    for number in range(6):
        tar = _without_whiteout_content(random_layer(chance, 1_700_000_000 + number, base=number == 0))
        parent = store.put(tar, id=f"r{number}", parent=parent)[0].id
    assert place.check(deep=True) == []


def _without_whiteout_content(tar: bytes) -> bytes:
    """Return the tar with empty whiteouts, as all tools write them. No store keeps the content of a whiteout."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar)) as old, tarfile.open(fileobj=buffer, mode="w") as new:
        for member in old:
            data = old.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            if "/.wh." in f"/{member.name}":
                member.size, data = 0, b""
            new.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_a_whiteout_with_content_is_a_note(place: Place) -> None:
    place.open().put(make_tar({"etc/.wh..wh..opq": b"content"}), id="odd", parent="base")
    (finding,) = place.check(deep=True)
    assert (finding.kind, finding.severity, finding.layer) == (Kind.UNCHECKED, Severity.NOTE, "odd")


def test_checking_changes_nothing(place: Place) -> None:
    shutil.rmtree(place.home / "side")
    place.change("leaf", flags={"incomplete": True})

    def snapshot() -> list[tuple[str, int, int]]:
        paths = sorted(place.graph.rglob("*"))
        return [(str(path), path.lstat().st_mtime_ns, path.lstat().st_ino) for path in paths]

    before = snapshot()
    expected = {Kind.NO_FOLDER, Kind.INCOMPLETE} | ({Kind.LINK_STRAY} if place.driver == "overlay" else set())
    assert {finding.kind for finding in place.open(read_only=True).check(deep=True)} == expected
    assert {finding.kind for finding in place.check(deep=True)} == expected
    assert snapshot() == before


# Records


def test_a_parent_without_a_record_names_the_affected_users(place: Place) -> None:
    place.users("images", {"id": "i1", "names": ["one", "uno"], "layer": "leaf"}, {"id": "i2", "layer": "side"})
    place.users("containers", {"id": "c1", "names": ["box"], "layer": "top"})
    place.write([record for record in place.records() if record["id"] != "base"])
    found = place.found()
    top = found[Kind.NO_PARENT, "top"]
    assert top.severity is Severity.DAMAGE
    assert "top" in top.text
    assert "base" in top.text
    assert (top.images, top.containers) == (("one", "uno"), ("box",))
    assert found[Kind.NO_PARENT, "side"].images == ("i2",)
    assert found[Kind.IMAGE_CHAIN, "top"].images == ("one", "uno")
    orphan = found[Kind.ORPHAN_FOLDER, "base"]
    assert orphan.severity is Severity.DAMAGE
    assert "is needed" in (orphan.repair or "")


def test_records_in_a_circle(place: Place) -> None:
    place.change("base", parent="leaf")
    assert {layer for kind, layer in place.found() if kind is Kind.CIRCLE} == {"base", "top", "leaf"}


def test_an_id_twice(place: Place) -> None:
    place.write([*place.records(), place.records()[1]])
    finding = place.found()[Kind.DUPLICATE, "top"]
    assert finding.severity is Severity.DAMAGE
    assert finding.repair is None


def test_an_incomplete_layer_is_a_leftover_and_one_below_others_is_damage(place: Place) -> None:
    place.change("leaf", flags={"incomplete": True})
    place.change("base", flags={"incomplete": True})
    found = place.found()
    assert found[Kind.INCOMPLETE, "leaf"].severity is Severity.LEFTOVER
    assert found[Kind.INCOMPLETE, "base"].severity is Severity.DAMAGE
    assert "3 layers based on it" in (found[Kind.INCOMPLETE, "base"].repair or "")


def test_a_name_that_two_layers_claim(place: Place) -> None:
    place.change("leaf", names=["named"])
    (finding,) = place.check()
    assert (finding.kind, finding.layer, finding.severity) == (Kind.NAME_TWICE, "top", Severity.LEFTOVER)


def test_images_and_containers_whose_layers_have_no_record(place: Place) -> None:
    place.users("images", {"id": "i", "names": ["lost"], "layer": "nowhere"}, {"id": "manifest", "names": ["list"]})
    place.users("containers", {"id": "c", "names": ["box"], "layer": "away"})
    found = place.found()
    assert found.keys() == {(Kind.IMAGE_LAYER, "nowhere"), (Kind.CONTAINER_LAYER, "away")}
    assert found[Kind.IMAGE_LAYER, "nowhere"].users == ("image lost",)
    assert found[Kind.CONTAINER_LAYER, "away"].users == ("container box",)


def test_layers_of_a_transient_store_have_records_below_the_run_root(place: Place) -> None:
    store = place.open()
    store.create(id="rw", parent="leaf")
    record = next(record for record in place.records() if record["id"] == "rw")
    place.write([kept for kept in place.records() if kept["id"] != "rw"])
    assert place.found().keys() == {(Kind.ORPHAN_FOLDER, "rw")}
    folder = place.run / f"{place.driver}-layers"
    (folder / "volatile-layers.json").write_text(json.dumps([record]))
    assert place.check() == []


@pytest.mark.parametrize("name", ["layers.json", "images.json", "containers.json", "mountpoints.json"])
def test_a_file_that_does_not_parse_is_a_finding_with_its_place(place: Place, name: str) -> None:
    store = place.open()
    place.users("images")
    place.users("containers")
    folder = place.run if name == "mountpoints.json" else place.graph
    path = folder / f"{place.driver}-{name.removesuffix('.json').replace('mountpoints', 'layers')}" / name
    path.write_text('[{"id":"x"},\n {"id":')
    (finding,) = list(store.check(deep=True))
    assert (finding.kind, finding.severity, finding.path) == (Kind.UNREADABLE, Severity.DAMAGE, str(path))
    assert "line 2" in finding.text
    assert finding.repair is None


def test_layers_on_those_of_an_image_store(place: Place) -> None:
    shared = LayerStore.open(place.folder / "shared", place.folder / "other-run", driver=place.driver)
    shared.put(make_tar({"etc": None, "etc/shared": b"1"}), id="lent")
    options = {"additionalimagestores": str(place.folder / "shared")}
    store = place.open(options=options)
    store.put(make_tar({"own": b"2"}), id="upon", parent="lent")
    place.users("images", {"id": "i", "names": ["one"], "layer": "upon"})
    assert list(store.check(deep=True)) == []
    shutil.rmtree(place.folder / "shared" / place.home.relative_to(place.graph) / "lent")
    found = {(finding.kind, finding.layer): finding for finding in store.check()}
    assert found[Kind.NO_FOLDER, "lent"].images == ("one",)
    assert found[Kind.NO_FOLDER, "lent"].repair is None
    shutil.rmtree(place.folder / "shared")
    found = {(finding.kind, finding.layer): finding for finding in store.check()}
    assert found.keys() >= {(Kind.IMAGE_STORE, ""), (Kind.NO_PARENT, "upon"), (Kind.IMAGE_CHAIN, "upon")}


def test_an_id_that_cannot_be_a_folder_name(place: Place) -> None:
    place.write([*place.records(), {"id": "../../etc"}])
    finding = place.found()[Kind.BAD_ID, "../../etc"]
    assert finding.repair is None
    place.files("leaf").joinpath("leaf").write_bytes(b"x")
    assert place.found(deep=True).keys() == {(Kind.BAD_ID, "../../etc"), (Kind.CONTENT, "leaf")}


# Files


def test_a_record_without_a_folder(place: Place) -> None:
    place.users("images", {"id": "i", "names": ["one"], "layer": "side"})
    shutil.rmtree(place.home / "side")
    finding = place.found()[Kind.NO_FOLDER, "side"]
    assert finding.severity is Severity.DAMAGE
    assert finding.images == ("one",)


def test_a_folder_without_a_record_and_unknown_folders(place: Place) -> None:
    place.write([record for record in place.records() if record["id"] != "side"])
    finding = place.found()[Kind.ORPHAN_FOLDER, "side"]
    assert (finding.severity, finding.users) == (Severity.LEFTOVER, ())
    assert (Kind.ORPHAN_DATA, "side") in place.found()
    if place.driver == "overlay":
        other = place.home / "lost+found"
        other.mkdir()
        assert (Kind.STRANGE_FOLDER, "") not in place.found()  # another program may still be filling it
        os.utime(other, (1_600_000_000, 1_600_000_000))
        strange = place.found()[Kind.STRANGE_FOLDER, ""]
        assert (strange.severity, strange.repair) == (Severity.NOTE, None)


def test_tar_splits(place: Place) -> None:
    (place.layers / "top.tar-split.gz").unlink()
    (place.layers / "side.tar-split.gz").write_bytes(b"no gzip")
    whole = (place.layers / "leaf.tar-split.gz").read_bytes()
    (place.layers / "leaf.tar-split.gz").write_bytes(whole[:-20])
    assert place.found().keys() == {(Kind.NO_TAR_SPLIT, "top"), (Kind.TAR_SPLIT, "side")}
    assert place.found(deep=True)[Kind.TAR_SPLIT, "leaf"].severity is Severity.DAMAGE


def test_big_data(place: Place) -> None:
    place.change("top", **{"big-data-names": ["plain", "Toc/1"]})
    folder = place.layers / "top"
    folder.mkdir()
    (folder / "plain").write_bytes(b"1")
    assert place.found().keys() == {(Kind.NO_BIG_DATA, "top")}
    (folder / "=VG9jLzE=").write_bytes(b"2")
    assert place.check() == []
    (folder / "stray").write_bytes(b"3")
    assert place.found()[Kind.STRAY_BIG_DATA, "top"].severity is Severity.LEFTOVER


def test_leftovers_of_a_dead_process(place: Place) -> None:
    root = place.graph / place.driver / "tempdirs"
    with staging.staging_folder(root) as folder:
        (folder / "0-x").mkdir()
        assert place.check() == []  # this process is working on it
        shutil.copytree(folder, root / "temp-dir-77")
        (finding,) = place.check()
    assert (finding.kind, finding.severity, finding.path) == (Kind.TEMPORARY, Severity.LEFTOVER, str(root))


def test_a_mount_that_only_mountpoints_json_has(place: Place) -> None:
    path = place.home / "gone/merged"
    text = json.dumps([{"id": "gone", "path": str(path), "count": 1}])
    (place.run / f"{place.driver}-layers" / "mountpoints.json").write_text(text)
    (finding,) = place.check()
    assert (finding.kind, finding.layer, finding.path) == (Kind.STALE_MOUNT, "gone", str(path))


@pytest.mark.parametrize("name", OVERLAY_DAMAGE)
def test_overlay_links(overlay: Place, name: str) -> None:
    damage, kind, layer = OVERLAY_DAMAGE[name]
    damage(overlay)
    assert overlay.found().keys() == {(kind, layer)}, overlay.check()
    finding = overlay.check()[0]
    assert finding.path.startswith(str(overlay.home))
    assert finding.repair


@pytest.mark.parametrize("fault", FaultKind)
def test_every_fault_of_a_driver_is_a_kind_of_finding(fault: FaultKind) -> None:
    assert Kind(fault).value == fault.value
    assert files._SEVERITIES[fault] in Severity


# Contents


def test_the_first_file_that_changed_is_named(place: Place) -> None:
    path = place.files("base") / "usr/bin/sh"
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"?")
    finding = place.found(deep=True)[Kind.CONTENT, "base"]
    assert finding.severity is Severity.DAMAGE
    assert finding.path == "/usr/bin/sh"
    assert "content has changed" in finding.text
    assert place.check() == []  # the quick check does not read


def _missing(place: Place) -> None:
    (place.files("base") / "etc/passwd").unlink()


def _shorter(place: Place) -> None:
    os.truncate(place.files("base") / "etc/passwd", 2)


def _filled(place: Place) -> None:
    (place.files("base") / "etc/empty").write_bytes(b"filled")


def _relinked(place: Place) -> None:
    swap(place.files("base") / "etc/link", "shadow")


def _replaced(place: Place) -> None:
    (place.files("base") / "etc/empty").unlink()
    (place.files("base") / "etc/empty").mkdir()


@pytest.mark.parametrize(
    ("damage", "path", "reason"),
    [
        (_missing, "/etc/passwd", "missing"),
        (_shorter, "/etc/passwd", "shorter"),
        (_filled, "/etc/empty", "has 6 bytes"),
        (_relinked, "/etc/link", "'passwd'"),
        (_replaced, "/etc/empty", "is now a folder"),
    ],
)
def test_changed_files_are_found(place: Place, damage: Damage, path: str, reason: str) -> None:
    damage(place)
    finding = place.found(deep=True)[Kind.CONTENT, "base"]
    assert finding.path == path
    assert reason in finding.text


def test_a_damaged_file_is_not_reported_for_its_time(place: Place) -> None:
    path = place.files("base") / "etc/passwd"
    path.write_bytes(b"evil")
    os.utime(path, (1, 1))
    assert place.found(deep=True).keys() == {(Kind.CONTENT, "base")}
    path.write_bytes(b"much longer")
    os.utime(path, (1, 1))
    assert place.found(deep=True).keys() == {(Kind.CONTENT, "base")}
    os.utime(place.files("base") / "usr/bin/sh", (1, 1))
    note = place.found(deep=True)[Kind.TIMES, "base"]
    assert "'/usr/bin/sh'" in note.text
    assert "same" not in note.text, "reading stopped before that file"


@pytest.mark.parametrize("damage", [_missing, _shorter, _filled])
def test_the_hint_for_changed_content_works(place: Place, damage: Damage) -> None:
    damage(place)
    finding = place.found(deep=True)[Kind.CONTENT, "base"]
    assert finding.repair is None
    assert "apply the layer's tar again" in finding.hint
    place.open().apply_diff("base", make_tar(BASE))
    assert place.check(deep=True) == []


def test_added_files_are_found(place: Place) -> None:
    files = place.files("top")
    (files / "etc/backdoor").write_text("1")
    (files / "var/lib").mkdir(parents=True)
    finding = place.found(deep=True)[Kind.ADDED, "top"]
    assert finding.severity is Severity.DAMAGE
    assert "'/etc/backdoor'" in finding.text
    assert "'/var/lib' (a folder)" in finding.text
    assert "3 files" in finding.text  # /var counts too


def test_an_added_whiteout_is_found(overlay: Place) -> None:
    os.mknod(overlay.files("top") / "usr", 0o020000, 0)
    assert "hides a file" in overlay.found(deep=True)[Kind.ADDED, "top"].text


def test_a_changed_time_is_a_note_and_a_changed_mode_is_damage(place: Place) -> None:
    os.utime(place.files("base") / "etc/passwd", (1, 1))
    (place.files("base") / "usr/bin/sh").chmod(0o777)
    found = place.found(deep=True)
    assert found.keys() == {(Kind.TIMES, "base"), (Kind.ATTRIBUTES, "base")}
    assert found[Kind.TIMES, "base"].severity is Severity.NOTE
    assert "mode 0777 instead of 0644" in found[Kind.ATTRIBUTES, "base"].text


def test_a_changed_owner_is_damage(place: Place) -> None:
    need_root()
    os.lchown(place.files("base") / "etc/link", 7, 8)
    assert "owner 7 instead of 0; group 8 instead of 0" in place.found(deep=True)[Kind.ATTRIBUTES, "base"].text


def test_lost_capabilities_are_damage(place: Place) -> None:
    need_root()
    value = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw, as of ping
    member = tarfile.TarInfo("ping")
    member.mode, member.pax_headers = 0o755, {"SCHILY.xattr.security.capability": value.decode()}
    place.open().put(make_tar({"ping": member}), id="able")
    assert place.check(deep=True) == []
    os.removexattr(place.files("able") / "ping", "security.capability")
    assert "capabilities" in place.found(deep=True)[Kind.ATTRIBUTES, "able"].text


# The call


def test_only_the_given_layers_are_checked(place: Place) -> None:
    for layer in ("base", "top"):
        os.truncate(place.files(layer) / ("etc/passwd" if layer == "base" else "etc/new"), 0)
    assert {finding.layer for finding in place.check(deep=True, refs=["named"])} == {"top"}
    with pytest.raises(LayerUnknown):
        place.check(refs=["none"])


def test_progress_and_cancellation_inside_a_layer(place: Place) -> None:
    seen: list[tuple[int, int | None]] = []
    findings = place.open().check(
        deep=True,
        refs=["base"],
        progress=lambda done, total: seen.append((done, total)),
        should_stop=lambda: bool(seen),
    )
    with pytest.raises(Cancelled):
        list(findings)
    assert 0 < seen[-1][0] < len(make_tar(BASE))
    seen.clear()
    list(place.open().check(deep=True, progress=lambda done, total: seen.append((done, total))))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > len(make_tar(BASE))


def test_a_deep_check_does_not_block_writers(place: Place) -> None:
    other = LayerStore.open(place.graph, place.run, driver=place.driver, lock_timeout=0.3)
    made: list[str] = []

    def write(done: int, total: int | None) -> None:
        del done, total
        made.append(other.create().id)

    assert list(place.open().check(deep=True, progress=write)) == []
    assert len(made) > 4


def test_a_layer_that_is_deleted_meanwhile_is_not_damaged(place: Place) -> None:
    other = place.open()

    def delete(done: int, total: int | None) -> None:
        del done, total
        if other.exists("side"):
            other.delete("side")

    assert list(place.open().check(deep=True, progress=delete)) == []
    assert not other.exists("side")
