"""Additional image stores: read-only stores whose layers appear beside a store's own.

They are named by `additionalimagestores` and `imagestore` in storage.conf (see store.go of containers/storage), and are
often on a network share or a read-only file system. Layers are looked up in the store itself first, then in its image
stores in order. A layer of the store may be based on a layer of an image store. An image store that cannot be read is
skipped and reported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from layerstore.errors import LayerStoreError, LockTimeout
from layerstore.linux.lockfile import Held, LockFile
from layerstore.model import Layer
from layerstore.records.layout import Layout, drivers_in
from layerstore.records.readfile import FileStamp
from layerstore.records.records import Problem, RecordFiles
from layerstore.records.references import ReferenceFiles, UsersOfLayers

PROBLEM = "image-store"
"""The kind of `Problem` for an image store that cannot be read."""

State = tuple[bytes, tuple[FileStamp, FileStamp]]
"""The token and stamp of the records of a store, which change with every write."""


@dataclass(slots=True)
class ImageStore:
    """The files of one image store. Nothing in it is ever written, not even a lock file."""

    layout: Layout
    lock_timeout: float
    layers_lock: LockFile = field(init=False)
    record_files: RecordFiles = field(init=False)
    reference_files: ReferenceFiles = field(init=False)
    _good: State | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.layers_lock = LockFile(self.layout.layers_lock, timeout=self.lock_timeout, optional=True)
        self.record_files = RecordFiles(self.layout, image_store=self.path)
        self.reference_files = ReferenceFiles(self.layout, lock_timeout=self.lock_timeout)

    @property
    def path(self) -> str:
        """The graph root."""
        return self.layout.graph_root

    def check(self, held: Held | None) -> State:
        """Return the state of the records, after reading them if they changed.

        Raises:
            LayerStoreError: The records are invalid, or belong to another driver.
            OSError: The records cannot be read. `explained` puts it in plain words.
        """
        self._check_folder()
        state = b"" if held is None else held.token(), self.record_files.stamp()
        if state != self._good:
            self.record_files.load(read_only=True)
            self._good = state
        return state

    def users(self) -> UsersOfLayers:
        """Return the images. Raises the same errors as `check`."""
        self._check_folder()
        return self.reference_files.load_images()

    def stamp(self) -> object:
        """Return a stamp that changes when the image store is written, removed or restored."""
        try:
            return self.layers_lock.peek(), self.record_files.stamp(), self.reference_files.stamp()
        except (LayerStoreError, OSError) as error:
            return str(error)

    def _check_folder(self) -> None:
        """Reject a store of another driver. A folder without any store counts as an empty one."""
        os.listdir(self.path)
        others = drivers_in(self.path)
        if others and self.layout.driver not in others:
            raise LayerStoreError(f"it has no store of the {self.layout.driver} driver, only of {', '.join(others)}")


class ImageStores:
    """The image stores of a store, in order. Duplicates and the store's own graph root are ignored."""

    def __init__(self, layout: Layout, paths: Sequence[str], *, lock_timeout: float) -> None:
        seen = {os.path.realpath(layout.graph_root)}
        self._stores: list[ImageStore] = []
        for path in paths:
            root = os.path.abspath(path)
            if os.path.realpath(root) not in seen:
                seen.add(os.path.realpath(root))
                self._stores.append(ImageStore(Layout(root, layout.run_root, layout.driver), lock_timeout))

    def __bool__(self) -> bool:
        return bool(self._stores)

    @property
    def paths(self) -> tuple[str, ...]:
        """The graph roots."""
        return tuple(store.path for store in self._stores)

    def store_of(self, layer: Layer) -> ImageStore | None:
        """Return the image store that has the layer, or None for a layer of the store itself."""
        return next((store for store in self._stores if store.path == layer.image_store), None)

    @contextmanager
    def reading(self, timeout: float | None = None) -> Iterator[list[Held | None]]:
        """Hold the layers locks of all image stores for reading, so that no parent of a layer is deleted.

        An image store without a lock file, or on a file system without locks, is read without one. containers/storage
        does the same if it cannot create the file.

        Raises:
            LockTimeout: A lock was not free in time.
        """
        with ExitStack() as stack:
            yield [self._enter(stack, store, timeout) for store in self._stores]

    @staticmethod
    def _enter(stack: ExitStack, store: ImageStore, timeout: float | None) -> Held | None:
        try:
            return stack.enter_context(store.layers_lock.read(timeout))
        except LockTimeout:
            raise
        except (LayerStoreError, OSError):
            return None

    def detached_read(self, stack: ExitStack) -> None:
        """Hold the same locks until `stack` is closed, which any thread may do."""
        for store in self._stores:
            try:
                stack.callback(store.layers_lock.detached_read())
            except LockTimeout:
                raise
            except (LayerStoreError, OSError):
                continue

    def readable(self, helds: Sequence[Held | None]) -> list[tuple[ImageStore, State]]:
        """Return the image stores whose records can be read, with their states."""
        found = []
        for store, held in zip(self._stores, helds, strict=True):
            try:
                found.append((store, store.check(held)))
            except (LayerStoreError, OSError):
                continue
        return found

    def survey(self) -> tuple[UsersOfLayers, list[Problem]]:
        """Return the images of all image stores, and a problem for each image store that cannot be read.

        Raises:
            LockTimeout: A lock was not free in time.
        """
        images: UsersOfLayers = []
        problems = []
        with self.reading() as helds:
            for store, held in zip(self._stores, helds, strict=True):
                errors = []
                try:
                    images += store.users()
                except LockTimeout:
                    raise
                except (LayerStoreError, OSError) as error:
                    errors.append(error)
                try:
                    store.check(held)
                except (LayerStoreError, OSError) as error:
                    errors.append(error)
                if errors:
                    text = f"image store {store.path} cannot be read: {explained(errors[-1])}"
                    problems.append(Problem("", PROBLEM, text))
        return images, problems

    def users(self) -> UsersOfLayers:
        """Return the images of all image stores that can be read."""
        return self.survey()[0]

    def stamp(self) -> tuple[object, ...]:
        """Return a stamp that changes when one of the image stores is written. Takes no lock."""
        return tuple(store.stamp() for store in self._stores)


def explained(error: Exception) -> str:
    """Return in plain words why an image store cannot be read."""
    if isinstance(error, LayerStoreError) or not isinstance(error, OSError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "the folder is missing"
    if isinstance(error, NotADirectoryError):
        return "it is not a folder"
    if isinstance(error, PermissionError):
        return "this user may not list it"
    return error.strerror or str(error)
