"""The Summary, Changes and Lineage panels, and the tabs."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Static

from layerstore import Cancelled, Change, ChangeKind, IDMap, Layer
from layerstore.model import DiskUsage
from layerstore.store import LayerStore
from layertui.app import LayertuiApp
from layertui.model.summary import Details, Field, summarize
from layertui.panels.changes.model import UNCHANGED, ChangeFilter, build_change_tree, filter_changes
from layertui.panels.changes.panel import ChangesPanel, Compared
from layertui.panels.changes.tree import ChangesTree
from layertui.panels.details.fields import FieldList, _field_rows
from support.browser import NOW, Browser, Place, browsing, view_of, wait_for

ADD, MODIFY, DELETE = ChangeKind.ADD, ChangeKind.MODIFY, ChangeKind.DELETE
FOLDER = 0o040755


def changes() -> list[Change]:
    return [
        Change("/etc", MODIFY, 0, FOLDER),
        Change("/etc-old", DELETE, 9),
        Change("/etc/a", ADD, 10),
        Change("/etc/b/c", ADD, 500),
        Change("/etc/gone", DELETE, 7000),
    ]


# The tree of changes


def test_folders_include_the_sizes_of_their_content() -> None:
    tree = build_change_tree(changes())
    nodes = [(tree.path(node), tree.kinds[node], tree.sizes[node]) for node in range(len(tree))]
    assert nodes == [
        ("/etc", MODIFY, 510),
        ("/etc/a", ADD, 10),
        ("/etc/b", UNCHANGED, 500),
        ("/etc/b/c", ADD, 500),
        ("/etc/gone", DELETE, 7000),
        ("/etc-old", DELETE, 9),
    ]
    assert tree.counts == (1, 2, 2)
    assert tree.size == 510


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        (ChangeFilter(frozenset({DELETE})), ["/etc", "/etc/gone", "/etc-old"]),
        (ChangeFilter(text="B/C"), ["/etc", "/etc/b", "/etc/b/c"]),
        (ChangeFilter(text="etc old"), ["/etc-old"]),
        (ChangeFilter(by_size=True), ["/etc", "/etc/gone", "/etc/b", "/etc/b/c", "/etc/a", "/etc-old"]),
        (ChangeFilter(text="nothing"), []),
    ],
)
def test_filters_and_order(wanted: ChangeFilter, paths: list[str]) -> None:
    tree = build_change_tree(changes(), wanted)
    assert [tree.path(node) for node in range(len(tree))] == paths


def test_building_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        build_change_tree(changes(), should_stop=lambda: True)


names = st.text(st.sampled_from("ab-.é\udcff"), min_size=1, max_size=3)


@given(
    st.dictionaries(
        st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)), st.integers(0, 99)
    )
)
def test_every_change_is_in_the_tree_once(sizes: dict[str, int]) -> None:
    tree = build_change_tree([Change(path, ADD, size) for path, size in sorted(sizes.items())])
    paths = [tree.path(node) for node in range(len(tree))]
    assert len(set(paths)) == len(paths)
    assert {path for node, path in enumerate(paths) if tree.kinds[node] == ADD} == set(sizes)
    for node, path in enumerate(paths):
        inside = [size for other, size in sizes.items() if other == path or other.startswith(path + "/")]
        assert tree.sizes[node] == sum(inside)


@given(
    st.dictionaries(
        st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)), st.sampled_from(ChangeKind)
    ),
    st.lists(st.text(st.sampled_from("abÉé/"), min_size=1, max_size=4), max_size=2).map(" ".join),
    st.sets(st.sampled_from(ChangeKind), min_size=1).map(frozenset),
    st.booleans(),
)
def test_a_filter_finds_the_paths_that_contain_its_words(
    kinds: dict[str, ChangeKind], text: str, wanted: frozenset[ChangeKind], by_size: bool
) -> None:
    whole = build_change_tree([Change(path, kind, 1) for path, kind in sorted(kinds.items())]).whole
    tree = filter_changes(whole, ChangeFilter(wanted, text, by_size))
    found = {
        path
        for path, kind in kinds.items()
        if kind in wanted and all(word in path.casefold() for word in text.casefold().split())
    }
    paths = [tree.path(node) for node in range(len(tree))]
    assert {path for node, path in enumerate(paths) if tree.kinds[node] != UNCHANGED} == found
    assert all(any(other.startswith(path + "/") for other in found) for path in set(paths) - found)
    assert len(paths) == len(set(paths))
    assert sum(tree.counts) == len(found)
    for node, number in enumerate(tree.nodes):
        assert tree.place_of(number) == node
        inside = [other for other in found if other.startswith(paths[node] + "/") and kinds[other] != DELETE]
        assert tree.sizes[node] == len(inside) + (paths[node] in found)


# Summary


def fields_of(view: Any, layer_id: str, details: Details | None = None) -> dict[str, str]:
    groups = summarize(view, view[layer_id], details or Details(), NOW)
    return {f"{group.title}/{field.label}": field.value for group in groups for field in group.fields}


def test_the_summary_has_all_fields() -> None:
    layer = Layer(
        "b" * 64,
        names=("one", "two"),
        parent="a" * 64,
        metadata='{"x":1}',
        mount_label="system_u",
        created=NOW - timedelta(hours=2),
        compressed_diff_digest="sha256:c",
        compressed_size=1000,
        diff_digest="sha256:d",
        diff_size=2000,
        compression=2,
        toc_digest="sha256:t",
        uidset=(0, 5),
        flags={"note": "x", "n": 1},
        big_data_names=("blob",),
        mount_point="/m",
        mount_count=2,
    )
    view = view_of([Layer("a" * 64, diff_size=3, names=("parent",)), layer, Layer("c", parent="b" * 64)])
    fields = fields_of(view, layer.id)
    assert fields["Layer/ID"] == "b" * 64
    assert (fields["Layer/Name"], fields["Layer/"]) == ("one", "two")
    assert fields["Layer/Parent"].startswith("parent  aaa")
    assert fields["Layer/Created"].endswith("(2 hours ago)")
    assert fields["Size/Own"] == "2.0 kB (2,000 bytes)"
    assert fields["Size/Total"] == "2.0 kB (2,003 bytes) in 2 layers"
    assert fields["Size/Above"] == "1 child"
    assert fields["Mount/Mounted"] == "2 times"
    assert (fields["Mount/Path"], fields["Mount/Label"]) == ("/m", "system_u")
    assert (fields["Diff/Digest"], fields["Diff/Compressed"]) == ("sha256:d", "sha256:c")
    assert (fields["Partial pull/TOC digest"], fields["Diff/Packed as"]) == ("sha256:t", "gzip")
    assert fields["Big data/"] == "blob"
    assert (fields["Flags/note"], fields["Flags/n"]) == ('"x"', "1")
    assert (fields["Owners/UIDs"], fields["Metadata/"]) == ("0, 5", '{"x":1}')


def test_the_summary_shows_a_partial_pull_and_its_blobs() -> None:
    layer = Layer("a", toc_digest="sha256:t", diff_size=-1, big_data_names=("zstd-chunked-manifest", "gone"))
    view = view_of([layer])
    blobs = {"zstd-chunked-manifest": 1234, "gone": None}
    details = Details(paths={"diff": Path("/d")}, blobs=blobs)
    fields = fields_of(view, "a", details)
    assert fields["Partial pull/Pulled"].startswith("partially")
    assert "not known" in fields["Partial pull/Verified"]
    assert fields["Partial pull/Composefs"] == "no"
    groups = {group.title: group.fields for group in summarize(view, view["a"], details, NOW)}
    assert [(field.value, field.tone) for field in groups["Big data"]] == [
        ("zstd-chunked-manifest: 1.2 kB (1,234 bytes)", ""),
        ("gone: file missing or unreadable", "error"),
    ]
    composefs = fields_of(view, "a", Details(paths={"composefs": Path("/d/composefs.blob")}))
    assert "podman save" in composefs["Partial pull/Composefs"]


def test_the_summary_shows_the_owners_on_disk() -> None:
    layer = Layer("a", uidmap=(IDMap(0, 100_000, 5000),), gidmap=(IDMap(0, 5, 1), IDMap(1, 200_000, 10)))
    (owners,) = [g for g in summarize(view_of([layer]), view_of([layer])["a"], Details(), NOW) if g.title == "Owners"]
    assert [(field.label, field.value) for field in owners.fields] == [
        ("On disk", "mapped; changes and exports show the owners inside containers"),
        ("UID map", "0 to 4999 are 100000 to 104999 on disk"),
        ("GID map", "0 is 5 on disk"),
        ("", "1 to 10 are 200000 to 200009 on disk"),
    ]


def test_the_summary_shows_problems() -> None:
    view = view_of([Layer("a", parent="gone", flags={"incomplete": True})])
    fields = fields_of(view, "a")
    assert fields["Layer/Problem"] == "no parent"
    assert fields["Layer/Parent"] == "gone (has no record)"
    assert fields["Layer/State"] == "incomplete"
    assert fields["Used by/"] == "no image and no container"
    assert fields["Size/On disk"] == "measuring…"


async def test_the_summary_follows_the_cursor_and_measures(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(160, 60)) as browser:
        shown = browser.text("FieldList")
        assert "base" in shown
        assert "vfs/dir" in shown.replace("\n", "").replace(" ", "")
        await browser.press("end")
        shown = browser.text("FieldList")
        assert "lone" in shown
        assert "inode" in shown
        assert "measuring" not in shown


class Slow(LayerStore):
    """A real store that blocks measurements until `may` is set, and records which ones began and ended."""

    may = threading.Event()
    begun: ClassVar[list[str]] = []
    ended: ClassVar[list[str]] = []

    def usage(self, ref: str, **how: Any) -> DiskUsage:
        self.begun.append(ref)
        while not self.may.wait(0.005):
            if how["should_stop"]():
                raise Cancelled("measuring")
        self.ended.append(ref)
        return super().usage(ref, **how)


async def test_every_layer_the_cursor_rests_on_is_measured_and_totals_follow(place: Place) -> None:
    store = place.open()
    below = None
    for name in ("bottom", "middle", "top"):
        below = store.create(names=[name], parent=below).id
    Slow.may.clear()
    Slow.begun.clear()
    Slow.ended.clear()
    async with browsing_slow(place) as browser:
        ids = [store.lookup(name) for name in ("bottom", "middle", "top")]
        await browser.until(lambda: Slow.begun == ids[:1])
        await browser.pilot.press("6", "j")
        await browser.until(lambda: Slow.begun == ids[:2])
        await browser.pilot.press("j")
        await browser.until(lambda: Slow.begun == ids)
        assert not Slow.ended
        assert not any(row.total_is_exact for row in browser.screen.view.rows)
        Slow.may.set()
        await browser.settle()
        assert Slow.ended == [ids[2], ids[1], ids[0]]
        view = browser.screen.view
        assert all(row.total_is_exact for row in view.rows)
        assert view[ids[2]].total == sum(store.usage(layer_id).size for layer_id in ids)
        assert browser.tree.listing is not None
        assert browser.tree.listing.view is view
        assert "+" not in browser.lines("#layers")[2]


async def test_reload_keeps_sizes_until_they_are_measured_again(place: Place) -> None:
    store = place.open()
    ids = [store.create(names=[name]).id for name in ("one", "two")]
    Slow.may.set()
    Slow.begun.clear()
    async with browsing_slow(place) as browser:
        await browser.settle()
        await browser.press("j")
        assert sorted(Slow.begun) == sorted(ids)
        here, other = Slow.begun[1], Slow.begun[0]
        for layer_id in ids:
            (place.root / "vfs/dir" / layer_id / "file").write_bytes(bytes(50_000))
        Slow.may.clear()
        await browser.pilot.press("R")
        await browser.until(lambda: len(Slow.begun) == 3)
        assert all(row.size is not None and row.size < 50_000 for row in browser.screen.view.rows)
        Slow.may.set()
        await browser.settle()
        assert (Slow.begun[2:], browser.screen.view[here].size) == ([here], store.usage(here).size)
        await browser.press("k")
        assert (Slow.begun[3:], browser.screen.view[other].size) == ([other], store.usage(other).size)
        assert browser.screen.view[other].size > 50_000
        await browser.press("j")
        assert len(Slow.begun) == 4


@asynccontextmanager
async def browsing_slow(place: Place) -> AsyncIterator[Browser]:
    """Browse a `Slow` store, without waiting until the program is idle: a blocked measurement keeps it busy."""
    app = LayertuiApp(lambda: Slow.open(place.root, place.run, driver="vfs"), clock=lambda: NOW)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        try:
            await wait_for(lambda: bool(app.screen.query("#layers")), pilot)
            yield Browser(app, pilot)
        finally:
            Slow.may.set()


def test_a_path_goes_below_its_label_to_keep_its_names_whole() -> None:
    path = "/var/lib/containers/storage/overlay/" + "c0ffee" * 10 + "abcd/merged"
    rows = _field_rows(0, Field("merged", path), 77)
    assert [(row.label, row.text, row.below) for row in rows] == [
        ("merged", "", False),
        ("", path[:36], True),
        ("", path[36:], True),
    ]
    assert [row.text for row in _field_rows(0, Field("ID", "c" * 64), 77)] == ["c" * 64]
    assert [row.text for row in _field_rows(0, Field("ID", "c" * 65), 77)] == ["c" * 33, "c" * 32]
    assert [row.below for row in _field_rows(0, Field("merged", path), 200)] == [False]


async def test_a_field_is_copied(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("tab")
        assert browser.screen.query_one(FieldList).has_focus
        await browser.press("y")
        assert browser.app.clipboard == store.lookup("base")
        await browser.press("j", "y")
        assert browser.app.clipboard == "base"
        await browser.press("G", "g", "pagedown", "pageup", "k", "enter")
        assert browser.app.clipboard == store.lookup("base")


async def test_reload_does_not_blank_the_summary(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(120, 60)) as browser:
        fields = browser.screen.query_one(FieldList)
        assert "vfs/dir/" in browser.text("FieldList")
        shown: list[str] = []
        show = fields.show_groups

        def note(groups: Any, **how: Any) -> None:
            shown.extend(field.value for group in groups for field in group.fields)
            show(groups, **how)

        fields.show_groups = note  # type: ignore[method-assign]
        await browser.press("R")
        assert any("vfs/dir/" in value for value in shown)
        assert "looking…" not in shown
        assert "measuring…" not in shown


# Changes


async def test_changes_of_a_layer(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j", "2")
        shown = browser.lines("#changes-tree")
        assert any(line.lstrip().startswith("A") and "tool" in line and "20.0 kB" in line for line in shown)
        assert any(line.lstrip().startswith("D") and "sh" in line for line in shown)
        assert "A 1" in browser.text("ChangesSummary")
        assert "tool against middle, its parent" in browser.text("ChangesSummary")
        await browser.press("k")
        assert "main.py" in browser.text("#changes-tree")


async def test_kinds_order_and_filter_of_changes(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j", "2", "2")
        assert browser.screen.query_one(ChangesTree).has_focus
        await browser.press("D")
        assert not any(line.lstrip().startswith("D") for line in browser.lines("#changes-tree"))
        await browser.press("D", "o")
        assert "by size" in browser.text("ChangesSummary")
        await browser.press("slash")
        await browser.type("tool")
        assert "tool" in browser.text("#changes-tree")
        assert "sh " not in browser.text("#changes-tree")
        await browser.press("enter")
        assert browser.screen.query_one(ChangesTree).has_focus
        await browser.press("escape")
        assert any(line.lstrip().startswith("D") for line in browser.lines("#changes-tree"))


async def test_a_filter_without_matches_says_so(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j", "2", "2", "slash")
        await browser.type("zzz")
        note = browser.screen.query_one("#changes-note", Static)
        assert "Nothing matches the filter" in str(note.render())
        await browser.press("escape")
        assert not note.display
        await browser.press("A", "M", "D")
        assert not note.display


async def test_reload_keeps_the_changes_and_the_cursor(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "j", "j", "2", "2", "G")
        before, cursor = browser.text("#changes-tree"), browser.screen.query_one(ChangesTree).cursor_line
        assert cursor
        shown: list[str] = []
        panel = browser.screen.query_one(ChangesPanel)
        panel.show_note = lambda against, note: shown.append(note)  # type: ignore[method-assign]
        await browser.press("R")
        assert browser.text("#changes-tree") == before
        assert browser.screen.query_one(ChangesTree).cursor_line == cursor
        assert shown == []


def test_a_comparison_is_cut_to_the_width() -> None:
    compared = Compared("registry.example.org/shop:2.3", "registry.example.org/team/backend:12", "its parent")
    assert compared.text(200) == f"{compared.title} against {compared.base}, its parent"
    assert compared.text(44) == "…/shop:2.3 against …/backend:12, its parent"
    assert len(Compared("x" * 300, "y" * 300, "its parent").text(40)) == 40
    assert Compared("base", why="is a base layer").text(40) == "base is a base layer"


async def test_changes_against_a_marked_layer(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("equals_sign", "j", "j", "2")
        assert "=base" in browser.text("#layers")
        assert "against base, marked with =" in browser.text("ChangesSummary")
        assert "opt" in browser.text("#changes-tree")
        await browser.press("g", "equals_sign", "j", "j")
        assert "against middle, its parent" in browser.text("ChangesSummary")
        assert "opt" not in browser.text("#changes-tree")


async def test_changes_that_cannot_be_computed_are_explained(store: LayerStore, place: Place) -> None:
    def orphan(records: list[dict[str, Any]]) -> None:
        records[1]["parent"] = "f" * 64

    place.rewrite(orphan)
    async with browsing(place.open) as browser:
        await browser.press("2")
        browser.tree.go_to_key(store.lookup("middle"))
        await browser.settle()
        assert "Cannot compare" in str(browser.screen.query_one("#changes-note").render())
        assert len(browser.app.screen_stack) == 2


async def test_changes_are_cached(store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    whole = LayerStore.changes

    def counted(self: LayerStore, to: str, *rest: Any, **options: Any) -> list[Change]:
        asked.append(to)
        return whole(self, to, *rest, **options)

    monkeypatch.setattr(LayerStore, "changes", counted)
    async with browsing(place.open) as browser:
        await browser.press("2")
        await browser.press("j")
        await browser.press("k")
        assert asked == [store.lookup("base"), store.lookup("middle")]


# Lineage


async def test_lineage_and_going_to_a_layer_in_it(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("j", "4")
        shown = browser.text("LineageTree")
        assert all(name in shown for name in ("base", "middle", "app", "tool", "◀", "web:1"))
        assert "lone" not in shown
        await browser.press("4", "j", "enter")
        assert browser.cursor == "app"
        assert browser.tree.has_focus
        assert "tool" not in browser.text("LineageTree")


async def test_a_layer_that_the_filter_hides_is_found_from_its_lineage(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("slash")
        await browser.type("tool")
        await browser.press("enter")
        browser.screen.show_panel("lineage")
        browser.screen.go_to_layer(store.lookup("app"))
        await browser.settle()
        assert browser.cursor == "app"
        assert len(browser.titles) == 5


# Tabs


async def test_panels_by_key_by_bracket_and_by_mouse(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        seen = []
        for key in (
            "right_square_bracket",
            "right_square_bracket",
            "right_square_bracket",
            "left_square_bracket",
            "2",
            "1",
        ):
            await browser.press(key)
            seen.append(browser.screen.panel.id)
        assert seen == ["changes", "files", "lineage", "files", "changes", "summary"]
        await browser.pilot.click("PanelTabs", offset=(12, 0))
        await browser.settle()
        assert browser.screen.panel.id == "changes"


async def test_zoom(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        width = browser.tree.size.width
        await browser.press("z")
        assert browser.tree.size.width > width + 30
        await browser.press("escape")
        assert browser.tree.size.width == width
