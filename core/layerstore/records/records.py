"""The layers' records: layers.json and volatile-layers.json, read into snapshots and edited in place.

The files are the truth, this module only ever holds what they said. An edit reads a file again under the write lock
and touches nothing but the keys that it is about: every other record, and every other key of the record, goes back to
disk byte for byte, also what this version of the program does not know.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import gt
from typing import Any

import msgspec
from msgspec import Raw

from layerstore.errors import LayerStoreError, LayerUnknown, StoreCorrupt
from layerstore.linux.atomic import write_file
from layerstore.linux.lockfile import Held
from layerstore.model import BAD_JSON, Layer
from layerstore.records.layout import Layout
from layerstore.records.readfile import FileStamp, corrupt, file_stamp, open_if_there, read_if_there
from layerstore.records.table import NO_PARENT, Found, LayerTable, RecordText, State
from layerstore.records.truncindex import TruncIndex

_raws_decoder = msgspec.json.Decoder(list[Raw] | None)
_record_decoder = msgspec.json.Decoder(dict[str, Raw])


class _Identified(msgspec.Struct, gc=False):
    id: str


_ids_decoder = msgspec.json.Decoder(list[_Identified] | None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the records that is not as it should be. `layer` is the ID it is about, `text` is for people.

    `kind` is "duplicate", "incomplete", "circle" or "no-parent"; "no-layer", where only users name the layer; or
    "image-store", which is about no layer ("").
    """

    layer: str
    kind: str
    text: str


@dataclass(slots=True)
class Edit:
    """What is to change in one record: values by JSON key (None takes the key away), or the whole record goes."""

    values: dict[str, Any] = field(default_factory=dict)
    remove: bool = False


