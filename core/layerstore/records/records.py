"""layers.json and volatile-layers.json: reads the records of layers and edits them in place.

The files are authoritative. An edit reads the file again under the write lock and changes only the given keys of the
given records: all other records and keys, including unknown ones, are written back byte for byte.
"""

from __future__ import annotations

import gc
from bisect import bisect_left
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
from layerstore.records.table import NO_PARENT, Found, LayerState, LayerTable, RecordText

_MATCHES = 16  # IDs with a common prefix that are looked at
_raws_decoder = msgspec.json.Decoder(list[Raw] | None)
_record_decoder = msgspec.json.Decoder(dict[str, Raw])


class _Identified(msgspec.Struct, gc=False):
    id: str


_ids_decoder = msgspec.json.Decoder(list[_Identified] | None)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in the records of a store, which can still be opened.

    Attributes:
        layer: The ID of the layer, or "" for a problem with an image store.
        kind: "duplicate", "incomplete", "circle" or "no-parent"; "no-layer" for a layer that an image or container
            needs but that has no record; "image-store" for an image store that cannot be read.
        text: A description for people.
    """

    layer: str
    kind: str
    text: str


@dataclass(slots=True)
class Edit:
    """A change to one record: new values by JSON key, where None removes the key, or removal of the whole record."""

    values: dict[str, Any] = field(default_factory=dict)
    remove: bool = False


class Records:
    """All records at one moment, indexed by ID, name and ID prefix."""

    def __init__(self, table: LayerTable) -> None:
        self.layers = table
        self.by_id: Mapping[str, Layer] = Found(table, table.positions)
        self.by_name: Mapping[str, Layer] = Found(table, table.holders)
        self.elsewhere: Callable[[str], None] | None = None
        """Called before `find` raises `LayerUnknown`, so that a more specific error can be raised instead."""
        self._sorted_ids: list[str] | None = None
        self._children: dict[int, list[int]] | None = None

    @property
    def duplicates(self) -> frozenset[str]:
        """The IDs that several records have. The first record takes precedence."""
        return self.layers.duplicates

    @property
    def stolen_names(self) -> dict[str, tuple[str, ...]]:
        """The remaining names of layers that lost a name to a later layer, by ID."""
        return {self.layers.ids[position]: self.layers.names[position] for position in self.layers.outnamed}

    def find(self, ref: str) -> Layer:
        """Return the layer with this ID, name or unique ID prefix, looked up in this order.

        Raises:
            LayerUnknown: There is no such layer, or the prefix is ambiguous.
        """
        found = self.by_id.get(ref) or self.by_name.get(ref)
        if found is not None:
            return found
        nearest = self.layers.nearest(self._with_prefix(ref))
        if len(nearest) != 1:
            if not nearest and self.elsewhere is not None:
                self.elsewhere(ref)
            raise LayerUnknown(ref, nearest)
        return self.by_id[nearest[0]]

    def _with_prefix(self, prefix: str) -> list[str]:
        """Return the first IDs that start with the prefix, sorted. An empty prefix matches none (pkg/truncindex)."""
        if not prefix:
            return []
        if self._sorted_ids is None:
            self._sorted_ids = sorted(self.layers.ids)
        start = bisect_left(self._sorted_ids, prefix)
        return [layer_id for layer_id in self._sorted_ids[start : start + _MATCHES] if layer_id.startswith(prefix)]

    def children(self, layer_id: str) -> list[str]:
        """Return the IDs of the layers with this parent, in the order of the records."""
        table = self.layers
        if self._children is None:
            self._children = {}
            for position, parent in enumerate(table.parents):
                if parent >= 0:
                    self._children.setdefault(parent, []).append(position)
        return [table.ids[child] for child in self._children.get(table.positions.get(layer_id, NO_PARENT), [])]

    def incomplete(self) -> list[Layer]:
        """Return the layers whose creation or removal was interrupted, children before parents."""
        return [self.layers[number] for number in reversed(self._marked(LayerState.INCOMPLETE))]

    def _marked(self, state: LayerState) -> list[int]:
        bit = int(state)  # an IntFlag is 20 times slower
        return [number for number, marks in enumerate(self.layers.states) if marks & bit]

    def problems(self) -> list[Problem]:
        """Return the problems in the records."""
        found = [
            Problem(layer_id, "duplicate", f"two records have the ID {layer_id}; the first one is used")
            for layer_id in sorted(self.duplicates)
        ]
        table = self.layers
        circular = self._in_circles()
        incomplete = set(self._marked(LayerState.INCOMPLETE))
        for position in sorted(incomplete | circular | table.lost_parents.keys()):
            layer_id = table.ids[position]
            if position in incomplete:
                text = f"layer {layer_id} is incomplete: its creation or removal was interrupted"
                found.append(Problem(layer_id, "incomplete", text))
            if position in circular:
                found.append(Problem(layer_id, "circle", f"layer {layer_id} is its own ancestor"))
            elif position in table.lost_parents:
                text = f"layer {layer_id} is based on {table.lost_parents[position]}, which has no record"
                found.append(Problem(layer_id, "no-parent", text))
        return found

    def _in_circles(self) -> set[int]:
        parents = self.layers.parents
        if all(map(gt, range(len(parents)), parents)):  # the usual order: each parent before its children
            return set()
        state = bytearray(len(parents))  # 1: on the current path, 2: done
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
    """The two record files of a store. Hold layers.lock to read them, and its write lock to write them."""

    def __init__(self, layout: Layout, *, image_store: str = "") -> None:
        self._stable = layout.layers_json
        self._volatile = layout.volatile_json
        self._image_store = image_store

    def stamp(self) -> tuple[FileStamp, FileStamp]:
        """Return a stamp that changes when either file is replaced."""
        return file_stamp(self._stable), file_stamp(self._volatile)

    def load(self, *, read_only: bool, others: Sequence[RecordFiles] = ()) -> Records:
        """Read both files, then those of other stores. If several stores have an ID, the first one takes precedence.

        Raises:
            StoreCorrupt: A file is not a JSON array of records, or layers.json is empty.
        """
        collecting = gc.isenabled()
        gc.disable()  # up to 100,000 new objects and no garbage: collecting would only cost time
        try:
            texts = [text for files in (self, *others) for text in files.texts()]
            return Records(LayerTable(texts, read_only=read_only))
        except BAD_JSON:
            self._report_fault()
            raise
        finally:
            if collecting:
                gc.enable()

    def texts(self) -> Iterator[RecordText]:
        """Yield the text of each file that exists."""
        for path in (self._stable, self._volatile):
            with open_if_there(path) as file:
                if file is None:
                    continue
                data = self._checked(path, file.read())
                volatile = path == self._volatile
                yield RecordText(path, file.fileno(), data, volatile=volatile, image_store=self._image_store)

    def _report_fault(self) -> None:
        """Raise `StoreCorrupt` with the place where a file stops being a JSON array of records."""
        for path in (self._stable, self._volatile):
            data = self._read(path)
            try:
                msgspec.json.decode(data or b"[]", type=list[dict[str, Any]] | None)
            except BAD_JSON as error:
                raise corrupt(path, data, error) from error

    def _read(self, path: str) -> bytes:
        data = read_if_there(path)
        return b"" if data is None else self._checked(path, data)

    def _checked(self, path: str, data: bytes) -> bytes:
        if data == b"" and path == self._stable:
            hint = "a crash truncated it; restore a backup, or delete it to start with no layers"
            raise StoreCorrupt(path, "the file is empty", hint=hint)
        return data

    def save(self, held: Held, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Apply edits, given by layer ID, and append new records.

        Each changed file is replaced atomically, and layers.json is durable when this returns. If both files change,
        the one with the first edit is replaced first, so that a name that moves always has a holder.

        Raises:
            LayerUnknown: A layer to edit has no record.
            StoreCorrupt: A file is invalid, or a layer to edit has two records. Nothing was written.
        """
        held.record_write()
        missing = set(edits)
        pending: list[tuple[str, bytes]] = []
        for path, is_volatile in ((self._stable, False), (self._volatile, True)):
            new = [encode_layer(layer) for layer in added if layer.volatile == is_volatile]
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
        """Return the record of a layer exactly as it is on disk.

        Raises:
            LayerUnknown: There is no such record.
        """
        for path in (self._stable, self._volatile):
            data = self._read(path)
            if data:
                for identified, raw in zip(*_split(path, data), strict=True):
                    if identified.id == layer_id:
                        return bytes(raw)
        raise LayerUnknown(layer_id)


