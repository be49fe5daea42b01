"""The layers' records: layers.json and volatile-layers.json, read into snapshots and edited in place.

The files are the truth, this module only ever holds what they said. An edit reads a file again under the write lock
and touches nothing but the keys that it is about: every other record, and every other key of the record, goes back to
disk byte for byte, also what this version of the program does not know.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr

from layerstore.atomic import write_file
from layerstore.errors import LayerStoreError, LayerUnknown, StoreAccess, StoreCorrupt
from layerstore.layout import Layout
from layerstore.lockfile import Held
from layerstore.model import Layer
from layerstore.truncindex import TruncIndex

FileStamp = tuple[int, int, int]
"""Modification time in ns, inode and size: what changes when a file is replaced."""

_MISSING: FileStamp = (0, 0, -1)
_layers_decoder = msgspec.json.Decoder(list[Layer] | None)
_raws_decoder = msgspec.json.Decoder(list[Raw] | None)
_record_decoder = msgspec.json.Decoder(dict[str, Raw])


class _Identified(msgspec.Struct, gc=False):
    id: str


_ids_decoder = msgspec.json.Decoder(list[_Identified] | None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the records that is not as it should be. `layer` is the ID it is about, `text` is for people."""

    layer: str
    kind: str
    text: str


@dataclass(slots=True)
class Edit:
    """What is to change in one record: values by JSON key (None takes the key away), or the whole record goes."""

    values: dict[str, Any] = field(default_factory=dict)
    remove: bool = False


