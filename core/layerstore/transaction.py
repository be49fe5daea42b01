"""One store's files and locks, and what may be done with them while a lock is held."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layerstore.errors import StoreAccess, StoreCorrupt, StoreReadOnly
from layerstore.layout import Layout
from layerstore.lockfile import Held, LockFile
from layerstore.model import INCOMPLETE_FLAG, Layer
from layerstore.mountpoints import MountsFile, MountTable
from layerstore.records import Edit, FileStamp, RecordFiles, Records
from layerstore.references import ReferenceFiles, References

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


@dataclass(frozen=True, slots=True)
class _Cached:
    token: bytes
    stamp: tuple[FileStamp, FileStamp]
    records: Records


@dataclass(slots=True)
class Backend:
    """The files, locks and driver of one store. All threads share it; every access goes through a lock."""

    layout: Layout
    read_only: bool
    lock_timeout: float
    layers_lock: LockFile = field(init=False)
    mounts_lock: LockFile = field(init=False)
    record_files: RecordFiles = field(init=False)
    mounts_file: MountsFile = field(init=False)
    reference_files: ReferenceFiles = field(init=False)
    _cached: _Cached | None = field(init=False, default=None)
    _driver: Driver | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.layers_lock = LockFile(self.layout.layers_lock, timeout=self.lock_timeout, optional=True)
        self.mounts_lock = LockFile(self.layout.mounts_lock, timeout=self.lock_timeout, optional=True)
        self.record_files = RecordFiles(self.layout)
        self.mounts_file = MountsFile(self.layout)
        self.reference_files = ReferenceFiles(self.layout, lock_timeout=self.lock_timeout)

    @property
    def driver(self) -> Driver:
        """The driver that holds the layers' files; made, and its modules imported, when it is first needed."""
        if self._driver is None:
            from layerstore.drivers import make_driver

            self._driver = make_driver(self.layout)
        return self._driver

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[Records]:
        """Hold the layers lock for reading and yield records that are true while it is held."""
        with self.layers_lock.read(timeout) as held:
            yield self.current(held)

    @contextmanager
    def writing(self, action: str, timeout: float | None = None) -> Iterator[Transaction]:
        """Hold the layers lock for writing, with the folders in place.

        Raises:
            StoreReadOnly: the store was opened so; `action` says in the message what cannot be done.
        """
        if self.read_only:
            raise StoreReadOnly(self.layout.graph_root, action)
        self.make_folders()
        with self.layers_lock.write(timeout) as held:
            yield Transaction(self, held)

    def make_folders(self) -> None:
        """Make the folders of records, private to the user as containers/storage makes them."""
        for path in (self.layout.layers, self.layout.run_layers):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
            except PermissionError as error:
                raise StoreAccess(path, "this user may not make it", "use sudo, or --read-only") from error

    def current(self, held: Held) -> Records:
        """Return the records, read again only if somebody wrote since (the token or a file changed)."""
        token, stamp = held.token(), self.record_files.stamp()
        cached = self._cached
        if cached is None or cached.token != token or cached.stamp != stamp:
            cached = _Cached(token, stamp, self.record_files.load(read_only=self.read_only))
            self._cached = cached
        return cached.records

    def loaded_token(self) -> bytes | None:
        """Return the token of the write that the cached records come from, None before the first load."""
        return None if self._cached is None else self._cached.token

    def forget(self) -> None:
        """Read the records again at the next use."""
        self._cached = None

    def mounts(self) -> MountTable:
        """Read which layers are mounted. Where a read-only opening may not look, none are."""
        try:
            with self.mounts_lock.read():
                return self.mounts_file.load()
        except StoreAccess:
            if self.read_only:
                return MountTable({})
            raise

    def references(self, records: Records) -> References:
        """Read who uses the layers."""
        return self.reference_files.load({layer.id: layer.parent for layer in records.layers if layer.parent})


@dataclass(frozen=True, slots=True)
class Transaction:
    """Proof that the layers lock is held for writing, and the ways to use it.

    There is no roll-back: a function that changes several files marks the layer incomplete first and takes the mark
    away last, so that whoever comes after a crash removes it.
    """

    backend: Backend
    held: Held

    @property
    def records(self) -> Records:
        """The records as they stand now."""
        return self.backend.current(self.held)

    @property
    def driver(self) -> Driver:
        """The driver that holds the layers' files."""
        return self.backend.driver

    def save(self, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Write the edits and the new records.

        Raises:
            StoreCorrupt: two records have the ID of an edited layer.
        """
        duplicates = self.records.duplicates
        for layer_id in edits:
            if layer_id in duplicates:
                reason, hint = f"two records have the ID {layer_id}", "take one of them away by hand first"
                raise StoreCorrupt(self.backend.layout.layers_json, reason, hint=hint)
        self.backend.record_files.save(self.held, edits, added)

    def edit(self, layer_id: str, values: Mapping[str, Any]) -> None:
        """Change keys of one record; None takes a key away."""
        self.save({layer_id: Edit(dict(values))})

    def mark_incomplete(self, layer: Layer) -> None:
        """Have the layer removed by whoever next loads the store for writing, should this process not come back."""
        if not layer.incomplete:
            self.edit(layer.id, {"flags": {**layer.flags, INCOMPLETE_FLAG: True}})

    def remove_files(self, layer_id: str) -> None:
        """Delete all that belongs to the layer but its record."""
        import shutil

        self.driver.remove(layer_id)
        with suppress(FileNotFoundError):
            os.unlink(self.backend.layout.tar_split(layer_id))
        shutil.rmtree(self.backend.layout.big_data(layer_id), ignore_errors=True)

    def remove(self, layer: Layer) -> None:
        """Delete a layer for good, in an order that a crash cannot turn into a broken layer."""
        self.mark_incomplete(layer)
        self.remove_files(layer.id)
        self.save({layer.id: Edit(remove=True)})

    def tidy(self) -> list[str]:
        """Do what containers/storage does on loading for writing; return the IDs of the layers that it removed.

        Incomplete layers go, unless a complete one is based on them; names that two layers claim stay with the later
        one; what an interrupted removal left aside is deleted.
        """
        records = self.records
        if records.stolen_names:
            names = {layer_id: Edit({"names": names or None}) for layer_id, names in records.stolen_names.items()}
            self.save(names)
        removed = []
        for layer in reversed(self.records.layers):
            if layer.incomplete and not self.records.children(layer.id):
                self.remove(layer)
                removed.append(layer.id)
        self.driver.cleanup()
        return removed
