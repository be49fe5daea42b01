"""The layer store: the verbs of containers/storage's LayerStore (the seed, layers.go), on the files it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from layerstore import creation, mounting, removal
from layerstore.config import default_run_root
from layerstore.drivers import best_driver
from layerstore.errors import LayerStoreError, NotSupported, ParentUnknown
from layerstore.layout import Layout, choose_driver
from layerstore.model import Change, Compression, DiskUsage, Layer, MountPoint, Progress, ShouldStop
from layerstore.records import Edit, Problem, Records, check_names, without_flag
from layerstore.references import References
from layerstore.transaction import Backend

if TYPE_CHECKING:
    from layerstore import export


class LayerStore:
    """A store of layers, shared with other processes and with other threads of this one.

    `ref` is a layer's ID, one of its names, or the beginning of its ID alone. Every method takes the locks it needs and
    gives them back; `LockTimeout` after `lock_timeout` seconds. What comes back are snapshots. Every change is on disk
    when its method returns.

    Unlike the seed, opening a store for a look changes nothing: incomplete layers are removed by the first method that
    changes records, or by `load`.
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

        Args:
            graph_root: the folder that holds `<driver>-layers`, as `containers-storage -g`.
            run_root: the folder of what does not outlive a boot, as `-R`; by default where Podman would have it.
            driver: the driver's name; by default the one that has a store there.
            options: the driver's options.
            read_only: refuse every change; locks are taken for reading only.
            create: make a new store where there is none.
            lock_timeout: how many seconds to wait for a lock; negative: without end.

        Raises:
            StoreMissing, StoreAccess, StoreCorrupt, LockTimeout, NotSupported: it cannot be opened.
        """
        root = os.path.abspath(graph_root)
        name = choose_driver(root, driver, must_exist=read_only or not create) or best_driver(root)
        layout = Layout(root, os.path.abspath(run_root or default_run_root()), name)
        if options:
            raise NotSupported(f"the {name} driver has no options, and was given {', '.join(sorted(options))}")
        backend = Backend(layout, read_only, lock_timeout)
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
    def read_only(self) -> bool:
        """True where every change is refused."""
        return self._backend.read_only

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the store and its driver, for people (Status)."""
        layout = self._backend.layout
        own = [("Graph Root", layout.graph_root), ("Run Root", layout.run_root), ("Driver", layout.driver)]
        return own + self._backend.driver.status()

    def problems(self) -> list[Problem]:
        """Return what is wrong with the records: parents that are gone, circles, doubled IDs, incomplete layers."""
        with self._backend.reading() as records:
            return records.problems()

    # Looking up

    def layers(self) -> list[Layer]:
        """Return all layers, in the order of the records (Layers)."""
        with self._backend.reading() as records:
            mounts = self._backend.mounts().by_id
            if not mounts:
                return list(records.layers)
            return [_with_mount(layer, mounts.get(layer.id)) for layer in records.layers]

    def get(self, ref: str) -> Layer:
        """Return one layer; raises `LayerUnknown` (Get)."""
        with self._backend.reading() as records:
            layer = records.find(ref)
            return _with_mount(layer, self._backend.mounts().by_id.get(layer.id))

    def lookup(self, ref: str) -> str:
        """Return the layer's ID; raises `LayerUnknown` (Lookup)."""
        with self._backend.reading() as records:
            return records.find(ref).id

    def exists(self, ref: str) -> bool:
        """Tell whether `ref` names a layer (Exists)."""
        try:
            self.lookup(ref)
        except LookupError:
            return False
        return True

    def record(self, ref: str) -> bytes:
        """Return the layer's record in JSON as it stands on disk."""
        with self._backend.reading() as records:
            return self._backend.record_files.record(records.find(ref).id)

    def references(self) -> References:
        """Return which images and containers use which layers."""
        with self._backend.reading() as records:
            return self._backend.references(records)

    def dependents(self, ref: str) -> removal.Dependents:
        """Return all that depends on the layer."""
        with self._backend.reading() as records:
            references, mounts = self._backend.references(records), self._backend.mounts()
            return removal.dependents(records, references, mounts, records.find(ref).id)

    def paths(self, ref: str) -> dict[str, Path]:
        """Return the folders that make up the layer on disk, by the driver's word for each."""
        return self._backend.driver.paths(self.lookup(ref))

    def usage(self, ref: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None) -> DiskUsage:
        """Return what the layer's own files take on disk. Looks at every file, without a lock."""
        return self._backend.driver.usage(self.lookup(ref), progress=progress, should_stop=should_stop)

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
    ) -> Layer:
        """Make a layer with nothing of its own on top of `parent` (Create, CreateWithFlags).

        Raises:
            ParentUnknown, DuplicateID, DuplicateName: it cannot be made so; nothing was changed.
        """
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}))
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
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> tuple[Layer, int]:
        """Make a layer from a tar, compressed or not; return it and the bytes of the files in it (Put).

        Raises:
            ParentUnknown, DuplicateID, DuplicateName, BadArchive, Cancelled, OSError: nothing of the layer stays.
        """
        source = _source(diff, progress, should_stop)
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}))
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

        From then on the layer's diff is this tar. On any failure the layer is as it was.

        Raises:
            LayerUnknown, BadArchive, Cancelled, OSError: nothing was changed.
        """
        with self._backend.writing("apply a diff") as tx:
            tx.tidy()
            return creation.apply_diff(tx, tx.records.find(to), _source(diff, progress, should_stop))

    # Changing records

    def set_names(self, ref: str, names: Iterable[str]) -> None:
        """Give the layer these names and no others; a name that another layer has moves (SetNames)."""
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
        """Return the text that was kept with the layer (Metadata)."""
        return self.get(ref).metadata

    def set_metadata(self, ref: str, metadata: str) -> None:
        """Keep a text with the layer (SetMetadata)."""
        self._edit(ref, "change metadata", lambda _: {"metadata": metadata or None})

    def set_flag(self, ref: str, flag: str, value: Any) -> None:
        """Set a flag to any value that JSON can hold (SetFlag)."""
        self._edit(ref, "set a flag", lambda layer: {"flags": {**layer.flags, flag: value}})

    def clear_flag(self, ref: str, flag: str) -> None:
        """Take a flag away; one that is not set is no error (ClearFlag)."""
        self._edit(ref, "clear a flag", lambda layer: {"flags": without_flag(layer, flag)})

    def _edit(self, ref: str, action: str, values: Callable[[Layer], dict[str, Any]]) -> None:
        with self._backend.writing(action) as tx:
            tx.tidy()
            layer = tx.records.find(ref)
            try:
                tx.edit(layer.id, values(layer))
            except (TypeError, UnicodeEncodeError) as error:
                raise LayerStoreError(f"cannot {action}: JSON cannot hold the value ({error})") from error

    # Mounting

    def mount(self, ref: str, mount_label: str = "") -> Path:
        """Mount the layer, or count one more user of its mount; return where (Mount)."""
        with self._backend.writing("mount") as tx:
            return mounting.mount(tx, tx.records.find(ref), mount_label)

    def unmount(self, ref_or_path: str | os.PathLike[str], *, force: bool = False) -> bool:
        """Count one user less and unmount after the last, or at once with `force`; tell if still mounted (Unmount)."""
        with self._backend.writing("unmount") as tx:
            return mounting.unmount(tx, os.fspath(ref_or_path), force=force)

    # Comparing

    def changes(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> list[Change]:
        """Return how the layer `to` differs from `from_`, sorted by path (Changes).

        `from_` is by default the parent; "" stands for nothing at all. Unlike the seed, which would take the parent
        instead, a `from_` that is no layer is an error.

        Raises:
            LayerUnknown, ParentUnknown, Cancelled: there is nothing to compare.
        """
        with self._backend.reading() as records:
            layer, base = _pair(records, to, from_)
            return self._backend.driver.changes(layer.id, base, should_stop=should_stop)

    def diff_size(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> int:
        """Return the bytes of the files that `changes` adds or modifies (DiffSize)."""
        with self._backend.reading() as records:
            layer, base = _pair(records, to, from_)
            return self._backend.driver.diff_size(layer.id, base, should_stop=should_stop)

    def diff(
        self,
        to: str,
        from_: str | None = None,
        *,
        compression: Compression | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> export.DiffReader:
        """Return a reader of the tar that makes `to` out of `from_` (Diff); close it after use.

        Against its parent, a layer that came in as a tar gives that same tar, checked against its digest; otherwise
        the tar is made by comparing. `compression` is by default the one that it came in with. The store is locked for
        reading until the reader is closed.

        Raises:
            LayerUnknown, ParentUnknown: there is nothing to compare; later, while reading: DamagedLayer, Cancelled.
        """
        from layerstore import export

        with self._backend.reading() as records:
            release = self._backend.layers_lock.detached_read()
            try:
                layer = records.find(to)
                how = export.Options(
                    layer.diff_compression if compression is None else compression, progress, should_stop, release
                )
                return self._open_diff(records, layer, from_, how)
            except BaseException:
                release()
                raise

    # Deleting

    def delete(self, ref: str, *, force: bool = False) -> None:
        """Delete a layer (Delete).

        Raises:
            LayerInUse: layers are based on it; or images, containers or mounts use it, which `force` overrides.
        """
        with self._backend.writing("delete a layer") as tx:
            removal.delete(tx, tx.records.find(ref), force=force)
            tx.tidy()

    def wipe(self, *, force: bool = False, should_stop: ShouldStop | None = None) -> None:
        """Delete all layers, children first (Wipe); refuses like `delete`, before anything is gone."""
        with self._backend.writing("delete the layers") as tx:
            removal.wipe(tx, force=force, should_stop=should_stop)

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
        """Hold the layers lock over several calls of this thread (Lock, Unlock); methods inside use it."""
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
        """Tell whether a write was recorded after `when` (TouchedSince)."""
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
            backend.reference_files.stamp(),
        )

    def _open_diff(self, records: Records, layer: Layer, from_: str | None, how: export.Options) -> export.DiffReader:
        from layerstore import export
        from layerstore.archive.paths import Root

        backend = self._backend
        tar_split = backend.layout.tar_split(layer.id)
        base = layer.parent if from_ is None else from_ and records.find(from_).id
        if base == layer.parent and os.path.exists(tar_split):
            root = Root(str(backend.driver.diff_root(layer.id)), may_chmod=not self.read_only)
            return export.from_tar_split(tar_split, root, layer, how)
        base = _pair(records, layer.id, from_)[1]
        return export.from_chunks(backend.driver.diff(layer.id, base, should_stop=how.should_stop), how)


def _with_mount(layer: Layer, mount: MountPoint | None) -> Layer:
    if mount is None:
        return layer
    return msgspec.structs.replace(layer, mount_point=mount.path, mount_count=mount.count)


def _pair(records: Records, to: str, from_: str | None) -> tuple[Layer, str]:
    """Return the layer, and the ID to compare it with."""
    layer = records.find(to)
    if from_ is not None:
        return layer, from_ and records.find(from_).id
    if layer.parent and layer.parent not in records.by_id:
        raise ParentUnknown(layer.id, layer.parent)
    return layer, layer.parent


def _source(diff: BinaryIO | bytes, progress: Progress | None, should_stop: ShouldStop | None) -> creation.Source:
    return creation.Source(BytesIO(diff) if isinstance(diff, bytes) else diff, progress, should_stop)