class Records:
    """All records as they were at one moment, with the indexes to find them by."""

    def __init__(self, table: LayerTable) -> None:
        self.layers = table
        self.by_id: Mapping[str, Layer] = Found(table, table.positions)
        self.by_name: Mapping[str, Layer] = Found(table, table.holders)
        self.elsewhere: Callable[[str], None] | None = None
        """Called with what `find` does not find here; may raise a better error than `LayerUnknown`."""
        self._index: TruncIndex | None = None
        self._children: dict[int, list[int]] | None = None

    @property
    def duplicates(self) -> frozenset[str]:
        """The IDs that several records have; the first of them counts."""
        return self.layers.duplicates

    @property
    def stolen_names(self) -> dict[str, tuple[str, ...]]:
        """What is left of the names of layers that a later layer has taken one from."""
        return {self.layers.ids[position]: self.layers.names[position] for position in self.layers.robbed}

    def find(self, ref: str) -> Layer:
        """Return the layer with this ID, or this name, or whose ID alone begins so; in that order.

        Raises:
            LayerUnknown: there is none, or the beginning fits several.
        """
        found = self.by_id.get(ref) or self.by_name.get(ref)
        if found is not None:
            return found
        if self._index is None:
            self._index = TruncIndex(self.layers.ids)
        matches = self._index.matches(ref)
        nearest = self.layers.nearest(matches)
        if len(nearest) != 1:
            if not nearest and self.elsewhere is not None:
                self.elsewhere(ref)
            raise LayerUnknown(ref, nearest)
        return self.by_id[nearest[0]]

    def children(self, layer_id: str) -> list[str]:
        """Return the IDs of the layers whose parent this is, in the order of the file."""
        table = self.layers
        if self._children is None:
            self._children = {}
            for position, parent in enumerate(table.parents):
                if parent >= 0:
                    self._children.setdefault(parent, []).append(position)
        return [table.ids[child] for child in self._children.get(table.positions.get(layer_id, NO_PARENT), [])]

    def incomplete(self) -> list[Layer]:
        """Return the layers whose making or removal was interrupted, children before parents."""
        return [self.layers[number] for number in reversed(self._marked(State.INCOMPLETE))]

    def _marked(self, state: State) -> list[int]:
        bit = int(state)  # an IntFlag takes twenty times as long
        return [number for number, marks in enumerate(self.layers.states) if marks & bit]

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records; the store opens all the same."""
        found = [
            Problem(layer_id, "duplicate", f"two records have the ID {layer_id}; the first one counts")
            for layer_id in sorted(self.duplicates)
        ]
        table = self.layers
        circular = self._in_circles()
        incomplete = set(self._marked(State.INCOMPLETE))
        for position in sorted(incomplete | circular | table.lost_parents.keys()):
            layer_id = table.ids[position]
            if position in incomplete:
                text = f"layer {layer_id} is incomplete: its making or its removal was interrupted"
                found.append(Problem(layer_id, "incomplete", text))
            if position in circular:
                found.append(Problem(layer_id, "circle", f"layer {layer_id} is its own ancestor"))
            elif position in table.lost_parents:
                text = f"layer {layer_id} is based on {table.lost_parents[position]}, which has no record"
                found.append(Problem(layer_id, "no-parent", text))
        return found

    def _in_circles(self) -> set[int]:
        parents = self.layers.parents
        if all(map(gt, range(len(parents)), parents)):  # each parent stands before its children, as it should
            return set()
        state = bytearray(len(parents))  # 1: on the present path, 2: seen to its end
        circular: set[int] = set()
        for start in range(len(parents)):
            path: list[int] = []
            node = start
            while node >= 0 and not state[node]:
                state[node] = 1
                path.append(node)
                node = parents[node]
            if node >= 0 and state[node] == 1:
                circular.update(path[path.index(node) :])
            for seen in path:
                state[seen] = 2
        return circular


class RecordFiles:
    """The two files of a store. Reading wants any lock on layers.lock, writing the write lock."""

    def __init__(self, layout: Layout, *, image_store: str = "") -> None:
        self._stable = layout.layers_json
        self._volatile = layout.volatile_json
        self._image_store = image_store

    def stamp(self) -> tuple[FileStamp, FileStamp]:
        """Return what differs after either file was replaced."""
        return file_stamp(self._stable), file_stamp(self._volatile)

    def load(self, *, read_only: bool, others: Sequence[RecordFiles] = ()) -> Records:
        """Read both files, and after them those of other stores: of an ID that comes in several, the first counts.

        Raises:
            StoreCorrupt: a file is no JSON array of records, or layers.json is there but empty.
        """
        collecting = gc.isenabled()
        gc.disable()  # 100,000 new objects and no garbage: the collector would only take time
        try:
            texts = [text for files in (self, *others) for text in files.texts()]
            return Records(LayerTable(texts, read_only=read_only))
        except BAD_JSON:
            self._complain()
            raise
        finally:
            if collecting:
                gc.enable()

    def texts(self) -> Iterator[RecordText]:
        """Read the files that are there, each to be decoded."""
        for path in (self._stable, self._volatile):
            with open_if_there(path) as file:
                if file is None:
                    continue
                data = self._not_cut_off(path, file.read())
                volatile = path == self._volatile
                yield RecordText(path, file.fileno(), data, volatile=volatile, image_store=self._image_store)

    def _complain(self) -> None:
        """Say where a file is no JSON array of records."""
        for path in (self._stable, self._volatile):
            data = self._read(path)
            try:
                msgspec.json.decode(data or b"[]", type=list[dict[str, Any]] | None)
            except BAD_JSON as error:
                raise corrupt(path, data, error) from error

    def _read(self, path: str) -> bytes:
        data = read_if_there(path)
        return b"" if data is None else self._not_cut_off(path, data)

    def _not_cut_off(self, path: str, data: bytes) -> bytes:
        if data == b"" and path == self._stable:
            hint = "a crash has cut it off; put a backup in its place, or delete it to begin with no layers"
            raise StoreCorrupt(path, "the file is empty", hint=hint)
        return data

    def save(self, held: Held, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Apply `edits`, by layer ID, and append the records of `added`.

        Each file that changes is replaced whole; layers.json is on disk when this returns. Of both, the one with the
        first edit is replaced first: so a name that moves is never on nobody.

        Raises:
            LayerUnknown: an edit's layer has no record.
            StoreCorrupt: a file does not parse, or an edit's layer has two records; nothing was written.
        """
        held.record_write()
        missing = set(edits)
        pending: list[tuple[str, bytes]] = []
        for path, is_volatile in ((self._stable, False), (self._volatile, True)):
            new = [encode(layer) for layer in added if layer.volatile == is_volatile]
            data = self._read(path)
            touched, text = _edited(path, data, edits, new)
            missing -= touched
            if touched or new:
                at = 0 if next(iter(edits), None) in touched else len(pending)
                pending.insert(at, (path, text))
        if missing:
            raise LayerUnknown(min(missing))
        for path, text in pending:
            write_file(path, text, mode=0o600, sync=path == self._stable)

    def record(self, layer_id: str) -> bytes:
        """Return a layer's record as it stands on disk.

        Raises:
            LayerUnknown: there is no such record.
        """
        for path in (self._stable, self._volatile):
            data = self._read(path)
            if data:
                for identified, raw in zip(*_split(path, data), strict=True):
                    if identified.id == layer_id:
                        return bytes(raw)
        raise LayerUnknown(layer_id)