@dataclass(slots=True)
class Records:
    """All records as they were at one moment, with the indexes to find them by."""

    layers: list[Layer]
    by_id: dict[str, Layer]
    by_name: dict[str, Layer]
    stolen_names: dict[str, tuple[str, ...]]
    duplicates: frozenset[str]
    _index: TruncIndex | None = None
    _children: dict[str, list[str]] | None = None

    def find(self, ref: str) -> Layer:
        """Return the layer with this ID, or this name, or whose ID alone begins so; in that order.

        Raises:
            LayerUnknown: there is none, or the beginning fits several.
        """
        found = self.by_id.get(ref) or self.by_name.get(ref)
        if found is not None:
            return found
        if self._index is None:
            self._index = TruncIndex(self.by_id)
        matches = self._index.matches(ref)
        if len(matches) != 1:
            raise LayerUnknown(ref, matches)
        return self.by_id[matches[0]]

    def children(self, layer_id: str) -> list[str]:
        """Return the IDs of the layers whose parent this is, in the order of the file."""
        if self._children is None:
            self._children = {}
            for layer in self.layers:
                if layer.parent:
                    self._children.setdefault(layer.parent, []).append(layer.id)
        return self._children.get(layer_id, [])

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records; the store opens all the same."""
        found = [
            Problem(layer_id, "duplicate", f"two records have the ID {layer_id}; the first one counts")
            for layer_id in sorted(self.duplicates)
        ]
        circular = self._in_circles()
        for layer in self.layers:
            if layer.incomplete:
                text = f"layer {layer.id} is incomplete: its making or its removal was interrupted"
                found.append(Problem(layer.id, "incomplete", text))
            if layer.id in circular:
                found.append(Problem(layer.id, "circle", f"layer {layer.id} is its own ancestor"))
            elif layer.parent and layer.parent not in self.by_id:
                text = f"layer {layer.id} is based on {layer.parent}, which has no record"
                found.append(Problem(layer.id, "no-parent", text))
        return found

    def _in_circles(self) -> set[str]:
        state: dict[str, int] = {}  # 1: on the present path, 2: seen to its end
        circular: set[str] = set()
        for start in self.by_id:
            path: list[str] = []
            node = start
            while node in self.by_id and node not in state:
                state[node] = 1
                path.append(node)
                node = self.by_id[node].parent
            if state.get(node) == 1:
                circular.update(path[path.index(node) :])
            for seen in path:
                state[seen] = 2
        return circular


class RecordFiles:
    """The two files of a store. Reading wants any lock on layers.lock, writing the write lock."""

    def __init__(self, layout: Layout) -> None:
        self._stable = layout.layers_json
        self._volatile = layout.volatile_json

    def stamp(self) -> tuple[FileStamp, FileStamp]:
        """Return what differs after either file was replaced."""
        return file_stamp(self._stable), file_stamp(self._volatile)

    def load(self, *, read_only: bool) -> Records:
        """Read both files.

        Raises:
            StoreCorrupt: a file is no JSON array of records, or layers.json is there but empty.
        """
        collecting = gc.isenabled()
        gc.disable()  # 100,000 new objects and no garbage: the collector would only take time
        try:
            layers = self._load_file(self._stable)
            volatile = self._load_file(self._volatile)
            for layer in volatile:
                force_setattr(layer, "volatile", True)
            return index([*layers, *volatile], read_only=read_only)
        finally:
            if collecting:
                gc.enable()

    def _load_file(self, path: str) -> list[Layer]:
        data = self._read(path)
        if not data:
            return []
        try:
            layers = _layers_decoder.decode(data) or []
        except msgspec.ValidationError:
            # Go's decoder takes null for any value; this one wants it gone first.
            layers = self._load_leniently(path, data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise corrupt(path, data, error) from error
        for layer in layers:
            if layer.mount_point or layer.mount_count or layer.volatile:  # a file has no say in these
                force_setattr(layer, "mount_point", "")
                force_setattr(layer, "mount_count", 0)
                force_setattr(layer, "volatile", False)
        return layers

    def _load_leniently(self, path: str, data: bytes) -> list[Layer]:
        try:
            objects = msgspec.json.decode(data, type=list[dict[str, Any]])
            stripped = [{key: value for key, value in item.items() if value is not None} for item in objects]
            return msgspec.convert(stripped, list[Layer])
        except msgspec.ValidationError as error:
            raise corrupt(path, data, error) from error

    def _read(self, path: str) -> bytes:
        data = read_if_there(path)
        if data == b"" and path == self._stable:
            hint = "a crash has cut it off; put a backup in its place, or delete it to begin with no layers"
            raise StoreCorrupt(path, "the file is empty", hint=hint)
        return data or b""

    def save(self, held: Held, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Apply `edits`, by layer ID, and append the records of `added`.

        Each file that changes is replaced whole; layers.json is on disk when this returns.

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
                pending.append((path, text))
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


def index(layers: list[Layer], *, read_only: bool) -> Records:
    """Build the indexes. Of two records with one ID the first counts; of two with one name the later gets it."""
    by_id: dict[str, Layer] = {}
    by_name: dict[str, Layer] = {}
    robbed: set[str] = set()
    duplicates: set[str] = set()
    kept: list[Layer] = []
    for layer in layers:
        if layer.id in by_id:
            duplicates.add(layer.id)
            continue
        force_setattr(layer, "read_only", read_only)
        by_id[layer.id] = layer
        kept.append(layer)
        for name in layer.names:
            loser = by_name.get(name)
            if loser is not None and loser is not layer:
                force_setattr(loser, "names", tuple(other for other in loser.names if other != name))
                robbed.add(loser.id)
            by_name[name] = layer
    stolen = {layer_id: by_id[layer_id].names for layer_id in robbed}
    return Records(kept, by_id, by_name, stolen, frozenset(duplicates))


def encode(layer: Layer) -> bytes:
    """Return a new layer's record, with the keys in containers/storage's order and without what is empty."""
    own = msgspec.structs.replace(layer, mount_point="", mount_count=0, read_only=False, volatile=False)
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


def file_stamp(path: str) -> FileStamp:
    """Return what differs after the file was replaced or removed."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return _MISSING
    except PermissionError as error:
        raise StoreAccess(path, "this user may not look at it", "use sudo") from error
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_if_there(path: str) -> bytes | None:
    """Return the content of a file, None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreAccess(path, "this user may not read it", "use sudo") from error


def corrupt(path: str, data: bytes, error: Exception) -> StoreCorrupt:
    """Turn a decoder's complaint into one with the line and column, as far as it names a place."""
    reason = str(error)
    line = column = 0
    offset = _offset(data, reason)
    if offset is not None:
        line = data.count(b"\n", 0, offset) + 1
        column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
    hint = "the file was left as it is; mend it by hand or put a backup in its place"
    return StoreCorrupt(path, reason, line=line, column=column, hint=hint)


def _offset(data: bytes, reason: str) -> int | None:
    if "truncated" in reason:
        return len(data)
    _, found, tail = reason.partition("(byte ")
    digits = tail.partition(")")[0]
    return int(digits) if found and digits.isdigit() else None


def _split(path: str, data: bytes) -> tuple[list[_Identified], list[Raw]]:
    try:
        return _ids_decoder.decode(data) or [], _raws_decoder.decode(data) or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
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
