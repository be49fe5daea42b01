"""The list of layers: the view of the records, the filter and the orders, the rows and the tree."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore import Cancelled, Layer
from layerstore.store import LayerStore
from layertui.model.deletion import build_delete_plan
from layertui.model.order import Order
from layertui.model.query import build_lineage, build_listing, parse_query
from layertui.model.view import Fault, StoreView
from layertui.panels.layers.badges import BASE, HERE, badges_of
from layertui.panels.layers.rows import columns_for, short_image, users_of
from layertui.screens.legend import legend
from layertui.widgets.tree.shape import ROOT
from support.browser import NOW, Place, browsing, view_of


class Users:
    image_tops = (("web:1", ("c",)),)

    def images(self, layer_id: str) -> tuple[str, ...]:
        return ("web:1",) if layer_id in "abc" else ()

    def containers(self, layer_id: str) -> tuple[str, ...]:
        return ("web-1",) if layer_id == "c" else ()


def layers() -> list[Layer]:
    """Return five layers: a is the parent of b, b of c and d; e has none."""
    return [
        Layer("d", parent="b", diff_size=4000, created=NOW - timedelta(days=1)),
        Layer("a", names=("base",), diff_size=1000, diff_digest="sha256:1", created=NOW - timedelta(days=9)),
        Layer("b", parent="a", diff_size=200_000_000, created=NOW - timedelta(days=5)),
        Layer("c", parent="b", names=("App",), mount_count=2, created=datetime(2025, 6, 14)),
        Layer("e", diff_size=5, flags={"incomplete": True}),
    ]


@pytest.fixture
def view() -> StoreView:
    return view_of(layers(), Users())


def ids(rows: Any) -> list[str]:
    return [row.id for row in rows]


# The view


def test_rows_are_in_tree_order_and_complete(view: StoreView) -> None:
    assert ids(view.rows) == ["a", "b", "d", "c", "e"]
    assert view["b"].children == ("d", "c")
    assert (view["b"].size, view["b"].total, view["b"].total_is_exact) == (200_000_000, 200_001_000, True)
    assert (view["c"].size, view["c"].total, view["c"].total_is_exact) == (None, 200_001_000, False)
    assert (view["c"].tops, view["b"].tops, view["c"].unused, view["d"].unused) == (("web:1",), (), False, True)
    assert ids(view.ancestors("c")) == ["b", "a"]
    assert ids(view.subtree("b")) == ["b", "d", "c"]
    assert (view.mounted, view.disk_use, view.names) == (1, 200_005_005, {"base": "a", "App": "c"})
    assert len(view) == 5
    assert "x" not in view


def test_a_deletion_can_be_planned_from_a_view(view: StoreView) -> None:
    assert build_delete_plan(view, ["b", "c", "d"]).ids[-1] == "b"


def test_measured_sizes_fill_gaps() -> None:
    from layertui.model.view import build_view

    view = view_of([Layer("a"), Layer("b", diff_size=3)])
    assert build_view(view.info, view.table, view.users, measured={"a": 7, "b": 8, "c": 9}).disk_use == 10


@given(
    st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 5)), max_size=10),
    st.dictionaries(st.integers(0, 11), st.integers(0, 9)),
)
def test_sizes_measured_later_give_the_same_view(records: list[tuple[int, int]], measured: dict[int, int]) -> None:
    from layertui.model.view import build_view

    view = view_of(
        [
            Layer(str(own), parent=str(parent) if parent >= 0 else "", diff_size=size)
            for own, (parent, size) in enumerate(records)
        ]
    )
    sizes = {str(own): size for own, size in measured.items()}
    before = view.disk_use
    later = view.with_sizes(dict.fromkeys(sizes, 77)).with_sizes(sizes)
    assert later.with_sizes(sizes) is later
    assert build_view(view.info, view.table, view.users, measured=sizes).sizes == later.sizes
    for row, old in zip(later.rows, view.rows, strict=True):
        assert row.size == (sizes.get(row.id) if old.size is None else old.size)
        chain = [row, *later.ancestors(row.id)]
        assert row.total == sum(one.size or 0 for one in chain)
        assert row.total_is_exact == all(one.size is not None for one in chain)
    assert later.disk_use == sum(row.size or 0 for row in later.rows)
    assert view.disk_use == before


def test_faulty_records_are_marked_and_kept() -> None:
    view = view_of(
        [
            Layer("x", parent="z"),
            Layer("y", parent="x"),
            Layer("z", parent="y"),
            Layer("tail", parent="z"),
            Layer("orphan", parent="gone"),
            Layer("self", parent="self"),
            Layer("orphan"),
        ]
    )
    faults = [(row.id, row.fault) for row in view.rows if row.fault]
    assert sorted(faults) == [
        ("orphan", Fault.DUPLICATE),
        ("self", Fault.CYCLE),
        ("x", Fault.CYCLE),
    ]
    assert sorted(ids(view.rows)) == ["orphan", "self", "tail", "x", "y", "z"]
    assert view["orphan"].parent == "gone"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 9)), max_size=14))
def test_any_records_give_every_row_once_below_its_parent(records: list[tuple[int, int]]) -> None:
    all_layers = [Layer(str(own), parent="" if parent < 0 else str(parent)) for own, parent in records]
    view = view_of(all_layers)
    assert sorted(ids(view.rows)) == sorted({layer.id for layer in all_layers})
    for node, parent in enumerate(view.shape.parents):
        assert parent < node
        if parent == ROOT:
            assert not view.rows[node].parent or view.rows[node].fault
        else:
            assert view.rows[parent].id == view.rows[node].parent
    assert set(view) == {layer.id for layer in all_layers}


def test_a_chain_of_a_hundred_thousand_layers() -> None:
    view = view_of([Layer(str(number), parent=str(number - 1) if number else "") for number in range(100_000)])
    assert len(view.ancestors("99999")) == 99_999
    assert len(build_lineage(view, "50000").rows) == 100_000


# The list


@pytest.mark.parametrize(
    ("text", "found", "shown"),
    [
        ("", 5, "abdce"),
        ("app", 1, "abc"),
        ("APP base", 0, ""),
        ("web", 3, "abc"),
        ("web-1", 1, "abc"),
        ("is:unused", 2, "abde"),
        ("is:mounted", 1, "abc"),
        ("is:incomplete", 1, "e"),
        ("size:>100MB", 1, "ab"),
        ("size:<=4k", 3, "abde"),
        ("is:unused size:>1k", 1, "abd"),
        ("is:root", 2, "ae"),
    ],
)
def test_the_filter_keeps_the_ancestors_of_matches(view: StoreView, text: str, found: int, shown: str) -> None:
    listing = build_listing(view, text)
    assert (listing.matches, "".join(ids(listing.rows))) == (found, shown)
    if listing.dimmed:
        assert listing.dimmed.count(0) == found


@pytest.mark.parametrize("text", ["is:nothing", "size:big", "size:>", "is:"])
def test_an_invalid_filter_hides_nothing_and_reports_an_error(view: StoreView, text: str) -> None:
    listing = build_listing(view, text)
    assert listing.error
    assert len(listing.rows) == 5


@pytest.mark.parametrize(
    ("order", "shown"),
    [(Order.SIZE, "bdaec"), (Order.TOTAL, "dbcae"), (Order.AGE, "dcbae"), (Order.NAME, "cabde")],
)
def test_orders_are_flat(view: StoreView, order: Order, shown: str) -> None:
    listing = build_listing(view, "", order)
    assert "".join(ids(listing.rows)) == shown
    assert set(listing.shape.parents) == {ROOT}


def test_orders_wrap_around() -> None:
    order = Order.TREE
    seen = []
    for _ in Order:
        seen.append(order)
        order = order.next
    assert seen == list(Order)
    assert order is Order.TREE


def test_a_filter_can_be_stopped(view: StoreView) -> None:
    with pytest.raises(Cancelled):
        build_listing(view, "x", should_stop=lambda: True)


def test_a_query_is_split_into_words_and_tests() -> None:
    query = parse_query("a B is:used size:4k")
    assert (query.words, len(query.tests)) == (("a", "b"), 2)


def test_lineage_is_all_ancestors_and_descendants(view: StoreView) -> None:
    listing = build_lineage(view, "b")
    assert ids(listing.rows) == ["a", "b", "d", "c"]
    assert list(listing.shape.parents) == [ROOT, 0, 1, 1]
    assert ids(build_lineage(view, "d").rows) == ["a", "b", "d"]
    with pytest.raises(KeyError):
        build_lineage(view, "nobody")


# Rows


@pytest.mark.parametrize("width", range(1, 220))
def test_columns_fill_the_width_exactly(width: int) -> None:
    columns = columns_for(width)
    assert columns.label + columns.users + columns.size + columns.total + columns.age == width - 1
    assert columns.label >= min(width - 1, 14)


def test_badges_say_what_is_unusual() -> None:
    row = view_of([Layer("a", parent="x", mount_count=3, read_only=True, volatile=True, flags={"incomplete": True})])[
        "a"
    ]
    words = [badge.text for badge in badges_of(row)]
    assert words == ["!no parent", "incomplete", "mounted×3", "read-only", "volatile"]
    assert [badge.text for badge in badges_of(row, short=True)] == ["!no parent", "inc", "mnt×3", "ro", "vol"]


def test_users_are_short_and_safe() -> None:
    assert short_image("docker.io/library/nginx:1") == "nginx:1"
    assert short_image("quay.io/x\x1b") == "quay.io/x\\x1b"
    assert short_image("a" * 64) == "a" * 12
    assert users_of(view_of(layers(), Users())["c"]) == ["web:1", "[web-1]"]


class UsersOfABuild(Users):
    image_tops = (("0123456789ab", ("c",)), ("web:1", ("c",)))

    def images(self, layer_id: str) -> tuple[str, ...]:
        return ("fedcba987654", "0123456789ab", "app:1", "web:1")


def test_images_without_a_name_come_last() -> None:
    row = view_of(layers(), UsersOfABuild())["c"]
    assert users_of(row) == ["web:1", "app:1", "0123456789ab", "fedcba987654", "[web-1]"]


# In the app


async def test_the_tree_of_a_real_store(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        assert browser.titles == ["base", "middle", "app", "tool", "lone"]
        drawn = browser.text("#layers")
        assert "├── app" in drawn
        assert "╰── tool" in drawn
        assert "web:1, [web-1]" in drawn
        assert "unused" in drawn
        assert browser.text("HeaderBar").startswith(" layertui")
        assert "5 layers" in browser.text("HeaderBar")


async def test_filter_as_you_type(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("slash")
        await browser.type("is:unused")
        assert browser.titles == ["base", "middle", "tool", "lone"]
        assert browser.cursor == "tool"
        assert "2 of 5" in str(browser.screen.query_one("#layers-filter .filter-found").render())
        await browser.press("enter")
        assert browser.tree.has_focus
        await browser.press("j")
        assert browser.cursor == "lone"
        await browser.press("escape")
        assert browser.titles == ["base", "middle", "app", "tool", "lone"]
        assert browser.cursor == "lone"


async def test_a_filter_without_matches_says_how_to_clear_it(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("slash")
        await browser.type("zzz")
        assert browser.titles == []
        assert "esc" in str(browser.screen.query_one("#empty").render())
        for key in ("m", "d", "e", "space", "y", "1", "2", "4"):
            await browser.pilot.press("enter", key)
        await browser.press("escape", "escape")
        assert len(browser.titles) == 5


async def test_orders(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("o")
        assert browser.titles[:2] == ["tool", "base"]
        assert "SIZE▼" in browser.text("LayerTreeHeader")
        for _ in range(4):
            await browser.press("o")
        assert browser.titles == ["base", "middle", "app", "tool", "lone"]


async def test_marks(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("down", "space", "space")
        assert len(browser.tree.marks) == 2
        assert browser.cursor == "tool"
        assert "2 marked" in browser.text("HeaderBar")
        assert browser.text("#layers").count("●") == 2
        await browser.press("up", "space")
        assert len(browser.tree.marks) == 1
        await browser.press("escape")
        assert not browser.tree.marks


async def test_folds_survive_a_reload(store: LayerStore, place: Place) -> None:
    async with browsing(place.open) as browser:
        await browser.press("down", "left")
        assert browser.titles == ["base", "middle", "lone"]
        assert "▸" in browser.text("#layers")
        assert "+2" in browser.text("#layers")
        await browser.press("R")
        assert browser.titles == ["base", "middle", "lone"]
        assert browser.cursor == "middle"


@pytest.mark.parametrize("size", [(20, 8), (40, 12), (80, 24), (200, 50)])
async def test_every_line_has_the_width_of_the_tree(store: LayerStore, place: Place, size: tuple[int, int]) -> None:
    def rename(records: list[dict[str, Any]]) -> None:
        names = ["日本語" * 40, "[red]\x1b[31m", "x" * 300, "a\nb", "é🚀\u202e"]
        for record, name in zip(records, names, strict=True):
            record["names"] = [name]

    place.rewrite(rename)
    async with browsing(place.open, size=size) as browser:
        width = browser.tree.scrollable_content_region.width
        for y in range(browser.tree.size.height):
            strip = browser.tree.render_line(y)
            assert strip.cell_length == width == sum(segment.cell_length for segment in strip)
            assert strip.text.isprintable()


def test_a_hundred_thousand_layers_are_all_filtered_and_sorted() -> None:
    random.seed(5)
    many = [
        Layer(
            f"{number:064x}",
            parent=f"{number - 1:064x}" if number % 12 else "",
            diff_size=number,
            created=datetime.now(UTC),
        )
        for number in range(100_000)
    ]
    view = view_of(many)
    assert build_listing(view, "ff").matches == sum("ff" in layer.id for layer in many)
    assert [row.size for row in build_listing(view, "", Order.SIZE).rows] == [*range(99_999, 0, -1), None]


def test_the_help_explains_every_badge() -> None:
    rows = view_of(
        [
            Layer("a", parent="x", mount_count=2, flags={"incomplete": True}),
            Layer("b", read_only=True, volatile=True),
            Layer("c", image_store="/shared"),
        ]
    )
    badges = [*(badge for name in "abc" for badge in badges_of(rows[name])), BASE, HERE]
    signs = [sign.plain for sign, _ in legend()]
    assert [badge.text for badge in badges if badge.text not in signs] == []


@pytest.mark.parametrize("width", [76, 118])
async def test_deep_rows_cut_names_before_badges(place: Place, width: int) -> None:
    store = place.open()
    parent = None
    for depth in range(30):
        name = f"registry.example.org/team/service-{depth}/backend:2.{depth}"
        layer = store.create(parent=parent, names=[name if depth < 29 else "n" * 300])
        store.create(parent=parent)
        parent = layer.id
    store.mount(parent)
    store.mount(parent)
    place.rewrite(lambda records: records[-2].update(flags={"incomplete": True}))
    async with browsing(place.open, size=(width + 4, 24)) as browser:
        browser.tree.go_to_key(parent)
        await browser.settle()
        row = next(line for line in browser.lines("#layers") if "nn" in line)
        assert "mnt×2" in row or "mounted×2" in row
        assert "inc" in row
        assert row.endswith(" now")
        assert all(f".{depth}" in browser.text("#layers") for depth in (27, 28))


@pytest.mark.parametrize("order", [Order.NAME, Order.SIZE, Order.TOTAL, Order.AGE])
async def test_a_click_on_a_title_sorts_and_a_second_one_ends_it(store: LayerStore, place: Place, order: Order) -> None:
    names = {Order.NAME: "LAYER"}
    async with browsing(place.open) as browser:
        for wanted in (order, Order.TREE):
            head = browser.text("LayerTreeHeader")
            at = max(head.find(names.get(order, order.name)), head.find(order.name))
            await browser.pilot.click("LayerTreeHeader", offset=(at, 0))
            await browser.settle()
            assert browser.screen.order is wanted
            assert browser.tree.listing is not None
            assert browser.tree.listing.order is wanted
        await browser.pilot.click("LayerTreeHeader", offset=(browser.text("LayerTreeHeader").find("USED BY"), 0))
        await browser.settle()
        assert browser.screen.order is Order.TREE
