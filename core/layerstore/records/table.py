"""The records of a store as a compact table.

100,000 decoded records take 100 MB, most of which a list never shows. A large file is therefore decoded once, for the
columns of the table. A whole `Layer` is decoded on demand from the same file, which stays open. That is safe because
writers replace the file and never modify it in place.
"""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntFlag
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from typing import Any, cast, overload

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr

from layerstore.errors import StoreCorrupt
from layerstore.model import BAD_JSON, Layer

NO_PARENT = -1
"""The value in `LayerTable.parents` of a layer without a parent."""
LOST_PARENT = -2
"""The value in `LayerTable.parents` of a layer whose parent, named in `lost_parents`, has no record."""
UNKNOWN_SIZE = -1
"""The value in `LayerTable.sizes` of a layer whose record has no size."""

_KEPT = 4096  # records of a file that is small enough to keep them decoded
_AT_ONCE = 512  # records decoded in one call, which blocks other threads
_layer_decoder = msgspec.json.Decoder(Layer)
_raws_decoder = msgspec.json.Decoder(list[Raw] | None)
_id, _parent, _size, _digest = map(attrgetter, ("id", "parent", "diff_size", "diff_digest"))
_BETWEEN = b" \t\r\n,["
_OPEN = ord("{")


class LayerState(IntFlag):
    """The bits of `LayerTable.states`."""

    INCOMPLETE = 1
    VOLATILE = 2
    READ_ONLY = 4


State = LayerState
"""The former name of `LayerState`, for callers that have not been renamed yet."""


class RecordText:
    """The records of one file: the position of each, and the open file to read it from again.

    Raises:
        BAD_JSON: `data` is not a JSON array. `first_reading` raises it too.
        StoreCorrupt: A value in a record has the wrong type. `first_reading` raises it too.
    """

    def __init__(
        self, path: str, descriptor: int, data: bytes, *, volatile: bool = False, image_store: str = ""
    ) -> None:
        self.path = path
        self.volatile = volatile
        self.image_store = image_store
        """The graph root of the additional image store that the file belongs to, or "" for the store itself."""
        self.layers: list[Layer] | None = None
        """All records, if there are few enough to keep them."""
        self._starts = array("q")
        self._lengths = array("i")
        self._raws: Sequence[Raw] = _raws_decoder.decode(data) or [] if data else []
        if len(self._raws) > _KEPT:
            self._descriptor = os.dup(descriptor)
            weakref.finalize(self, os.close, self._descriptor)
            self._data: bytes = data
        else:
            self.layers = [self._parsed(raw, number) for number, raw in enumerate(self._raws)]
            self._raws = ()

    def first_reading(self) -> Iterator[list[Layer]]:
        """Yield all records in batches, once. Notes the position of each and then drops the text."""
        if self.layers is not None:
            yield self.layers
            return
        raws, self._raws = self._raws, ()
        self._lengths.extend([len(memoryview(raw)) for raw in raws])
        self._starts.extend(self._places())
        self._data = b""
        for start in range(0, len(raws), _AT_ONCE):
            part = raws[start : start + _AT_ONCE]
            try:
                layers = list(map(_layer_decoder.decode, part))
            except BAD_JSON:
                layers = [self._parsed(raw, number) for number, raw in enumerate(part, start)]
            yield layers

    def _places(self) -> Iterable[int]:
        """Return the position of each record."""
        data, count = self._data, len(self._lengths)
        if len(data) == sum(self._lengths) + count + 1:  # compact, as Go writes it
            return accumulate([length + 1 for length in self._lengths[: count - 1]], initial=1)
        return self._searched(data)

    def _searched(self, data: bytes) -> Iterator[int]:
        place = 0
        for length in self._lengths:
            place += 1  # skip the bracket or comma
            while data[place] != _OPEN and data[place] in _BETWEEN:
                place += 1
            yield place
            place += length

    def layer(self, number: int) -> Layer:
        """Return one decoded record."""
        if self.layers is not None:
            return self.layers[number]
        text = os.pread(self._descriptor, self._lengths[number], self._starts[number])
        try:
            return self._parsed(text, number)
        except BAD_JSON as error:
            raise self.changed() from error

    def reader(self) -> Callable[[int], Layer]:
        """Return a faster version of `layer` for reading all records, which holds the whole text in memory."""
        if self.layers is not None or not self._starts:
            return self.layer
        text = memoryview(os.pread(self._descriptor, self._starts[-1] + self._lengths[-1], 0))

        def layer(number: int) -> Layer:
            start = self._starts[number]
            try:
                return self._parsed(text[start : start + self._lengths[number]], number)
            except BAD_JSON as error:
                raise self.changed() from error

        return layer

    def changed(self) -> StoreCorrupt:
        """Return the error for a file that was modified in place."""
        hint = "reload; programs that write to it must replace the file"
        return StoreCorrupt(self.path, "it was modified in place while in use", hint=hint)

    def _parsed(self, text: bytes | memoryview | Raw, number: int) -> Layer:
        try:
            layer = _layer_decoder.decode(text)
        except msgspec.ValidationError:
            # Go's decoder accepts null for any value, this one does not.
            layer = self._parsed_leniently(text, number)
        if layer.mount_point or layer.mount_count or layer.image_store:  # not part of a record
            force_setattr(layer, "mount_point", "")
            force_setattr(layer, "mount_count", 0)
            force_setattr(layer, "image_store", "")
        return layer

    def _parsed_leniently(self, text: bytes | memoryview | Raw, number: int) -> Layer:
        try:
            values = msgspec.json.decode(text, type=dict[str, Any])
            return msgspec.convert({key: value for key, value in values.items() if value is not None}, Layer)
        except msgspec.ValidationError as error:
            hint = "it was left unchanged; fix it by hand or restore a backup"
            raise StoreCorrupt(self.path, f"record {number + 1}: {error}", hint=hint) from error