def count_records(layout: Layout) -> int:
    """Return how many records a store has, without reading what is in them and without a lock.

    Raises:
        StoreCorrupt, StoreAccess: a file cannot be read.
    """
    count = 0
    for path in (layout.layers_json, layout.volatile_json):
        data = read_if_there(path) or b"[]"
        try:
            count += len(_raws_decoder.decode(data) or [])
        except BAD_JSON as error:
            raise corrupt(path, data, error) from error
    return count


def encode(layer: Layer) -> bytes:
    """Return a new layer's record, with the keys in containers/storage's order and without what is empty."""
    own = msgspec.structs.replace(layer, mount_point="", mount_count=0, read_only=False, volatile=False, image_store="")
    return msgspec.json.encode(own)


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetitions; refuse what JSON cannot hold."""
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if not name or not name.isprintable():
            raise LayerStoreError(f"not a usable layer name: {name!r}")
    return unique


def without_flag(layer: Layer, flag: str) -> dict[str, Any] | None:
    """Return the layer's flags without one of them; None where that leaves none, which takes the key away."""
    return {key: value for key, value in layer.flags.items() if key != flag} or None


def _split(path: str, data: bytes) -> tuple[list[_Identified], list[Raw]]:
    try:
        return _ids_decoder.decode(data) or [], _raws_decoder.decode(data) or []
    except BAD_JSON as error:
        raise corrupt(path, data, error) from error


def _edited(path: str, data: bytes, edits: Mapping[str, Edit], new: Iterable[bytes]) -> tuple[set[str], bytes]:
    """Return which records were edited, and the file's new text."""
    parts: list[bytes | Raw] = []
    touched: set[str] = set()
    identified, raws = _split(path, data) if data else ([], [])
    for entry, raw in zip(identified, raws, strict=True):
        edit = edits.get(entry.id)
        if edit is None:
            parts.append(raw)
            continue
        if entry.id in touched:
            raise StoreCorrupt(path, f"two records have the ID {entry.id}", hint="take one away by hand first")
        touched.add(entry.id)
        if not edit.remove:
            parts.append(_patched(bytes(raw), edit.values))
    parts.extend(new)
    return touched, b"[" + b",".join(parts) + b"]"


def _patched(raw: bytes, values: Mapping[str, Any]) -> bytes:
    record = _record_decoder.decode(raw)
    for key, value in values.items():
        if value is None:
            record.pop(key, None)
        elif key == "flags" and "flags" in record:
            record[key] = Raw(_patched_flags(bytes(record[key]), value))
        else:
            record[key] = Raw(msgspec.json.encode(value))
    return msgspec.json.encode(record)


def _patched_flags(raw: bytes, flags: Mapping[str, Any]) -> bytes:
    """Keep the text of flags that did not change: numbers in them may be written as no decoder would write them."""
    old_raw = msgspec.json.decode(raw, type=dict[str, Raw] | None) or {}
    old = msgspec.json.decode(raw, type=dict[str, Any] | None) or {}
    merged: dict[str, Raw] = {}
    for key in [*(key for key in old if key in flags), *(key for key in flags if key not in old)]:
        same = key in old and old[key] == flags[key] and type(old[key]) is type(flags[key])
        merged[key] = old_raw[key] if same else Raw(msgspec.json.encode(flags[key]))
    return msgspec.json.encode(merged)
