"""The files, locks and driver of a store, and the changes that are allowed while a lock is held."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layerstore.drivers.options import DriverOptions
from layerstore.errors import LayerUnknown, StoreAccess, StoreCorrupt, StoreReadOnly, UnusableID
from layerstore.linux.lockfile import Held, LockFile
from layerstore.model import INCOMPLETE_FLAG, Layer
from layerstore.records.image_stores import ImageStores
from layerstore.records.layout import Layout
from layerstore.records.mountpoints import MountsFile, MountTable
from layerstore.records.readfile import FileStamp
from layerstore.records.records import Edit, Problem, RecordFiles, Records
from layerstore.records.references import ReferenceFiles, References, UsersOfLayers
from layerstore.records.table import Parents

if TYPE_CHECKING:
    from layerstore.drivers.base import Driver


@dataclass(frozen=True, slots=True)
class _Cached:
    token: bytes
    stamp: tuple[FileStamp, FileStamp]
    records: Records


@dataclass(slots=True)
class Backend:
    """The files, locks and driver of one store, shared by all threads. Every access goes through a lock."""

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
    """The time before which no temporary file is old enough to be deleted, in seconds since 1970."""
    _cached: _Cached | None = field(init=False, default=None)
    _joined: tuple[object, Records] | None = field(init=False, default=None)
    _token: bytes | None = field(init=False, default=None)
    _driver: Driver | None = field(init=False, default=None)
    _loading: threading.Lock = field(init=False, default_factory=threading.Lock)
    """Held while records are loaded, so that several threads that need new records load them only once."""

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
        """The driver, which is imported and created on first use."""
        if self._driver is None:
            from layerstore.drivers import make_driver

            self._driver = make_driver(self.layout, self.options)
        return self._driver

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[Records]:
        """Hold the layers locks of the store and its image stores for reading.

        Yields:
            The records of the store, followed by those of its image stores. They are current while the locks are held.
        """
        with self.layers_lock.read(timeout) as held, self.image_stores.reading(timeout) as helds:
            yield self.joined(held, helds)

    def detached_read(self) -> Callable[[], None]:
        """Hold the same locks until the returned function is called, once, from any thread."""
        with ExitStack() as stack:
            stack.callback(self.layers_lock.detached_read())
            self.image_stores.detached_read(stack)
            return stack.pop_all().close

    @contextmanager
    def writing(self, action: str, timeout: float | None = None) -> Iterator[Transaction]:
        """Hold the layers lock for writing, after creating the folders of records if necessary.

        Args:
            action: What the lock is for, in the words of an error message: "cannot <action>".
            timeout: Seconds to wait for the lock, by default the timeout of the store.

        Raises:
            StoreReadOnly: The store is open read-only.
        """
        if self.read_only:
            raise StoreReadOnly(self.layout.graph_root, action)
        self.make_folders()
        with self.layers_lock.write(timeout) as held, self.image_stores.reading(timeout) as helds:
            yield Transaction(self, held, tuple(helds), action)

    @contextmanager
    def mounting(self, action: str) -> Iterator[Transaction]:
        """Hold the graph lock and then the layers lock for writing.

        Podman holds the graph lock while it mounts and while it bind-mounts the driver's folder onto itself.
        """
        if self.read_only:
            raise StoreReadOnly(self.layout.graph_root, action)
        with self.graph_lock.write(), self.writing(action) as tx:
            yield tx

    def make_folders(self) -> None:
        """Create the folders of records with mode 0700, as containers/storage does."""
        for path in (self.layout.layers, self.layout.run_layers):
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
            except PermissionError as error:
                raise StoreAccess(path, "this user may not create it", "use sudo, or --read-only") from error

    def current(self, held: Held) -> Records:
        """Return the records of the store itself, loaded again only if the token or a file has changed."""
        with self._loading:
            token, stamp = held.token(), self.record_files.stamp()
            cached = self._cached
            if cached is None or cached.token != token or cached.stamp != stamp:
                cached = _Cached(token, stamp, self.record_files.load(read_only=self.read_only))
                self._cached, self._token = cached, token
            return cached.records

    def joined(self, held: Held, helds: Sequence[Held | None]) -> Records:
        """Return the records of the store and of those image stores that can be read."""
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
        """Return the problems of the records and of the image stores (see `LayerStore.problems`)."""
        with self.reading() as records:
            images, unread = self.image_stores.survey()
            references = None
            if not unread:
                with suppress(StoreCorrupt):  # `references` raises it
                    references = self.references(records, images)
            return problems_of(records, unread, references)

    def records_of(self, layer: Layer) -> RecordFiles:
        """Return the record files of the store that has the layer."""
        store = self.image_stores.store_of(layer)
        return self.record_files if store is None else store.record_files

    def layout_of(self, layer: Layer) -> Layout:
        """Return the paths of the store that has the layer."""
        store = self.image_stores.store_of(layer)
        return self.layout if store is None else store.layout

    def tar_split(self, layer: Layer) -> str:
        """Return the path of the layer's tar-split, which need not exist.

        With the option `imagestore`, containers/storage keeps the tar-splits of an image store in the store itself.
        """
        theirs = self.layout_of(layer).tar_split(layer.id)
        return theirs if os.path.exists(theirs) else self.layout.tar_split(layer.id)

    def loaded_token(self) -> bytes | None:
        """Return the token of the write that the loaded records come from, or None before the first load."""
        return self._token

    def forget(self) -> None:
        """Load the records again when they are next used."""
        self._cached = self._joined = self._token = None

    def mounts(self) -> MountTable:
        """Read mountpoints.json. A read-only store that may not read it has no mounts."""
        try:
            with self.mounts_lock.read():
                return self.mounts_file.load()
        except StoreAccess:
            if self.read_only:
                return MountTable({})
            raise

    def references(self, records: Records, images: UsersOfLayers | None = None) -> References:
        """Read which images and containers use the layers. `images` are those of the image stores, if already read."""
        others = self.image_stores.users() if images is None else images
        return self.reference_files.load(Parents(records.layers), others=others)


def problems_of(records: Records, unread: Sequence[Problem], references: References | None) -> list[Problem]:
    """Return the problems of the image stores, of the records, and of users whose layers have no record.

    The last are left out if an image store cannot be read, since it may have these layers, or if users are not known.
    """
    lost = references.without_layer(records.layers.positions) if references is not None and not unread else {}
    needed = [
        Problem(layer_id, "no-layer", f"layer {layer_id} has no record but is needed by {', '.join(users)}")
        for layer_id, users in lost.items()
    ]
    return [*unread, *records.problems(), *needed]


@dataclass(frozen=True, slots=True)
class Transaction:
    """Proof that the layers lock is held for writing, and the changes this allows.

    There is no rollback. A function that changes several files marks the layer incomplete first and clears the mark
    last, so that after a crash the next writer removes the layer.
    """

    backend: Backend
    held: Held
    helds: tuple[Held | None, ...]
    action: str

    @property
    def records(self) -> Records:
        """The current records of the store itself. Finding a layer of an image store raises `StoreReadOnly`."""
        records = self.backend.current(self.held)
        records.elsewhere = self._refuse if self.backend.image_stores else None
        return records

    @property
    def all_records(self) -> Records:
        """The current records of the store and of its image stores, on which a new layer may be based."""
        return self.backend.joined(self.held, self.helds)

    def _refuse(self, ref: str) -> None:
        with suppress(LayerUnknown):
            layer = self.all_records.find(ref)
            raise StoreReadOnly(layer.image_store, self.action, layer=layer.id)

    @property
    def driver(self) -> Driver:
        """The driver of the store."""
        return self.backend.driver

    def save(self, edits: Mapping[str, Edit], added: Sequence[Layer] = ()) -> None:
        """Write edits, given by layer ID, and new records.

        Raises:
            StoreCorrupt: Two records have the ID of an edited layer.
        """
        self._refuse_doubled(edits)
        self.backend.record_files.save(self.held, edits, added)

    def _refuse_doubled(self, ids: Iterable[str]) -> None:
        doubled = next(filter(self.records.duplicates.__contains__, ids), None)
        if doubled is not None:
            reason, hint = f"two records have the ID {doubled}", "remove one of them by hand first"
            raise StoreCorrupt(self.backend.layout.layers_json, reason, hint=hint)

    def edit(self, layer_id: str, values: Mapping[str, Any]) -> None:
        """Change keys of one record. None removes a key."""
        self.save({layer_id: Edit(dict(values))})

    def mark_incomplete(self, layer: Layer) -> None:
        """Mark the layer incomplete, so that the next writer removes it if this process crashes."""
        if layer.flags.get(INCOMPLETE_FLAG) is not True:
            self.edit(layer.id, {"flags": {**layer.flags, INCOMPLETE_FLAG: True}})

    def leftover(self, layer_id: str) -> str:
        """Return the path of files on disk of a layer that has no record, or "".

        A new layer with this ID would take over these files, and delete them if its creation failed.
        """
        if self.driver.exists(layer_id):
            return str(next(iter(self.driver.paths(layer_id).values())))
        layout = self.backend.layout
        return next(filter(os.path.lexists, (layout.tar_split(layer_id), layout.big_data(layer_id))), "")

    def remove_files(self, layer_id: str) -> None:
        """Delete everything that belongs to the layer except its record."""
        import shutil

        self.driver.remove(layer_id)
        with suppress(FileNotFoundError):
            os.unlink(self.backend.layout.tar_split(layer_id))
        shutil.rmtree(self.backend.layout.big_data(layer_id), ignore_errors=True)

    def remove(self, layer: Layer) -> None:
        """Delete a layer in an order in which a crash leaves it complete or marked incomplete.

        Raises:
            StoreCorrupt: Two records have its ID, so the files may belong to the other one. Nothing was changed.
        """
        self._refuse_doubled((layer.id,))
        self.mark_incomplete(layer)
        with suppress(UnusableID):  # then it has no files
            self.remove_files(layer.id)
        self.save({layer.id: Edit(remove=True)})
