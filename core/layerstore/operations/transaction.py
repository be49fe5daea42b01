"""One store's files and locks, and what may be done with them while a lock is held."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerstore.drivers.options import DriverOptions
from layerstore.errors import LayerStoreError, LayerUnknown, StoreAccess, StoreCorrupt, StoreReadOnly, UnusableID
from layerstore.linux.atomic import remove_abandoned
from layerstore.linux.lockfile import Held, LockFile
from layerstore.model import INCOMPLETE_FLAG, REPLACES_FLAG, Layer
from layerstore.records.image_stores import ImageStores
from layerstore.records.layout import Layout
from layerstore.records.mountpoints import MountsFile, MountTable
from layerstore.records.readfile import FileStamp
from layerstore.records.records import Edit, Problem, RecordFiles, Records
from layerstore.records.references import ReferenceFiles, References
from layerstore.records.table import Parents

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver

_log = logging.getLogger(__name__)


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
    options: DriverOptions = field(default_factory=DriverOptions)
    graph_lock: LockFile = field(init=False)
    layers_lock: LockFile = field(init=False)
    mounts_lock: LockFile = field(init=False)
    record_files: RecordFiles = field(init=False)
    mounts_file: MountsFile = field(init=False)
    reference_files: ReferenceFiles = field(init=False)
    image_stores: ImageStores = field(init=False)
    abandoned_from: float = field(init=False, default=0.0)
    """The time before which no temporary file has been left for long enough to be deleted."""
    _cached: _Cached | None = field(init=False, default=None)
    _joined: tuple[object, Records] | None = field(init=False, default=None)
    _token: bytes | None = field(init=False, default=None)
    _driver: Driver | None = field(init=False, default=None)
    _loading: threading.Lock = field(init=False, default_factory=threading.Lock)
    """Held while records are read: several threads that find them changed want them read once, not once each."""

    def __post_init__(self) -> None:
        self.graph_lock = LockFile(self.layout.graph_lock, timeout=self.lock_timeout)
        self.layers_lock = LockFile(self.layout.layers_lock, timeout=self.lock_timeout, optional=True)
        self.mounts_lock = LockFile(self.layout.mounts_lock, timeout=self.lock_timeout, optional=True)
        self.record_files = RecordFiles(self.layout)
        self.mounts_file = MountsFile(self.layout)
        self.reference_files = ReferenceFiles(self.layout, lock_timeout=self.lock_timeout, read_only=self.read_only)
        self.image_stores = ImageStores(self.layout, self.options.image_stores, lock_timeout=self.lock_timeout)

    @property
    def driver(self) -> Driver:
        """The driver that holds the layers' files; made, and its modules imported, when it is first needed."""
        if self._driver is None:
            from layerstore.drivers import make_driver

            self._driver = make_driver(self.layout, self.options)
        return self._driver

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[Records]:
        """Hold the layers lock for reading, those of the image stores too, and yield records that are true meanwhile.

        The records are the store's own and after them those of the image stores.
        """
        with self.layers_lock.read(timeout) as held, self.image_stores.reading(timeout) as helds:
            yield self.joined(held, helds)

    def detached_read(self) -> Callable[[], None]:
        """Hold the same locks until the returned function is called, from whatever thread, once."""
        with ExitStack() as stack:
            stack.callback(self.layers_lock.detached_read())
            self.image_stores.detached_read(stack)
            return stack.pop_all().close

    @contextmanager
    def writing(self, action: str, timeout: float | None = None) -> Iterator[Transaction]:
        """Hold the layers lock for writing, with the folders in place.

        Raises:
            StoreReadOnly: the store was opened so; `action` says in the message what cannot be done.
        """
        if self.read_only:
            raise StoreReadOnly(self.layout.graph_root, action)
        self.make_folders()
        with self.layers_lock.write(timeout) as held, self.image_stores.reading(timeout) as helds:
            yield Transaction(self, held, tuple(helds), action)

    @contextmanager
    def mounting(self, action: str) -> Iterator[Transaction]:
        """Hold the layers lock for writing as `writing` does, and before it the lock that guards mounts.

        Podman holds that one while it mounts, and while it binds the driver's folder on itself.
        """
        if self.read_only:
            raise StoreReadOnly(self.layout.graph_root, action)
        with self.graph_lock.write(), self.writing(action) as tx:
            yield tx

    def make_folders(self) -> None:
        """Make the folders of records, private to the user as containers/storage makes them."""
        for path in (self.layout.layers, self.layout.run_layers):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
            except PermissionError as error:
                raise StoreAccess(path, "this user may not make it", "use sudo, or --read-only") from error

    def current(self, held: Held) -> Records:
        """Return the store's own records, read again only if somebody wrote since (the token or a file changed)."""
        with self._loading:
            token, stamp = held.token(), self.record_files.stamp()
            cached = self._cached
            if cached is None or cached.token != token or cached.stamp != stamp:
                cached = _Cached(token, stamp, self.record_files.load(read_only=self.read_only))
                self._cached, self._token = cached, token
            return cached.records

    def joined(self, held: Held, helds: Sequence[Held | None]) -> Records:
        """Return the store's records with those of its image stores, as far as these can be read."""
        if not self.image_stores:
            return self.current(held)
        with self._loading:
            token, stamp, others = held.token(), self.record_files.stamp(), self.image_stores.readable(helds)
            key = (token, stamp, [(store.path, state) for store, state in others])
            if self._joined is None or self._joined[0] != key:
                files = [store.record_files for store, _ in others]
                self._joined = (key, self.record_files.load(read_only=self.read_only, others=files))
                self._token = token
            return self._joined[1]

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records, and which image stores cannot be read.

        Users of layers without a record are told if all stores can be read: else the layer may lie in another.
        """
        with self.layers_lock.read() as held, self.image_stores.reading() as helds:
            records = self.joined(held, helds)
            unread = self.image_stores.problems(helds)
            lost: dict[str, tuple[str, ...]] = {}
            if not unread:
                with suppress(StoreCorrupt):  # which `references` tells
                    lost = self.references(records).without_layer(records.layers.positions)
        needed = [
            Problem(layer_id, "no-layer", f"layer {layer_id} has no record, and is needed by {', '.join(users)}")
            for layer_id, users in lost.items()
        ]
        return [*unread, *records.problems(), *needed]

    def records_of(self, layer: Layer) -> RecordFiles:
        """Return the files that the layer's record stands in."""
        store = self.image_stores.store_of(layer)
        return self.record_files if store is None else store.record_files

    def tar_split(self, layer: Layer) -> str:
        """Return the path of the layer's tar-split; it need not exist.

        With `imagestore` containers/storage keeps it beside the store's own.
        """
        own = self.layout.tar_split(layer.id)
        store = self.image_stores.store_of(layer)
        theirs = own if store is None else store.layout.tar_split(layer.id)
        return theirs if os.path.exists(theirs) else own

    def loaded_token(self) -> bytes | None:
        """Return the token of the write that the cached records come from, None before the first load."""
        return self._token

    def forget(self) -> None:
        """Read the records again at the next use."""
        self._cached = self._joined = self._token = None

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
        return self.reference_files.load(Parents(records.layers), others=self.image_stores.users())


