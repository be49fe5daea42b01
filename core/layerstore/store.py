"""`LayerStore`: the methods of containers/storage's LayerStore (layers.go), working on the same files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from layerstore.config.find import default_run_root
from layerstore.content import chain
from layerstore.drivers import best_driver, choose_driver, parse_options
from layerstore.idmap import IDMappings
from layerstore.model import Change, Compression, DiskUsage, Layer, MountState, Progress, ShouldStop
from layerstore.operations import create as creation
from layerstore.operations import edit, mount, recover, remove, snapshot
from layerstore.operations.mount import MountUsers
from layerstore.operations.remove import Dependents
from layerstore.operations.snapshot import StoreSnapshot
from layerstore.operations.transaction import Backend
from layerstore.records.layout import Layout
from layerstore.records.records import Edit, Problem
from layerstore.records.references import References
from layerstore.records.table import LayerTable

if TYPE_CHECKING:
    from layerstore.check.findings import Finding
    from layerstore.check.repair import RepairResult, RepairStep, StepProgress
    from layerstore.content.diff import DiffReader
    from layerstore.content.extract import Extracted
    from layerstore.content.files import LayerFiles
    from layerstore.content.waste import WasteReport


class LayerStore:
    """A store of container layers, shared with other processes and usable from several threads.

    Open one with `LayerStore.open`. Methods take a layer as `ref`: its ID, one of its names, or a unique prefix of its
    ID. They return snapshots, and take and release the locks of containers/storage as needed.

    Guarantees:
        - A change of records is complete and durable when the method returns.
        - A process that is killed at any time leaves each layer as it was, or marked incomplete.
        - An invalid file is never overwritten, and unknown keys of records are preserved.

    Exclusions:
        - As with containers/storage, files of layers and the records of containers' layers (volatile-layers.json) may
          be lost if the machine crashes before the system has written them to disk.
        - No lock keeps other programs from changing the files of a layer.

    Unlike in containers/storage, opening a store changes nothing. Incomplete layers are removed by `load` and by the
    first method that changes records, unless other layers are based on them or they cannot be removed.

    Every method may raise these errors:

    - `LockTimeout`: A lock was not free within `lock_timeout` seconds.
    - `StoreCorrupt`: A file of the store is invalid.
    - `StoreAccess`: This user may not read or write a file of the store.

    A method that changes something may also raise:

    - `StoreReadOnly`: The store is open read-only, or the layer is in an additional image store.
    - `OSError`: For example, the disk is full. The change is undone.
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
        """Open the store below `graph_root`, creating one if there is none.

        An existing store is not changed. Its records are read once, so that a damaged store is reported now.

        Args:
            graph_root: The folder that contains `<driver>-layers`, as in `containers-storage -g`.
            run_root: The folder for state that a reboot clears, as in `containers-storage -R`. The default is the one
                that Podman uses for this user.
            driver: The name of the driver. The default is the driver that has a store there, or else the best one that
                works.
            options: Options such as "overlay.mountopt", and "additionalimagestores", a comma-separated list of paths.
                Options of other drivers are ignored, unknown options are rejected. Pass `StorePlace.all_options` to
                open a store that `find_store` returned.
            read_only: Refuse all changes, and take locks only for reading.
            create: Create the store if there is none. Ignored with `read_only`.
            lock_timeout: Seconds to wait for a lock. A negative number means to wait forever.

        Raises:
            StoreMissing: There is no store, and none is to be created.
            StoreAccess: This user may not read the store.
            StoreCorrupt: The records are invalid.
            LockTimeout: Another process kept the store locked.
            NotSupported: The driver or one of the options is not supported.
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

    # The store

    @property
    def graph_root(self) -> Path:
        """The folder that contains the layers."""
        return Path(self._backend.layout.graph_root)

    @property
    def run_root(self) -> Path:
        """The folder for state that a reboot clears."""
        return Path(self._backend.layout.run_root)

    @property
    def driver_name(self) -> str:
        """The name of the driver, such as "overlay"."""
        return self._backend.layout.driver

    @property
    def copies_lower(self) -> bool:
        """Whether each layer holds a full copy of the files of the layers below it, as with vfs."""
        return self._backend.driver.copies_lower

    @property
    def read_only(self) -> bool:
        """Whether the store refuses all changes."""
        return self._backend.read_only

    @property
    def image_stores(self) -> tuple[Path, ...]:
        """The graph roots of the additional image stores, in order. `problems` lists those that cannot be read."""
        return tuple(map(Path, self._backend.image_stores.paths))

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the store and its driver as labels and values (Status)."""
        layout = self._backend.layout
        own = [("Graph Root", layout.graph_root), ("Run Root", layout.run_root), ("Driver", layout.driver)]
        own += [("Image Store", path) for path in self._backend.image_stores.paths]
        return own + self._backend.driver.status()

    def read(self) -> StoreSnapshot:
        """Return the layers, mounts, problems and references of the store as one consistent snapshot.

        All parts are read under one lock, which `table`, `mounts`, `problems` and `references` called one after the
        other are not.

        Raises:
            StoreCorrupt: The records of layers, mounts, images or containers are invalid.
        """
        return snapshot.take(self._backend)

    def stamp(self) -> tuple[object, ...]:
        """Return a value that changes with every write to the store by any process.

        It is cheap and takes no lock, so it is meant for polling. A mount or unmount in this mount namespace changes
        it too, whether or not it was recorded in the store.
        """
        return snapshot.stamp(self._backend)

    # Finding layers

    def layers(self) -> list[Layer]:
        """Return all layers in the order of the records, those of image stores last (Layers).

        If several records have the same ID, only the first one is returned, and `problems` reports the others.
        """
        with self._backend.reading() as records:
            mounts = self._backend.mounts()
            return [mounts.applied_to(layer) for layer in records.layers]

    def table(self) -> LayerTable:
        """Return all layers as a table, which is faster and smaller than `layers`. Mount points are not filled in."""
        with self._backend.reading() as records:
            return records.layers

    def get(self, ref: str) -> Layer:
        """Return a layer (Get).

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            return self._backend.mounts().applied_to(records.find(ref))

    def lookup(self, ref: str) -> str:
        """Return the ID of a layer (Lookup).

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            return records.find(ref).id

    def exists(self, ref: str) -> bool:
        """Return whether there is such a layer (Exists). An ambiguous prefix is not a layer."""
        try:
            self.lookup(ref)
        except LookupError:
            return False
        return True

    def record(self, ref: str) -> bytes:
        """Return the JSON record of a layer exactly as it is on disk.

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            layer = records.find(ref)
            return self._backend.records_of(layer).record(layer.id)

    def references(self) -> References:
        """Return which images and containers use which layers.

        This reads all images and containers: to look up several layers, call it once.
        """
        with self._backend.reading() as records:
            return self._backend.references(records)

    def dependents(self, ref: str) -> Dependents:
        """Return everything that depends on a layer.

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            layer = records.find(ref)
            references, mounts = self._backend.references(records), mount.survey(self._backend)
            return remove.dependents(records, references, mounts, layer.id)

    def problems(self) -> list[Problem]:
        """Return the problems of the records: lost parents, circles, duplicate IDs and incomplete layers.

        Image stores that cannot be read come first. Layers that images or containers need but that have no record come
        last; they are left out if an image store, which may have them, cannot be read.
        """
        return self._backend.problems()

    # Creating layers

    def create(
        self,
        *,
        id: str | None = None,  # noqa: A002 - as in containers/storage
        parent: str | None = None,
        names: Iterable[str] = (),
        mount_label: str = "",
        options: Mapping[str, str] | None = None,
        writable: bool = True,
        flags: Mapping[str, Any] | None = None,
        maps: IDMappings | None = None,
    ) -> Layer:
        """Create an empty layer (Create, CreateWithFlags).

        Args:
            id: The ID. The default is a random one.
            parent: The layer to base it on, which may be in an image store.
            names: The names.
            mount_label: The SELinux label for its mounts.
            options: Options for the driver.
            writable: Whether the layer will be mounted for writing.
            flags: The flags to store with the layer.
            maps: The ID maps of the user namespace that will use the layer. The default is those of the parent, and no
                others are possible for a layer with a parent.

        Raises:
            ParentUnknown: There is no such parent.
            DuplicateID: The ID is taken by a layer, or by files on disk without a record.
            DuplicateName: Another layer has one of the names.
            UnusableID: The ID is not a valid folder name.
            NotSupported: The driver does not support an option, or the ID maps are not those of the parent.
        """
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}), maps)
        return self._put(new, None)[0]

    def put(
        self,
        diff: BinaryIO | bytes,
        *,
        id: str | None = None,  # noqa: A002 - as in containers/storage
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
        """Create a layer from a tar (Put).

        The write lock is held until the tar is unpacked. No entry can write outside of the layer. On any error the new
        layer is removed.

        Args:
            diff: The tar, which may be compressed. Owners in it are those that a container sees; `maps` translates them
                to those on disk.
            id: See `create`, as for the other arguments.
            parent: See `create`.
            names: See `create`.
            mount_label: See `create`.
            options: See `create`.
            writable: See `create`.
            flags: See `create`.
            maps: See `create`.
            progress: Called with the bytes of `diff`.
            should_stop: Polled for cancellation.

        Returns:
            The layer, and the size of the files in the tar in bytes.

        Raises:
            BadArchive: The tar is damaged or unsafe.
            Cancelled: `should_stop` returned True.
            OSError: The tar cannot be read, or the layer cannot be written.
            LayerStoreError: Any error of `create`.
        """
        source = _source(diff, progress, should_stop)
        new = creation.NewLayer(id, parent, tuple(names), mount_label, options, writable, dict(flags or {}), maps)
        return self._put(new, source)

    def _put(self, new: creation.NewLayer, source: creation.Source | None) -> tuple[Layer, int]:
        with self._backend.writing("create a layer") as tx:
            recover.tidy(tx)
            return creation.put(tx, new, source)

    def apply_diff(
        self,
        to: str,
        diff: BinaryIO | bytes,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Apply a tar to an existing layer and return the size of its files in bytes (ApplyDiff).

        This tar becomes the layer's diff, but images that use the layer keep their IDs and digests, which name the
        previous one. The work is done on a copy: after any failure or crash, the layer is unchanged.

        Args:
            to: The layer.
            diff: The tar, which may be compressed.
            progress: Called with the bytes of `diff`.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            LayerInUse: The layer or one based on it is mounted, or with vfs, processes use its files.
            BadArchive: The tar is damaged or unsafe.
            Cancelled: `should_stop` returned True.
            OSError: The tar cannot be read, or the layer cannot be written.
        """
        with self._backend.writing("apply a diff") as tx:
            recover.tidy(tx)
            return creation.apply_diff(tx, tx.records.find(to), _source(diff, progress, should_stop))

    # Editing records

    def set_names(self, ref: str, names: Iterable[str]) -> None:
        """Replace the names of a layer, taking them away from other layers (SetNames).

        A crash never leaves a name without a layer.

        Raises:
            LayerUnknown: There is no such layer.
            LayerStoreError: A name is empty or has characters that cannot be printed.
        """
        with self._backend.writing("change names") as tx:
            recover.tidy(tx)
            edit.set_names(tx, tx.records.find(ref), names)

    def metadata(self, ref: str) -> str:
        """Return the metadata of a layer, which can be any text (Metadata).

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            return records.find(ref).metadata

    def set_metadata(self, ref: str, metadata: str) -> None:
        """Replace the metadata of a layer (SetMetadata).

        Raises:
            LayerUnknown: There is no such layer.
            LayerStoreError: The text cannot be stored as JSON.
        """
        with self._backend.writing("change metadata") as tx:
            recover.tidy(tx)
            edit.set_metadata(tx, tx.records.find(ref), metadata)

    def set_flag(self, ref: str, flag: str, value: Any) -> None:
        """Set a flag of a layer to any JSON value (SetFlag).

        Setting "incomplete" to True makes the next writer remove the layer, even if it is in use. Use `delete`, which
        checks that first.

        Raises:
            LayerUnknown: There is no such layer.
            LayerStoreError: The value cannot be stored as JSON.
        """
        with self._backend.writing("set a flag") as tx:
            recover.tidy(tx)
            edit.set_flag(tx, tx.records.find(ref), flag, value)

    def clear_flag(self, ref: str, flag: str) -> None:
        """Remove a flag of a layer (ClearFlag). Clearing a flag that is not set is not an error.

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.writing("clear a flag") as tx:
            recover.tidy(tx)
            edit.clear_flag(tx, tx.records.find(ref), flag)

    # Deleting layers

    def delete(self, ref: str, *, force: bool = False) -> None:
        """Delete a layer (Delete). A crash leaves it complete, or marked incomplete for the next writer to remove.

        Args:
            ref: The layer.
            force: Delete it even if images, containers or mounts use it. Layers based on it and processes that use its
                files always prevent the deletion.

        Raises:
            LayerUnknown: There is no such layer.
            LayerInUse: Something uses the layer. Nothing was changed.
            StoreCorrupt: It cannot be determined what uses the layer, or two records have its ID. Nothing was changed.
        """
        with self._backend.writing("delete a layer") as tx:
            remove.delete(tx, tx.records.find(ref), force=force)
            recover.tidy(tx)

    def wipe(self, *, force: bool = False, should_stop: ShouldStop | None = None) -> None:
        """Delete all layers, children before parents (Wipe).

        Args:
            force: See `delete`.
            should_stop: Polled for cancellation between two layers.

        Raises:
            LayerInUse: Something uses one of the layers. Nothing was changed.
            Cancelled: `should_stop` returned True. The remaining layers are intact.
        """
        with self._backend.writing("delete all layers") as tx:
            remove.wipe(tx, force=force, should_stop=should_stop)

    # Mounting layers

    def mount(self, ref: str, mount_label: str = "") -> Path:
        """Mount a layer, or count one more user of its mount, and return the path of its files (Mount).

        Writing to the mount changes the layer, so its diff is no longer the original tar. With vfs the path is the
        layer's own folder. A crash leaves a mount that is not counted, or a count without a mount; the next call
        repairs either.

        Args:
            ref: The layer.
            mount_label: The SELinux label. An existing mount keeps its own.

        Raises:
            LayerUnknown: There is no such layer.
            LayerInUse: It is mounted in another mount namespace.
            NotSupported: It cannot be mounted here. The text says why.
        """
        with self._backend.mounting("mount") as tx:
            return mount.mount(tx, tx.records.find(ref), mount_label)

    def unmount(self, ref_or_path: str | os.PathLike[str], *, force: bool = False) -> bool:
        """Count one user fewer, and unmount the layer after the last one (Unmount).

        Unmounting a layer that is not mounted is not an error. A stale count is removed.

        Args:
            ref_or_path: The layer, or the path at which it is mounted.
            force: Unmount it whatever the count is.

        Returns:
            Whether the layer is still mounted.

        Raises:
            LayerUnknown: This is neither a layer nor the path of a mount.
            LayerInUse: Processes use it, or it is mounted in another mount namespace. Nothing was changed.
        """
        with self._backend.mounting("unmount") as tx:
            return mount.unmount(tx, os.fspath(ref_or_path), force=force)

    def mounts(self) -> list[MountState]:
        """Return every mount of a layer that mountpoints.json or the kernel lists.

        Mounts in other mount namespaces are found as far as this user may see them.
        """
        with self._backend.reading():
            return list(mount.survey(self._backend).values())

    def mount_users(self, ref: str) -> MountUsers:
        """Return what uses the mount of a layer. Examines every process that this user may see.

        Raises:
            LayerUnknown: There is no such layer.
        """
        with self._backend.reading() as records:
            return mount.users(self._backend, records.find(ref).id, self._backend.references(records))

    def clear_stale_mounts(self, ref: str | None = None) -> list[MountState]:
        """Remove entries of mountpoints.json that have no mount, and return them.

        Args:
            ref: A layer, or the ID in an entry whose layer has no record. The default is all entries.

        Raises:
            LayerUnknown: There is neither such a layer nor such an entry.
        """
        with self._backend.writing("clear stale mounts") as tx:
            return mount.clear_stale(tx, ref)

    # Comparing layers

    def changes(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> list[Change]:
        """Return how a layer differs from another one, sorted by path (Changes).

        Args:
            to: The layer.
            from_: The layer to compare with. The default is the parent, and "" stands for an empty file system. Unlike
                in containers/storage, an unknown layer is an error and is not replaced by the parent.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            ParentUnknown: The parent has no record.
            Cancelled: `should_stop` returned True.
        """
        with self._backend.reading() as records:
            pair = chain.Comparison.of(records, records.find(to), from_)
            return pair.changes(self._backend.driver, should_stop)

    def diff_size(self, to: str, from_: str | None = None, *, should_stop: ShouldStop | None = None) -> int:
        """Return the size in bytes of the files that `changes` reports as added or modified (DiffSize).

        Takes the same arguments and raises the same errors as `changes`.
        """
        with self._backend.reading() as records:
            pair = chain.Comparison.of(records, records.find(to), from_)
            return pair.size(self._backend.driver, should_stop)

    def diff(
        self,
        to: str,
        from_: str | None = None,
        *,
        compression: Compression | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> DiffReader:
        """Open a reader of the tar that turns `from_` into `to` (Diff).

        Against its parent, a layer that was created from a tar yields that same tar, verified against its digest.
        Otherwise the tar is made by comparing files. The store stays locked for reading until the reader is closed.

        Args:
            to: The layer.
            from_: See `changes`.
            compression: The compression of the tar. The default is that of the original tar.
            progress: Called with the bytes of the uncompressed tar.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            ParentUnknown: The parent is needed but has no record.
            DamagedLayer: Raised by the reader if the files are no longer those of the original tar.
            Cancelled: Raised by the reader if `should_stop` returned True.
        """
        from layerstore.content.diff import Options

        with self._backend.reading() as records:
            release = self._backend.detached_read()
            try:
                layer = records.find(to)
                kind = layer.diff_compression if compression is None else compression
                options = Options(kind, progress, should_stop, release)
                tar_split = self._backend.tar_split(layer)
                return chain.open_diff(
                    self._backend.driver, records, layer, from_, tar_split=tar_split, options=options
                )
            except BaseException:
                release()
                raise

    # Reading files

    def files(self, ref: str) -> LayerFiles:
        """Return a view of the whole file system of a layer, without mounting it.

        Raises:
            LayerUnknown: There is no such layer.
            NotSupported: The layer cannot be read without a mount. The text says why.
            OSError: The layer's files cannot be read.
        """
        from layerstore.content.files import LayerFiles

        with self._backend.reading() as records:
            layer = records.find(ref)
            stack, older = chain.folders_of(self._backend.driver, records, layer)
        may_chmod = not self._backend.read_only and os.geteuid() != 0
        return LayerFiles(stack, older, maps=IDMappings.of(layer), may_chmod=may_chmod)

    def waste(
        self, ref: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> WasteReport:
        """Return the bytes in a layer and its ancestors that are not visible in the final file system. Takes no lock.

        Args:
            ref: The layer.
            progress: Called with the bytes found so far.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            StoreAccess: This user may not read a folder.
            UnusableFile: A folder cannot be read.
            NotSupported: An overlay feature (redirect_dir or metacopy) prevents it.
            Cancelled: `should_stop` returned True.
        """
        from layerstore.content.waste import waste

        with self._backend.reading() as records:
            stack, older = chain.folders_of(self._backend.driver, records, records.find(ref))
        return waste(stack, older, progress=progress, should_stop=should_stop)

    def extract(
        self,
        ref: str,
        path: str,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        owners: bool = True,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Extracted:
        """Copy a file or folder from the file system of a layer to `target`, completely or not at all.

        Files in a folder that cannot be read or created are skipped and listed in the result.

        Args:
            ref: The layer.
            path: The path inside the layer.
            target: The exact path to create, not a folder to copy into.
            overwrite: Replace `target` if it exists.
            owners: As root, keep the owners of the files.
            progress: Called with the bytes copied so far.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            NoSuchFile: The layer has no such file.
            UnusableFile: The file cannot be read.
            StoreAccess: This user may not read the file.
            TargetExists: `target` exists. It was left unchanged.
            Cancelled: `should_stop` returned True.
            OSError: `target` cannot be written.
        """
        from layerstore.content.extract import extract

        files = self.files(ref)
        return extract(
            files, path, target, overwrite=overwrite, owners=owners, progress=progress, should_stop=should_stop
        )

    def extract_tar(
        self,
        ref: str,
        path: str,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> int:
        """Write a tar of a file or folder from the file system of a layer, and return the size of the tar in bytes.

        Takes the same arguments and raises the same errors as `extract`, but never skips a file.
        """
        from layerstore.content.extract import extract_tar

        files = self.files(ref)
        return extract_tar(files, path, target, overwrite=overwrite, progress=progress, should_stop=should_stop)

    def paths(self, ref: str) -> dict[str, Path]:
        """Return the folders that make up a layer on disk, by the driver's name for each. They need not exist.

        Raises:
            LayerUnknown: There is no such layer.
            UnusableID: The ID is not a valid folder name.
        """
        return self._backend.driver.paths(self.lookup(ref))

    def big_data(self, ref: str) -> dict[str, int | None]:
        """Return the size in bytes of each named data item of a layer, or None if its file is missing.

        The names come from the record and are not validated.

        Raises:
            LayerUnknown: There is no such layer.
        """
        from layerstore.records.bigdata import blob_sizes

        with self._backend.reading() as records:
            layer = records.find(ref)
            return blob_sizes(self._backend.layout_of(layer), layer)

    def usage(self, ref: str, *, progress: Progress | None = None, should_stop: ShouldStop | None = None) -> DiskUsage:
        """Return the disk space of a layer's own files. Examines every file, without a lock.

        Args:
            ref: The layer.
            progress: Called with the bytes found so far.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            Cancelled: `should_stop` returned True.
            OSError: A file or folder of the layer cannot be examined.
        """
        return self._backend.driver.usage(self.lookup(ref), progress=progress, should_stop=should_stop)

    # Checking and repairing

    def check(
        self,
        *,
        deep: bool = False,
        refs: Iterable[str] | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[Finding]:
        """Yield everything that is wrong with the store, as it is found. Changes nothing.

        The quick check (records, and names and links of files) is consistent, since it holds the lock. An invalid file
        is a finding, not an error.

        Args:
            deep: Also compare the files of every layer that was created from a tar with that tar. This takes no lock;
                a layer that changes in the meantime is checked again.
            refs: Check only these layers.
            progress: Called with the bytes of the deep check.
            should_stop: Polled for cancellation.

        Raises:
            LayerUnknown: There is no such layer.
            Cancelled: `should_stop` returned True. The findings yielded so far are valid.
        """
        from layerstore.check.run import check

        return check(self._backend, deep=deep, refs=refs, progress=progress, should_stop=should_stop)

    def repair_plan(
        self,
        findings: Iterable[Finding],
        *,
        force: bool = False,
        sizes: bool = False,
        should_stop: ShouldStop | None = None,
    ) -> list[RepairStep]:
        """Return the steps that would repair these findings, in the order to run them. Changes nothing.

        Args:
            findings: The findings of `check`.
            force: Also remove what images, containers or other layers need. Each step says what is lost.
            sizes: Measure the disk space that each step frees, which examines every file it would delete.
            should_stop: Polled for cancellation.

        Raises:
            Cancelled: `should_stop` returned True.
        """
        from layerstore.check.repair import plan

        return plan(self._backend, findings, force=force, sizes=sizes, should_stop=should_stop)

    def repair(
        self,
        steps: Iterable[RepairStep],
        *,
        progress: StepProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[RepairResult]:
        """Run the given steps, and return the result of each.

        Each step takes the write lock by itself and is run only if its finding still exists. A step that fails does not
        stop the others.

        Args:
            steps: The steps, from `repair_plan`.
            progress: Called with the number of finished steps and their total.
            should_stop: Polled before each step. Once it returns True, the remaining steps are skipped.
        """
        from layerstore.check.repair import repair

        return repair(self._backend, steps, progress=progress, should_stop=should_stop)

    # Files and locks

    def load(self) -> list[str]:
        """Load the records again (Load).

        Returns:
            The IDs of the incomplete layers that were removed. As in containers/storage, a read-only store keeps them.
        """
        self._backend.forget()
        if self.read_only:
            with self._backend.reading():
                return []
        with self._backend.writing("load for writing") as tx:
            return recover.tidy(tx)

    def save(self) -> None:
        """Write the records again under a new token (Save). Other methods save their changes themselves."""
        with self._backend.writing("save") as tx:
            recover.tidy(tx)
            tx.save({layer.id: Edit() for layer in tx.records.layers})

    @contextmanager
    def locked(self, *, write: bool = False, timeout: float | None = None) -> Iterator[None]:
        """Hold the layers lock over several calls in this thread (Lock, Unlock).

        While a read lock is held, a method that needs the write lock raises `RuntimeError`.

        Args:
            write: Take the write lock instead of a read lock.
            timeout: Seconds to wait for the lock, by default the `lock_timeout` of the store.
        """
        guard: AbstractContextManager[Any]
        guard = self._backend.writing("lock it for writing", timeout) if write else self._backend.reading(timeout)
        with guard:
            yield

    def touch(self) -> None:
        """Record a write, so that other processes load the records again (Touch)."""
        with self._backend.writing("record a write") as tx:
            tx.held.record_write()

    def modified(self) -> bool:
        """Return whether another process has written since this object last loaded the records (Modified)."""
        with self._backend.layers_lock.read() as held:
            return held.token() != self._backend.loaded_token()

    def touched_since(self, when: datetime) -> bool:
        """Return whether a write was recorded after `when`, according to the time of the lock file (TouchedSince)."""
        try:
            return os.stat(self._backend.layout.layers_lock).st_mtime > when.timestamp()
        except FileNotFoundError:
            return False


def _source(diff: BinaryIO | bytes, progress: Progress | None, should_stop: ShouldStop | None) -> creation.Source:
    return creation.Source(BytesIO(diff) if isinstance(diff, bytes) else diff, progress, should_stop)