class LayerTable(Sequence[Layer]):
    """All layers of a store as columns: a snapshot that is safe to pass to another thread.

    The table is also a sequence of `Layer`, in the order of the records and with each ID once. Mount points are not
    filled in. Getting a layer raises `StoreCorrupt` if another program modified the file in place.

    Attributes:
        ids: The full ID of each layer.
        parents: The position of each layer's parent, or `NO_PARENT` or `LOST_PARENT`.
        sizes: The size of each diff in bytes, or `UNKNOWN_SIZE`.
        states: The `LayerState` bits of each layer.
        names: The names of layers that have any, by position.
        lost_parents: The ID of the parent of each `LOST_PARENT` layer, by position.
        positions: The position of each ID.
        duplicates: The IDs that several records of one store have. The first record takes precedence.
        holders: The position of the layer that each name belongs to. In one store the last layer that claims a name
            has it, among several stores the layer of the first store.
        outnamed: The positions of layers that lost a name to a later layer.
    """

    def __init__(self, texts: Sequence[RecordText], *, read_only: bool) -> None:
        self.ids: list[str] = []
        self.parents = array("i")
        self.sizes = array("q")
        self.states = bytearray()
        self.names: dict[int, tuple[str, ...]] = {}
        self.lost_parents: dict[int, str] = {}
        self.positions: dict[str, int] = {}
        self.duplicates: frozenset[str] = frozenset()
        self.holders: dict[str, int] = {}
        self.outnamed: set[int] = set()
        self._texts = texts
        self._origins = bytearray()  # for each layer the index of its text
        self._numbers = array("i")  # and the index of its record there
        self._read(read_only=read_only)

    def _read(self, *, read_only: bool) -> None:
        duplicates: set[str] = set()
        for origin, text in enumerate(self._texts):
            read_only_bit = LayerState.READ_ONLY * (read_only or text.image_store != "")
            state = LayerState.VOLATILE * text.volatile | read_only_bit
            number = 0
            for several in text.first_reading():
                layers, numbers = several, cast("Sequence[int]", range(number, number + len(several)))
                number += len(several)
                if self._known(layers):
                    duplicates |= self._doubled(layers, text)
                    first = {layer.id: at for at, layer in reversed([*enumerate(layers)])}
                    kept = sorted(at for layer_id, at in first.items() if layer_id not in self.positions)
                    layers, numbers = [layers[at] for at in kept], [numbers[at] for at in kept]
                self._origins.extend(bytes([origin]) * len(layers))
                self._numbers.extend(numbers)
                self._add(layers, int(state))
        self.duplicates = frozenset(duplicates)
        for position, parent in list(self.lost_parents.items()):
            found = self.positions.get(parent)
            if found is not None:  # the parent came later in the file
                self.parents[position] = found
                del self.lost_parents[position]

    def _known(self, layers: Sequence[Layer]) -> bool:
        """Return whether any of the IDs is already in the table or occurs twice."""
        ids = {*map(_id, layers)}
        return len(ids) < len(layers) or not self.positions.keys().isdisjoint(ids)

    def _doubled(self, layers: Sequence[Layer], text: RecordText) -> set[str]:
        """Return the IDs that occur more than once in the store that `text` belongs to."""
        doubled, here = set(), set()
        for layer in layers:
            before = self.positions.get(layer.id)
            if layer.id in here or (before is not None and self.image_store(before) == text.image_store):
                doubled.add(layer.id)
            here.add(layer.id)
        return doubled

    def _add(self, layers: Sequence[Layer], state: int) -> None:
        start = len(self.ids)
        positions = self.positions
        ids, parents = map(_id, layers), map(_parent, layers)
        self.ids += ids
        positions.update(zip(self.ids[start:], range(start, len(self.ids)), strict=True))
        self.states += bytes([state]) * len(layers)
        sizes = zip(map(_size, layers), map(_digest, layers), strict=True)
        self.sizes.extend([size if size > 0 or (size == 0 and digest) else UNKNOWN_SIZE for size, digest in sizes])
        self.parents.extend([positions.get(parent, LOST_PARENT) if parent else NO_PARENT for parent in parents])
        for position, layer in [(at, layer) for at, layer in enumerate(layers, start) if layer.names or layer.flags]:
            if layer.incomplete:
                self.states[position] |= LayerState.INCOMPLETE
            if layer.names:
                self.names[position] = layer.names
            for name in layer.names:
                self._take(name, position)
        found = self.parents[start:]
        if LOST_PARENT in found:
            lost = [at for at, parent in enumerate(found) if parent == LOST_PARENT]
            self.lost_parents.update((start + at, layers[at].parent) for at in lost)

    def _take(self, name: str, position: int) -> None:
        holder = self.holders.get(name, position)
        if holder != position:
            if self.image_store(holder) != self.image_store(position):
                return
            self.names[holder] = tuple(other for other in self.names[holder] if other != name)
            self.outnamed.add(holder)
        self.holders[name] = position

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, position: int) -> Layer: ...
    @overload
    def __getitem__(self, position: slice) -> list[Layer]: ...
    def __getitem__(self, position: int | slice) -> Layer | list[Layer]:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        if position < 0:
            position += len(self)
        text = self._texts[self._origins[position]]
        return self._finished(position, text, text.layer(self._numbers[position]))

    def __iter__(self) -> Iterator[Layer]:
        readers = [text.reader() for text in self._texts]
        for position, (origin, number) in enumerate(zip(self._origins, self._numbers, strict=True)):
            yield self._finished(position, self._texts[origin], readers[origin](number))

    def _finished(self, position: int, text: RecordText, layer: Layer) -> Layer:
        """Set the fields that are not part of the record, and the names the layer really has."""
        if layer.id != self.ids[position]:
            raise text.changed()
        state = self.states[position]
        force_setattr(layer, "read_only", bool(state & LayerState.READ_ONLY))
        force_setattr(layer, "volatile", bool(state & LayerState.VOLATILE))
        if text.image_store:
            force_setattr(layer, "image_store", text.image_store)
        if position in self.outnamed:
            force_setattr(layer, "names", self.names[position])
        return layer

    @cached_property
    def created(self) -> array[float]:
        """The creation time of each layer in seconds since 1970, or 0 if unknown. Decodes all records on first use.

        Raises:
            StoreCorrupt: Another program modified the file in place.
        """
        return array("d", [0 if layer.created is None else layer.created.timestamp() for layer in self])

    def image_store(self, position: int) -> str:
        """Return the graph root of the image store that has the layer, or "" for a layer of the store itself."""
        return self._texts[self._origins[position]].image_store

    def nearest(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those of the IDs whose layers are in the first store that has any of them."""
        if len(ids) < 2:
            return ids
        places = {layer_id: self.image_store(self.positions[layer_id]) for layer_id in ids}
        first = places[min(ids, key=self.positions.__getitem__)]
        return [layer_id for layer_id in ids if places[layer_id] == first]

    def parent_of(self, position: int) -> str:
        """Return the ID of the parent of a layer, with or without a record, or "" if the layer has none."""
        parent = self.parents[position]
        return self.ids[parent] if parent >= 0 else self.lost_parents.get(position, "")


class Found(Mapping[str, Layer]):
    """A mapping from IDs or names to layers, decoded on demand."""

    def __init__(self, table: LayerTable, positions: Mapping[str, int]) -> None:
        self._table = table
        self._positions = positions

    def __getitem__(self, key: str) -> Layer:
        return self._table[self._positions[key]]

    def __contains__(self, key: object) -> bool:
        return key in self._positions

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


class Parents(Mapping[str, str]):
    """A mapping from the ID of each layer that has a parent to the ID of the parent."""

    def __init__(self, table: LayerTable) -> None:
        self._table = table

    def __getitem__(self, layer_id: str) -> str:
        parent = self._table.parent_of(self._table.positions[layer_id])
        if not parent:
            raise KeyError(layer_id)
        return parent

    def __iter__(self) -> Iterator[str]:
        table = self._table
        return (layer_id for layer_id, parent in zip(table.ids, table.parents, strict=True) if parent != NO_PARENT)

    def __len__(self) -> int:
        return len(self._table) - self._table.parents.count(NO_PARENT)