@dataclass(frozen=True, slots=True)
class Transaction:
    """Proof that the layers lock is held for writing, and the ways to use it.

    There is no roll-back: a function that changes several files marks the layer incomplete first and takes the mark
    away last, so that whoever comes after a crash removes it.
    """

    backend: Backend
    held: Held
    helds: tuple[Held | None, ...]
    action: str

    @property
    def records(self) -> Records:
        """The store's own records as they stand now. To look for a layer of an image store is `StoreReadOnly`."""
        records = self.backend.current(self.held)
        records.elsewhere = self._refuse if self.backend.image_stores else None
        return records

    @property
    def all_records(self) -> Records:
        """The same and those of the image stores, on which a layer may be based."""
        return self.backend.joined(self.held, self.helds)

    def _refuse(self, ref: str) -> None:
        with suppress(LayerUnknown):
            layer = self.all_records.find(ref)
            raise StoreReadOnly(layer.image_store, self.action, layer=layer.id)

    @property
    def driver(self) -> Driver:
        """The driver that holds the layers' files."""
        return self.backend.driver

    def save(self, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Write the edits and the new records.

        Raises:
            StoreCorrupt: two records have the ID of an edited layer.
        """
        self._refuse_doubled(edits)
        self.backend.record_files.save(self.held, edits, added)

    def _refuse_doubled(self, ids: Iterable[str]) -> None:
        doubled = next(filter(self.records.duplicates.__contains__, ids), None)
        if doubled is not None:
            reason, hint = f"two records have the ID {doubled}", "take one of them away by hand first"
            raise StoreCorrupt(self.backend.layout.layers_json, reason, hint=hint)

    def edit(self, layer_id: str, values: Mapping[str, Any]) -> None:
        """Change keys of one record; None takes a key away."""
        self.save({layer_id: Edit(dict(values))})

    def mark_incomplete(self, layer: Layer) -> None:
        """Have the layer removed by whoever next loads the store for writing, should this process not come back."""
        if layer.flags.get(INCOMPLETE_FLAG) is not True:
            self.edit(layer.id, {"flags": {**layer.flags, INCOMPLETE_FLAG: True}})

    def leftover(self, layer_id: str) -> str:
        """Return the path of something on disk that belongs to a layer of this ID, which has no record; "" for none.

        Whoever made a layer over it would remove it too, should that fail.
        """
        if self.driver.exists(layer_id):
            return str(next(iter(self.driver.paths(layer_id).values())))
        layout = self.backend.layout
        return next(filter(os.path.lexists, (layout.tar_split(layer_id), layout.big_data(layer_id))), "")

    def remove_files(self, layer_id: str) -> None:
        """Delete all that belongs to the layer but its record."""
        import shutil

        self.driver.remove(layer_id)
        with suppress(FileNotFoundError):
            os.unlink(self.backend.layout.tar_split(layer_id))
        shutil.rmtree(self.backend.layout.big_data(layer_id), ignore_errors=True)

    def remove(self, layer: Layer) -> None:
        """Delete a layer for good, in an order that a crash cannot turn into a broken layer.

        Raises:
            StoreCorrupt: two records have its ID, and the files may be the other one's; they stay.
        """
        self._refuse_doubled((layer.id,))
        self.mark_incomplete(layer)
        with suppress(UnusableID):  # no file has such a name
            self.remove_files(layer.id)
        self.save({layer.id: Edit(remove=True)})

    def tidy(self) -> list[str]:
        """Do what containers/storage does on loading for writing; return the IDs of the layers that it removed.

        Incomplete layers go, unless another one is based on them; names that two layers claim stay with the later
        one; what an interrupted removal left aside is deleted. What cannot be deleted, as a layer that is mounted,
        stays as it is and in nobody's way: the check of the store tells of it, and its repair of the reason.
        """
        records = self.records
        if records.stolen_names:
            names = {layer_id: Edit({"names": names or None}) for layer_id, names in records.stolen_names.items()}
            with self._tolerant("a name that two layers claim"):
                self.save(names)
        removed = []
        for layer in records.incomplete():
            with self._tolerant(f"incomplete layer {layer.id}"):
                self.settle(layer)
                if not self.records.children(layer.id):
                    self.remove(layer)
                    removed.append(layer.id)
        with self._tolerant("something of an interrupted removal"):
            self.clean_up()
        return removed

    @contextmanager
    def _tolerant(self, what: str) -> Iterator[None]:
        try:
            yield
        except (LayerStoreError, OSError) as error:
            _log.warning("%s stays for now: %s", what, error)

    def settle(self, layer: Layer) -> None:
        """Finish or take back the change of a layer that this one, a copy, is there for; see `replacing`."""
        if REPLACES_FLAG in layer.flags:
            from layerstore.operations.replace import settle

            settle(self, layer)

    def clean_up(self) -> None:
        """Delete what an interrupted removal or write left aside, ours or containers/storage's."""
        from layerstore.drivers import staging

        self.driver.cleanup()
        staging.recover(Path(self.backend.layout.layers_aside))
        if time.time() >= self.backend.abandoned_from:
            self.backend.abandoned_from = remove_abandoned(self.backend.layout.layers)
