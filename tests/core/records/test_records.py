"""layers.json: all fields are read, unknown ones survive edits, and invalid files are rejected unchanged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore import LayerUnknown, StoreCorrupt
from layerstore.linux.atomic import write_file
from layerstore.linux.lockfile import Held, LockFile
from layerstore.model import Layer
from layerstore.records.layout import Layout
from layerstore.records.records import Edit, RecordFiles

ODD = (
    '{"future":{"b":1,"a":[1.0,1e400,12345678901234567890123]},"id":"one","names":["x"],'
    '"flags":{"n":1.0,"big":12345678901234567890123,"s":"\\u003c"},"later":null}'
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path / "g"), str(tmp_path / "r"), "vfs")
    Path(layout.layers).mkdir(parents=True)
    return layout


@pytest.fixture
def held(layout: Layout) -> Iterator[Held]:
    with LockFile(layout.layers_lock).write() as held:
        yield held


def put(layout: Layout, text: str | bytes, *, volatile: bool = False) -> Path:
    path = Path(layout.volatile_json if volatile else layout.layers_json)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_no_files_are_an_empty_store(layout: Layout) -> None:
    assert list(RecordFiles(layout).load(read_only=False).layers) == []


def test_every_field_is_read(layout: Layout) -> None:
    record = {
        "id": "a" * 64,
        "names": ["n1", "n2"],
        "parent": "p",
        "metadata": "m",
        "mountlabel": "l",
        "created": "2026-11-24T16:45:40.650278843Z",
        "compressed-diff-digest": "sha256:c",
        "compressed-size": 5,
        "diff-digest": "sha256:d",
        "diff-size": 6,
        "compression": 2,
        "toc-digest": "sha256:t",
        "uidset": [0, 7],
        "gidset": [8],
        "flags": {"f": [1, "x"]},
        "uidmap": [{"container_id": 0, "host_id": 1000, "size": 1}],
        "gidmap": [],
        "big-data-names": ["b"],
    }
    put(layout, json.dumps([record]))
    layer = RecordFiles(layout).load(read_only=True).find("a")
    assert (layer.names, layer.parent, layer.metadata, layer.mount_label) == (("n1", "n2"), "p", "m", "l")
    assert layer.created is not None
    assert layer.created.microsecond == 650279
    assert (layer.compressed_diff_digest, layer.compressed_size) == ("sha256:c", 5)
    assert (layer.diff_digest, layer.diff_size, layer.diff_compression.name) == ("sha256:d", 6, "GZIP")
    assert (layer.toc_digest, layer.uidset, layer.gidset) == ("sha256:t", (0, 7), (8,))
    assert layer.flags == {"f": [1, "x"]}
    assert layer.uidmap[0].host_id == 1000
    assert layer.big_data_names == ("b",)
    assert layer.read_only


def test_an_edit_keeps_everything_else_byte_for_byte(layout: Layout, held: Held) -> None:
    other = '{"id":"two",  "created":"2026-11-24T16:45:40.650278843+01:00","x":1e5}'
    path = put(layout, f"[{ODD},{other}]")
    RecordFiles(layout).save(held, {"one": Edit({"metadata": "new", "names": None})})
    expected = ODD.replace('"names":["x"],', "")[:-1] + ',"metadata":"new"}'
    assert path.read_text() == f"[{expected},{other}]"


def test_unchanged_flags_keep_their_text(layout: Layout, held: Held) -> None:
    path = put(layout, f"[{ODD}]")
    files = RecordFiles(layout)
    flags = files.load(read_only=False).find("one").flags
    files.save(held, {"one": Edit({"flags": {**flags, "new": True}})})
    assert '"flags":{"n":1.0,"big":12345678901234567890123,"s":"\\u003c","new":true}' in path.read_text()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3),
    max_leaves=8,
)
unknown_keys = st.dictionaries(st.text(min_size=1, max_size=6).map(lambda key: f"x-{key}"), json_values, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(records=st.lists(unknown_keys, min_size=1, max_size=4), data=st.data())
def test_unknown_keys_survive_any_edit(layout: Layout, held: Held, records: list[dict[str, Any]], data: Any) -> None:
    full = [{"id": f"id{number}", **record} for number, record in enumerate(records)]
    path = put(layout, json.dumps(full))
    target = data.draw(st.integers(0, len(full) - 1))
    RecordFiles(layout).save(held, {f"id{target}": Edit({"metadata": "m"})}, [Layer(id="new")])
    expected = [record | ({"metadata": "m"} if number == target else {}) for number, record in enumerate(full)]
    assert json.loads(path.read_text()) == [*expected, {"id": "new"}]
    assert [list(record) for record in json.loads(path.read_text())] == [
        list(record) for record in [*expected, {"id": 0}]
    ]


def test_records_are_saved_to_the_file_they_came_from(layout: Layout, held: Held) -> None:
    stable = put(layout, '[{"id":"s"}]')
    volatile = put(layout, '[{"id":"v"}]', volatile=True)
    files = RecordFiles(layout)
    assert [layer.volatile for layer in files.load(read_only=False).layers] == [False, True]
    files.save(held, {"v": Edit({"metadata": "m"})})
    assert json.loads(volatile.read_text()) == [{"id": "v", "metadata": "m"}]
    assert stable.read_text() == '[{"id":"s"}]'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"id":"a"},\n {"id":"b",', 2),
        ('[{"id":"a"}\n{"id":"b"}]', 2),
        ("junk", 1),
        ('{"id":"a"}', 0),
        ('[{"name":"a"}]', 0),
        ('[{"id":5}]', 0),
        (b'[{"id":"\xff"}]', 0),
        ("", 0),
    ],
)
def test_an_invalid_file_is_named_and_never_written(layout: Layout, held: Held, text: str | bytes, line: int) -> None:
    path = put(layout, text)
    before = path.read_bytes()
    files = RecordFiles(layout)
    with pytest.raises(StoreCorrupt) as caught:
        files.load(read_only=False)
    assert caught.value.file == str(path)
    assert caught.value.line == line
    assert caught.value.hint
    with pytest.raises(StoreCorrupt):
        files.save(held, {}, [Layer(id="new")])
    assert path.read_bytes() == before


def test_null_values_read_as_absent(layout: Layout) -> None:
    put(layout, '[{"id":"a","names":null,"flags":null,"parent":null}]')
    assert RecordFiles(layout).load(read_only=False).find("a").names == ()


def test_fields_outside_of_the_record_are_not_read_from_the_file(layout: Layout) -> None:
    put(layout, '[{"id":"a","-mount-point":"/x","-mount-count":3,"-volatile":true,"-read-only":true}]')
    layer = RecordFiles(layout).load(read_only=False).find("a")
    assert (layer.mount_point, layer.mount_count, layer.volatile, layer.read_only) == ("", 0, False, False)


def test_the_later_layer_gets_a_name_that_two_claim(layout: Layout) -> None:
    put(layout, '[{"id":"a","names":["n","m"]},{"id":"b","names":["n"]}]')
    records = RecordFiles(layout).load(read_only=False)
    assert records.find("n").id == "b"
    assert records.find("a").names == ("m",)
    assert records.stolen_names == {"a": ("m",)}


def test_every_kind_of_problem_is_reported(layout: Layout) -> None:
    put(
        layout,
        '[{"id":"a","parent":"gone"},{"id":"b","parent":"c"},{"id":"c","parent":"b"},{"id":"d","parent":"b"},'
        '{"id":"e","flags":{"incomplete":true}},{"id":"e"},{"id":"s","parent":"s"}]',
    )
    found = {(problem.layer, problem.kind) for problem in RecordFiles(layout).load(read_only=False).problems()}
    assert found == {
        ("a", "no-parent"),
        ("b", "circle"),
        ("c", "circle"),
        ("e", "incomplete"),
        ("e", "duplicate"),
        ("s", "circle"),
    }


def test_find_by_id_name_and_unique_prefix(layout: Layout) -> None:
    put(layout, '[{"id":"abc1","names":["abd"]},{"id":"abd2"},{"id":"x","names":["abc1x"]}]')
    records = RecordFiles(layout).load(read_only=False)
    assert records.find("abc").id == "abc1"
    assert records.find("abd").id == "abc1", "a name takes precedence over an ID prefix"
    assert records.find("abc1x").id == "x"
    with pytest.raises(LayerUnknown) as caught:
        records.find("ab")
    assert caught.value.candidates == ("abc1", "abd2")
    for unknown in ("", "zzz"):
        with pytest.raises(LayerUnknown):
            records.find(unknown)


def test_editing_an_unknown_layer_writes_nothing(layout: Layout, held: Held) -> None:
    path = put(layout, '[{"id":"a"}]')
    with pytest.raises(LayerUnknown):
        RecordFiles(layout).save(held, {"b": Edit(remove=True)})
    assert path.read_text() == '[{"id":"a"}]'


def test_a_large_table_reads_from_the_file_it_was_made_from(layout: Layout, held: Held) -> None:
    count = 5000
    records = [
        {"id": f"{n:05}", "parent": f"{n - 1:05}" if n else "", "names": [f"n{n}"], "x": n} for n in range(count)
    ]
    put(layout, json.dumps(records, indent=1))
    files = RecordFiles(layout)
    before = files.load(read_only=False)
    files.save(held, {"04000": Edit({"names": ["new"], "metadata": "m"}), "00000": Edit(remove=True)})
    assert (before.find("n4000").id, before.find("04000").metadata, len(before.layers)) == ("04000", "", count)
    assert [layer.id for layer in before.layers[-2:]] == ["04998", "04999"]
    after = files.load(read_only=False)
    assert (after.find("new").metadata, len(after.layers)) == ("m", count - 1)
    assert [problem.kind for problem in after.problems()] == ["no-parent"]
    assert after.children("02000") == ["02001"]


def test_a_large_file_that_is_modified_in_place_is_an_error(layout: Layout) -> None:
    path = put(layout, json.dumps([{"id": f"{n:05}"} for n in range(5000)]))
    records = RecordFiles(layout).load(read_only=False)
    path.write_text(json.dumps([{"id": f"{n + 1:05}"} for n in range(5000)]))
    with pytest.raises(StoreCorrupt, match="in place"):
        records.find("04000")
    path.write_text("[]")
    with pytest.raises(StoreCorrupt, match="in place"):
        records.find("04000")


def test_a_large_file_with_one_bad_record_names_it(layout: Layout) -> None:
    records: list[dict[str, Any]] = [{"id": f"{n:05}", "names": None} for n in range(5000)]
    records[4321]["names"] = 7
    put(layout, json.dumps(records))
    with pytest.raises(StoreCorrupt, match="record 4322"):
        RecordFiles(layout).load(read_only=False)


@pytest.mark.parametrize("gains", ["stable", "volatile"])
def test_a_name_that_moves_between_the_files_always_has_a_holder(
    layout: Layout, held: Held, monkeypatch: pytest.MonkeyPatch, gains: str
) -> None:
    loses = "volatile" if gains == "stable" else "stable"
    for layer in ("stable", "volatile"):
        text = json.dumps([{"id": layer, "names": ["x"] if layer == loses else []}])
        put(layout, text, volatile=layer == "volatile")
    files = RecordFiles(layout)
    seen = []

    def look(path: str, *arguments: Any, **options: Any) -> os.stat_result:
        seen.append({**files.load(read_only=False).by_name}.keys())
        return write_file(path, *arguments, **options)

    monkeypatch.setattr("layerstore.records.records.write_file", look)
    files.save(held, {gains: Edit({"names": ("x",)}), loses: Edit({"names": None})})
    assert seen == [{"x"}, {"x"}]
    assert files.load(read_only=False).by_name["x"].id == gains


@pytest.mark.parametrize(
    "value",
    [f'"diff-size":{1 << 63}', f'"compressed-size":{"9" * 5000}', '"future":' + "[" * 100_000 + "]" * 100_000],
    ids=["size", "digits", "depth"],
)
@pytest.mark.parametrize("count", [1, 5000], ids=["few", "many"])
def test_values_that_are_too_large_or_too_deep_are_rejected(layout: Layout, value: str, count: int) -> None:
    records = ",".join(f'{{"id":"{number}"}}' for number in range(count))
    path = put(layout, f'[{records},{{"id":"odd",{value}}}]')
    with pytest.raises(StoreCorrupt) as caught:
        RecordFiles(layout).load(read_only=True)
    assert caught.value.file == str(path)
