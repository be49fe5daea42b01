"""The layer store: the verbs of containers/storage's LayerStore (the seed, layers.go), on the files it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from layerstore.config.find import default_run_root
from layerstore.drivers import best_driver, choose_driver, parse_options
from layerstore.errors import LayerStoreError
from layerstore.idmap import IDMappings
from layerstore.model import Layer, Progress, ShouldStop
from layerstore.operations import create as creation
from layerstore.operations import mount, remove
from layerstore.operations.transaction import Backend
from layerstore.records.layout import Layout
from layerstore.records.records import Edit, check_names, without_flag
from layerstore.verbs_check import CheckVerbs
from layerstore.verbs_diff import DiffVerbs
from layerstore.verbs_look import LookVerbs
from layerstore.verbs_mount import MountVerbs


class LayerStore(LookVerbs, DiffVerbs, MountVerbs, CheckVerbs):
    """A store of layers, shared with other processes and with other threads of this one.

    `ref` is a layer's ID, one of its names, or the beginning of its ID alone. What comes back are snapshots. Every
    method takes the locks it needs, those of containers/storage, and gives them back.

    Guaranteed: a change of records is on disk, whole, when its method returns; a process that is killed at any moment
    leaves a layer as it was, or one marked incomplete; a file that does not parse is never written, and what this
    version does not know in a record stays. Not guaranteed: that the files of a layer, and records of containers'
    layers (volatile-layers.json), outlive a crash of the machine that comes before the system wrote them, as with
    containers/storage; and that nobody else changes a layer's files, which no lock keeps from it.

    Unlike the seed, opening a store for a look changes nothing: incomplete layers are removed by the first method that
    changes records, or by `load`, except those that others are based on or that cannot be removed.

    Raises (from every method):
        LockTimeout: a lock was not free within `lock_timeout` seconds.
        StoreCorrupt, StoreAccess: a file of the store does not parse, or this user may not read it.
        StoreReadOnly: (from those that change something) the store was opened so, or the layer is in an image store.
        OSError: (from those too) the disk is full or broken; what was begun is undone.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(
        cls,
        graph_root: str | os.PathLike[str],
        run_root: str | os.PathLike[str] | None = None,
        *,
        driver: str | None = None,
        options: Mapping[str, str] | None = None,
        read_only: bool = False,
        create: bool = True,
        lock_timeout: float = 10.0,
    ) -> LayerStore:
        """Open the store below `graph_root`, or make one there if `create` and not `read_only`.

        Nothing of a store that is there is changed. The records are read once, to see whether they can be.

        Args:
            graph_root: the folder that holds `<driver>-layers`, as `containers-storage -g`.
            run_root: the folder of what does not outlive a boot, as `-R`; by default where Podman would have it.
            driver: the driver's name; by default the one that has a store there.
            options: the driver's options, such as "overlay.mountopt", and "additionalimagestores", paths with commas
                between them; what concerns another driver is ignored, what is not known refused.
            read_only: refuse every change; locks are taken for reading only.
            create: make a new store where there is none.
            lock_timeout: how many seconds to wait for a lock; negative: without end.

        Raises:
            StoreMissing, StoreAccess, StoreCorrupt, LockTimeout, NotSupported: it cannot be opened.
        """
        root = os.path.abspath(graph_root)
        name = choose_driver(root, driver, must_exist=read_only or not create) or best_driver(root)
        layout = Layout(root, os.path.abspath(run_root or default_run_root()), name)
        backend = Backend(layout, read_only, lock_timeout, parse_options(name, options or {}))
        if not os.path.isdir(layout.layers):
            backend.make_folders()
        with backend.reading():
            pass
        return cls(backend)

    # Facts about the store

    @property
    def graph_root(self) -> Path:
        """The folder below which the layers lie."""
        return Path(self._backend.layout.graph_root)

    @property
    def run_root(self) -> Path:
        """The folder of what does not outlive a boot."""
        return Path(self._backend.layout.run_root)

    @property
    def driver_name(self) -> str:
        """The driver's name, such as "vfs"."""
        return self._backend.layout.driver

    @property
    def copies_lower(self) -> bool:
        """Whether each layer holds a full copy of the files of the layers below it, as with vfs."""
        return self._backend.driver.copies_lower

    @property
    def read_only(self) -> bool:
        """True where every change is refused."""
        return self._backend.read_only

    @property
    def image_stores(self) -> tuple[Path, ...]:
        """The additional image stores, in their order; `problems` tells which of them cannot be read."""
        return tuple(map(Path, self._backend.image_stores.paths))

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the store and its driver, for people (Status)."""
        layout = self._backend.layout
        own = [("Graph Root", layout.graph_root), ("Run Root", layout.run_root), ("Driver", layout.driver)]
        own += [("Image Store", path) for path in self._backend.image_stores.paths]
        return own + self._backend.driver.status()

    # Making layers

    def create(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the seed's word
        parent: str | None = None,
        names: Iterable[str] = (),
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        writable: bool = True,
        flags: Mapping[str, Any] | None = None,
        maps: IDMappings | None = None,
    ) -> Layer:
        """Make a layer with nothing of its own on top of `parent` (Create, CreateWithFlags).

        `maps` are those of the user namespace that the layer is for, and None those of the parent: no others can be
        had on top of it.

        `flags` are kept with the layer; `options` are for the driver; without an `id` the layer gets a random one.

        Raises:
            ParentUnknown, DuplicateID, DuplicateName, UnusableID, NotSupported: it cannot be made so; nothing was
                changed. `DuplicateID` also where files of that ID are on disk without a record: they stay.
        """
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}), maps)
        return self._put(new, None)[0]

    def put(
        self,
        diff: BinaryIO | bytes,
        *,
        id: str | None = None,  # noqa: A002 - the seed's word
        parent: str | None = None,
        names: Iterable[str] = (),
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        writable: bool = True,
        flags: Mapping[str, Any] | None = None,
        maps: IDMappings | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> tuple[Layer, int]:
        """Make a layer from a tar, compressed or not; return it and the bytes of the files in it (Put).

        The owners in the tar are those that a container sees: on disk the files get the ones that `maps` has for them.
        No entry can write outside of the layer. The write lock is held all the time.

        Raises:
            BadArchive, Cancelled, OSError, and what `create` does: nothing of the layer stays.
        """
        source = _source(diff, progress, should_stop)
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}), maps)
        return self._put(new, source)

    def _put(self, new: creation.NewLayer, source: creation.Source | None) -> tuple[Layer, int]:
        with self._backend.writing("make a layer") as tx:
            tx.tidy()
            return creation.put(tx, new, source)

    def apply_diff(
        self,
        to: str,
        diff: BinaryIO | bytes,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Apply a tar, compressed or not, to a layer; return the bytes of the files in it (ApplyDiff).

        From then on the layer's diff is this tar, and layers and images that have it keep their IDs and digests, which
        name another. The work is done on a copy: after any failure or crash the layer is as it was.

        Raises:
            LayerInUse: an overlay of it, or of a layer based on it, is mounted; with vfs, processes live in it.
            LayerUnknown, StoreReadOnly, BadArchive, Cancelled, OSError: nothing was changed.
        """
        with self._backend.writing("apply a diff") as tx:
            tx.tidy()
            return creation.apply_diff(tx, tx.records.find(to), _source(diff, progress, should_stop))

    # Changing records

    def set_names(self, ref: str, names: Iterable[str]) -> None:
        """Give the layer these names and no others; a name that another layer has moves (SetNames).

        A crash half-way leaves no name on nobody.

        Raises:
            LayerUnknown; LayerStoreError: a name is empty, or has characters that cannot be printed.
        """
        wanted = check_names(names)
        with self._backend.writing("change names") as tx:
            tx.tidy()
            layer, by_name = tx.records.find(ref), tx.records.by_name
            edits = {layer.id: Edit({"names": wanted or None})}
            for loser in {by_name[name].id: by_name[name] for name in wanted if name in by_name}.values():
                if loser.id != layer.id:
                    kept = tuple(name for name in loser.names if name not in wanted)
                    edits[loser.id] = Edit({"names": kept or None})
            tx.save(edits)

    def metadata(self, ref: str) -> str:
        """Return the text that was kept with the layer (Metadata); raises `LayerUnknown`."""
        return self.get(ref).metadata

    def set_metadata(self, ref: str, metadata: str) -> None:
        """Keep a text with the layer (SetMetadata); raises `LayerUnknown`."""
        self._edit(ref, "change metadata", lambda _: {"metadata": metadata or None})

    def set_flag(self, ref: str, flag: str, value: Any) -> None:
        """Set a flag to any value that JSON can hold (SetFlag).

        A layer whose flag "incomplete" is True is removed by the next writer, whoever uses it: to delete one there is
        `delete`, which looks.

        Raises:
            LayerUnknown; LayerStoreError: JSON cannot hold the value.
        """
        self._edit(ref, "set a flag", lambda layer: {"flags": {**layer.flags, flag: value}})

    def clear_flag(self, ref: str, flag: str) -> None:
        """Take a flag away; one that is not set is no error (ClearFlag). Raises `LayerUnknown`."""
        self._edit(ref, "clear a flag", lambda layer: {"flags": without_flag(layer, flag)})

    def _edit(self, ref: str, action: str, values: Callable[[Layer], dict[str, Any]]) -> None:
        with self._backend.writing(action) as tx:
            tx.tidy()
            layer = tx.records.find(ref)
            try:
                tx.edit(layer.id, values(layer))
            except (TypeError, UnicodeEncodeError) as error:
                raise LayerStoreError(f"cannot {action}: JSON cannot hold the value ({error})") from error

    # Deleting

    def delete(self, ref: str, *, force: bool = False) -> None:
        """Delete a layer (Delete). A crash half-way leaves it whole, or to be removed by the next writer.

        Raises:
            LayerUnknown, StoreReadOnly: there is no such layer, or it is not this store's.
            LayerInUse: layers are based on it, or processes live in its mount; or images, containers or mounts use
                it, which `force` overrides. Nothing was changed.
            StoreCorrupt: who uses it cannot be told, or two records have its ID; nothing was changed.
        """
        with self._backend.writing("delete a layer") as tx:
            remove.delete(tx, tx.records.find(ref), force=force)
            tx.tidy()

    def wipe(self, *, force: bool = False, should_stop: ShouldStop | None = None) -> None:
        """Delete all layers, children first (Wipe); refuses like `delete`, before anything is gone.

        Raises:
            Cancelled: `should_stop` said so, between two layers; those that are left are whole.
        """
        with self._backend.writing("delete the layers") as tx:
            remove.wipe(tx, force=force, should_stop=should_stop)

    # Files, locks and writes

    def load(self) -> list[str]:
        """Read everything again (Load); return the IDs of the incomplete layers that were removed on the way.

        Only a store that is not read-only removes them, as containers/storage does.
        """
        self._backend.forget()
        if self.read_only:
            with self._backend.reading():
                return []
        with self._backend.writing("load for writing") as tx:
            return tx.tidy()

    def save(self) -> None:
        """Write the records again as they stand, under a new token (Save). No other method leaves them unsaved."""
        with self._backend.writing("save") as tx:
            tx.tidy()
            tx.save({layer.id: Edit() for layer in tx.records.layers})

    @contextmanager
    def locked(self, *, write: bool = False, timeout: float | None = None) -> Iterator[None]:
        """Hold the layers lock over several calls of this thread (Lock, Unlock); methods inside use it.

        Raises:
            RuntimeError: (from a method that changes something) this is a read lock.
        """
        guard: AbstractContextManager[Any]
        guard = self._backend.writing("lock it for writing", timeout) if write else self._backend.reading(timeout)
        with guard:
            yield

    def touch(self) -> None:
        """Record a write, so that others load again (Touch)."""
        with self._backend.writing("record a write") as tx:
            tx.held.record_write()

    def modified(self) -> bool:
        """Tell whether somebody else wrote since this object last looked (Modified)."""
        with self._backend.layers_lock.read() as held:
            return held.token() != self._backend.loaded_token()

    def touched_since(self, when: datetime) -> bool:
        """Tell whether a write was recorded after `when`, by the lock file's time (TouchedSince)."""
        try:
            return os.stat(self._backend.layout.layers_lock).st_mtime > when.timestamp()
        except FileNotFoundError:
            return False

    def stamp(self) -> tuple[object, ...]:
        """Return what differs after any process wrote to the store. Cheap and without a lock: made for polling."""
        backend = self._backend
        return (
            backend.layers_lock.peek(),
            backend.record_files.stamp(),
            backend.mounts_lock.peek(),
            backend.mounts_file.stamp(),
            mount.kernel_stamp(backend),
            backend.reference_files.stamp(),
            backend.image_stores.stamp(),
        )


def _source(diff: BinaryIO | bytes, progress: Progress | None, should_stop: ShouldStop | None) -> creation.Source:
    return creation.Source(BytesIO(diff) if isinstance(diff, bytes) else diff, progress, should_stop)
