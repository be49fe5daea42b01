"""The JSON panel: the tokens of a record as lines, folding and copying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Static

from layerstore.store import LayerStore
from layertui.panels.json.model import JsonText, parse_json
from layertui.panels.json.panel import JsonTree, JsonValue
from support.browser import Place, browsing


def whole(text: JsonText) -> str:
    return "\n".join("  " * line.level + text.plain(node) for node, line in enumerate(text.lines))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(VALUES)
def test_lines_are_indented_like_json_dumps(value: Any) -> None:
    assert whole(parse_json(json.dumps(value))) == json.dumps(value, indent=2)


@given(VALUES)
def test_lines_have_unique_keys_and_the_first_copies_the_value(value: Any) -> None:
    text = parse_json(json.dumps(value, separators=(",", ":")))
    assert len(set(text.keys)) == len(text.keys)
    copied = text.value_of(0)
    assert (copied if isinstance(value, str) else json.loads(copied)) == value


def test_tokens_are_not_rewritten() -> None:
    text = parse_json('{"n":1.50e3,"big":123456789012345678901234567890,"s":"\\u003c\\/","n":2}')
    assert [line.value for line in text.lines[1:-1]] == [
        "1.50e3",
        "123456789012345678901234567890",
        '"\\u003c\\/"',
        "2",
    ]
    assert text.value_of(3) == "</"


def test_a_lone_surrogate_is_copied_as_written() -> None:
    assert parse_json('"\\ud800"').value_of(0) == '"\\ud800"'


def test_copying_a_bracket_copies_the_whole_value() -> None:
    text = parse_json('{"a":{"b":[1,2]},"c":3}')
    assert text.value_of(1) == '{\n  "b": [\n    1,\n    2\n  ]\n}'
    assert text.value_of(2) == text.value_of(5) == "[\n  1,\n  2\n]"
    assert json.loads(text.value_of(0)) == {"a": {"b": [1, 2]}, "c": 3}


@pytest.mark.parametrize(
    ("broken", "lines"),
    [
        ("", []),
        ("]", []),
        ('{"a":', ["{"]),
        ('"', ['"']),
        ("{]}", ["{]"]),
        ("nonsense", ["nonsense"]),
        ('{"a"', ["{", '"a"']),
        ("[1,,2", ["[", "1,", "2"]),
    ],
)
def test_invalid_json_is_shown_without_an_error(broken: str, lines: list[str]) -> None:
    text = parse_json(broken)
    assert [text.plain(node) for node in range(len(text.lines))] == lines


async def test_the_record_is_shown_as_it_is_on_disk(store: LayerStore, place: Place) -> None:
    def more(records: list[dict[str, Any]]) -> None:
        records[0]["from-the-future"] = {"x": [1, 2]}
        records[0]["metadata"] = "\u202e[red]\x1b[31m\x7f"

    place.rewrite(more)
    async with browsing(place.open, size=(120, 50)) as browser:
        await browser.press("6", "6")
        shown = browser.text("#json-tree")
        assert f'"id": "{store.lookup("base")[:20]}' in shown
        assert '"from-the-future": {' in shown
        assert "\\u202e" in shown
        assert "\u202e" not in shown
        assert "\x7f" not in shown
        await browser.press("y")
        assert json.loads(browser.app.clipboard)["from-the-future"] == {"x": [1, 2]}
        await browser.press("j", "y")
        assert browser.app.clipboard == store.lookup("base")


async def test_lists_fold(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(120, 50)) as browser:
        await browser.press("6", "6")
        tree = browser.screen.query_one(JsonTree)
        tree.go_to_key('//"names"')
        await browser.press("enter")
        assert '"names": [ 1 … ],' in browser.text("#json-tree")
        await browser.press("space", "G", "enter")
        assert '"base"' in browser.text("#json-tree")


async def test_a_changed_record_is_read_again_and_the_cursor_stays(store: LayerStore, place: Place) -> None:
    async with browsing(place.open, size=(120, 50)) as browser:
        await browser.press("6", "6")
        tree = browser.screen.query_one(JsonTree)
        tree.go_to_key('//"diff-digest"')
        store.set_names("base", ["base", "other"])
        await browser.until(lambda: '"other"' in browser.text("#json-tree"))
        assert tree.cursor_key == '//"diff-digest"'


async def test_the_big_data_of_the_layer(store: LayerStore, place: Place) -> None:
    base = store.lookup("base")

    def name(records: list[dict[str, Any]]) -> None:
        records[0]["big-data-names"] = ["toc", "\x1bgone"]

    place.rewrite(name)
    folder = Path(place.layers_json).parent / base
    folder.mkdir()
    (folder / "toc").write_bytes(b"x" * 4000)
    async with browsing(place.open) as browser:
        await browser.press("6")
        shown = str(browser.screen.query_one("#json-blobs", Static).render())
        assert "2 blobs" in shown
        assert "toc  4.0 kB" in shown
        assert "\\x1bgone  missing" in shown


async def test_of_a_huge_record_only_visible_lines_are_drawn(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[int] = set()
    render = JsonTree.render_node

    def noted(self: JsonTree, node: int, *arguments: Any, **options: Any) -> Any:
        drawn.add(node)
        return render(self, node, *arguments, **options)

    monkeypatch.setattr(JsonTree, "render_node", noted)
    store = place.open()
    store.create(names=["huge"])
    place.rewrite(lambda records: records[0].update(uidset=list(range(100_000)), metadata="m" * 1_000_000))
    async with browsing(place.open) as browser:
        await browser.press("6", "6")
        tree = browser.screen.query_one(JsonTree)
        await browser.until(lambda: len(tree.folding) > 100_000)
        await browser.press("G")
        assert "}" in browser.text("#json-tree")
        assert max(drawn) == len(tree.folding) - 1
        assert len(drawn) < 10 * browser.app.size.height


async def test_an_unreadable_record_is_explained(
    store: LayerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: LayerStore, ref: str) -> bytes:
        raise PermissionError(13, "Permission denied", "layers\x1b.json")

    monkeypatch.setattr(LayerStore, "record", refuse)
    async with browsing(place.open) as browser:
        await browser.press("6")
        note = str(browser.screen.query_one("#json-note", Static).render())
        assert note.startswith("The record cannot be read: ")
        assert "\x1b" not in note
        assert len(browser.app.screen_stack) == 2


async def test_a_value_that_is_cut_is_shown_below_in_full(store: LayerStore, place: Place) -> None:
    said = json.dumps({"note": "kept for the audit " * 3})
    store.set_metadata("base", said)
    async with browsing(place.open) as browser:
        await browser.press("6", "6")
        browser.screen.query_one(JsonTree).go_to_key('//"metadata"')
        await browser.settle()
        assert said.replace(" ", "") == browser.text("JsonValue").replace("\n", "").replace(" ", "")
        height = browser.screen.query_one(JsonValue).size.height
        await browser.press("g")
        assert browser.text("JsonValue").strip() == "10 keys; y copies all"
        assert browser.screen.query_one(JsonValue).size.height == height


async def test_a_value_that_does_not_fit_is_counted(store: LayerStore, place: Place) -> None:
    store.set_metadata("base", "\x1b[31m" + "m" * 5000)
    async with browsing(place.open) as browser:
        await browser.press("6", "6")
        browser.screen.query_one(JsonTree).go_to_key('//"metadata"')
        await browser.settle()
        shown = browser.text("JsonValue")
        assert "\\x1b[31mm" in shown
        assert "\x1b" not in shown
        assert "… 5,005 characters in all; y copies them" in shown