def count_records(layout: Layout) -> int:
    """Return the number of records in a store, without decoding them and without a lock.

    Raises:
        StoreCorrupt: A file is invalid.
        StoreAccess: This user may not read a file.
    """
    count = 0
    for path in (layout.layers_json, layout.volatile_json):
        data = read_if_there(path) or b"[]"
        try:
            count += len(_raws_decoder.decode(data) or [])
        except BAD_JSON as error:
            raise corrupt(path, data, error) from error
    return count


def encode_layer(layer: Layer) -> bytes:
    """Return the record of a layer as JSON, with keys in the order of containers/storage and without empty values."""
    own = msgspec.structs.replace(layer, mount_point="", mount_count=0, read_only=False, volatile=False, image_store="")
    return msgspec.json.encode(own)


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without duplicates.

    Raises:
        LayerStoreError: A name is empty or has characters that cannot be printed.
    """
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if not name or not name.isprintable():
            raise LayerStoreError(f"invalid layer name: {name!r}")
    return unique


def without_flag(layer: Layer, flag: str) -> dict[str, Any] | None:
    """Return the flags of a layer without one of them, or None, which removes the key, if no other is set."""
    return {key: value for key, value in layer.flags.items() if key != flag} or None


def _split(path: str, data: bytes) -> tuple[list[_Identified], list[Raw]]:
    try:
        return _ids_decoder.decode(data) or [], _raws_decoder.decode(data) or []
    except BAD_JSON as error:
        raise corrupt(path, data, error) from error


def _edited(path: str, data: bytes, edits: Mapping[str, Edit], new: Iterable[bytes]) -> tuple[set[str], bytes]:
    """Return the IDs of the edited records, and the new text of the file."""
    parts: list[bytes | Raw] = []
    touched: set[str] = set()
    identified, raws = _split(path, data) if data else ([], [])
    for entry, raw in zip(identified, raws, strict=True):
        edit = edits.get(entry.id)
        if edit is None:
            parts.append(raw)
            continue
        if entry.id in touched:
            raise StoreCorrupt(path, f"two records have the ID {entry.id}", hint="remove one of them by hand first")
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
    """Keep the text of unchanged flags: re-encoding would rewrite numbers such as 1.0 or very large ones."""
    old_raw = msgspec.json.decode(raw, type=dict[str, Raw] | None) or {}
    old = msgspec.json.decode(raw, type=dict[str, Any] | None) or {}
    merged: dict[str, Raw] = {}
    for key in [*(key for key in old if key in flags), *(key for key in flags if key not in old)]:
        same = key in old and old[key] == flags[key] and type(old[key]) is type(flags[key])
        merged[key] = old_raw[key] if same else Raw(msgspec.json.encode(flags[key]))
    return msgspec.json.encode(merged)
